//! A server that speaks flagd's protocols, to embed: [`Server`].
//!
//! It has flagd's four ports, each of which can be a unix socket, or not be there ([`Listen`](crate::http::Listen)):
//! evaluation and its event stream over gRPC and Connect, for programs and web pages; management
//! (probes, Prometheus metrics, gRPC health); sync for those who evaluate the definitions themselves;
//! and OFREP. The defaults are flagd's, except that it listens on loopback. Messages are not
//! compressed: a compressed request is refused, with `unimplemented` or, by OFREP, 415.
//!
//! Flags come from any number of [sources](crate::source), and from the program itself, by [`Flags`].
//! Where two have a flag of one key, that of the later source answers, and those that the program sets
//! come last of all. Each source has a task of its own; what it gives is parsed and compiled aside and
//! swapped in, so that a request waits for no update, and sees it whole or not at all.
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
//! // Every provider of `server.evaluation_addr()` is told.
//! # server.shutdown().await;
//! # Ok(()) }
//! ```

mod body;
mod builder;
mod connection;
mod context;
mod core;
mod cors;
mod error;
mod evaluation;
mod feed;
mod flags;
mod management;
pub(crate) mod metrics;
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
pub use running::Server;
