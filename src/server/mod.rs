//! A server that speaks flagd's protocols, to embed: [`Server`].
//!
//! Evaluation and its event stream over gRPC and Connect, for programs and web pages; OFREP; sync;
//! health, probes and metrics. Messages are not compressed: a compressed request is refused, with
//! `unimplemented` or, by OFREP, 415.

mod body;
mod builder;
mod connect;
mod context;
mod core;
mod cors;
mod envelope;
mod error;
mod evaluation;
mod events;
mod feed;
mod flags;
mod grpc;
mod listen;
mod management;
mod metrics;
mod ofrep;
mod proto;
mod resolve;
mod resolve_all;
mod respond;
mod running;
mod selector;
mod store;
mod stream;
mod sync;
pub mod testing;
mod tls;
mod wire;

pub use builder::{Server, ServerBuilder};
pub use error::ServerError;
pub use flags::{Draft, Flags};
pub use listen::Listen;
pub use running::RunningServer;
pub(crate) use tls::{ClientTls, client as client_tls};
