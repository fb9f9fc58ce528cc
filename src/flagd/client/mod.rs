//! The gRPC client: connections, unary calls and streams.
//!
//! It knows how to reach flagd and what may go wrong on the way, but nothing of
//! states, the cache or events: those are in `provider`, which pulls streams and
//! makes calls. Nothing here runs in the background, apart from the task of
//! tonic's connection, which ends when the connection is dropped.
//!
//! | module | what it is |
//! |---|---|
//! | [`plan`] | what follows from the options: address, time limits |
//! | [`channel`] | a connection: TCP or unix socket, TLS, headers |
//! | [`transport`] | the layer that marks local errors and responses that are not gRPC |
//! | [`unary`], [`rpc`] | calls: one message there, one back |
//! | [`event_stream`], `sync_stream` | the two streams of flagd |
//! | [`rotation`] | replaces a stream before its time is over |
//! | [`retry`], [`circuit_breaker`] | when a call is repeated, and when none is made |
//! | [`call_error`], [`status`], [`stream`] | what went wrong, and what it means |
//!
//! [`retry`], [`circuit_breaker`] and [`rotation`] do no I/O of their own, and
//! are tested without a network.

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
