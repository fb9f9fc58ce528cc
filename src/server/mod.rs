//! A server that speaks flagd's protocols, to embed: [`Server`].
//!
//! # Ports
//!
//! The server has flagd's four ports. Each can be a TCP address or a unix
//! socket ([`Listen`](crate::http::Listen)), or be left out:
//!
//! | Port | Default | Serves |
//! |---|---|---|
//! | evaluation | 127.0.0.1:8013 | evaluation and event streams, over gRPC and [Connect] |
//! | management | 127.0.0.1:8014 | probes, Prometheus metrics, gRPC health |
//! | sync | 127.0.0.1:8015 | definitions, for clients that evaluate flags themselves |
//! | OFREP | 127.0.0.1:8016 | [evaluation over HTTP][OFREP], of one flag or of all |
//!
//! The defaults are flagd's, except that the server listens on loopback.
//! Messages are not compressed: a compressed request is rejected with
//! `unimplemented`, or with status 415 over OFREP.
//!
//! # Flags
//!
//! Flags come from any number of [sources](crate::source), and from the
//! program itself, through [`Flags`]. If two sources have a flag with the same
//! key, the later one wins, and flags set by the program win over all sources.
//!
//! Each source has a task of its own. A definition is parsed and compiled in
//! the background and then replaces the former one, so a request never waits
//! for an update, and sees it either whole or not at all. An invalid definition
//! is rejected, and the last valid configuration of that source stays in use.
//!
//! # Lifetime
//!
//! [`Server::builder`] collects the options, [`ServerBuilder::bind`] opens the
//! ports, [`Server::ready`] waits for the flags, and [`Server::shutdown`]
//! finishes the requests in progress. Dropping the [`Server`] closes it without
//! waiting. Tests use [`testing::TestServer`] instead.
//!
//! # Example
//!
//! ```
//! use flagstaff::server::Server;
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().ephemeral().bind().await?;
//! server.flags().set(
//!     "new-checkout",
//!     json!({
//!         "state": "ENABLED",
//!         "variants": {"on": true, "off": false},
//!         "defaultVariant": "off",
//!         "targeting": {"if": [{"ends_with": [{"var": "email"}, "@corp.example"]}, "on"]}
//!     }),
//! )?;
//! // Every provider connected to `server.evaluation_addr()` is notified.
//! # server.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! [Connect]: https://connectrpc.com/docs/protocol
//! [OFREP]: https://openfeature.dev/specification/appendix-c

mod body;
mod builder;
mod connection;
mod context;
mod context_changes;
mod core;
mod cors;
mod error;
mod evaluation;
mod feed;
mod flags;
mod management;
pub(crate) mod metrics;
mod observer;
mod ofrep;
mod protocol;
mod running;
mod store;
mod stream;
mod sync;
pub mod testing;

pub use builder::ServerBuilder;
pub use error::ServerError;
pub use flags::{Draft, Flags};
pub use observer::{Evaluated, Observer};
pub use running::Server;
