//! The evaluation port: flagd's evaluation service in both versions, over gRPC and Connect.

pub(crate) mod answer;
mod connect;
mod events;
mod grpc;
pub(crate) mod resolve;
pub(crate) mod resolve_all;
pub(crate) mod router;
