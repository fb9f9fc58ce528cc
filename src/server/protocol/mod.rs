//! How requests and responses are written: gRPC, Connect, and what they share.
//!
//! Nothing here knows a flag. tonic's server is not used: it has no Connect, and
//! would copy each result into generated messages before it writes them. What a
//! server needs of gRPC is little, and is in `grpc` and `envelope`; generated
//! messages (`proto`) are used to read requests.

pub(crate) mod connect;
pub(crate) mod envelope;
pub(crate) mod grpc;
pub(crate) mod procedure;
pub(crate) mod proto;
pub(crate) mod received;
pub(crate) mod respond;
pub(crate) mod wire;
