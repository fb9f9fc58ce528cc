//! From the options to flagd and back: connections, calls and streams.

pub(crate) mod call_error;
pub(crate) mod channel;
pub(crate) mod circuit_breaker;
pub(crate) mod event_stream;
pub(crate) mod plan;
pub(crate) mod retry;
pub(crate) mod rotation;
pub(crate) mod rpc;
pub(crate) mod status;
pub(crate) mod stream;
#[cfg(feature = "in-process")]
pub(crate) mod sync_stream;
pub(crate) mod transport;
mod unary;
