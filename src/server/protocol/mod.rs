//! How requests and responses are written: gRPC, Connect, and what they share.

pub(crate) mod connect;
pub(crate) mod envelope;
pub(crate) mod grpc;
pub(crate) mod procedure;
pub(crate) mod proto;
pub(crate) mod received;
pub(crate) mod respond;
pub(crate) mod wire;
