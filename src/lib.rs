//! Feature flags for Rust services: an [OpenFeature](https://openfeature.dev) provider for
//! [flagd](https://flagd.dev).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use flagstaff::{FlagdOptions, FlagdProvider};
//! use open_feature::{EvaluationContext, OpenFeature};
//!
//! let provider = FlagdProvider::new(FlagdOptions::builder().host("flags.internal").tls(true).build()?);
//! OpenFeature::singleton_mut().await.set_provider(provider.clone()).await;
//!
//! let client = OpenFeature::singleton().await.create_client();
//! let context = EvaluationContext::default().with_targeting_key("user-1");
//! let on = client.get_bool_value("new-checkout", Some(&context), None).await.unwrap_or(false);
//! # Ok(()) }
//! ```
//!
//! # What to look at first
//!
//! | to | see |
//! |---|---|
//! | evaluate flags, in flagd or in this process | [`FlagdProvider`] |
//! | say where flagd is, and what to do while it is away | [`FlagdOptions`], from the program or the environment |
//! | learn of changed flags, and of states | [`FlagdProvider::events`] |
//! | feed probes and metrics | [`FlagdProvider::state`] and [`State`], [`FlagdProvider::stats`] |
//! | tell a flag that leaves the value to the caller from an error | [`reason`] |
//! | give flag definitions from a database, or from anywhere else | [`source::FlagSource`] |
//! | evaluate flag definitions without a provider | [`evaluator::FlagSet`] |
//! | serve flags as flagd does | [`server::Server`] |
//! | serve any tower service over HTTP, within limits | [`http::Server`] |
//! | test a program that uses flags | [`server::testing::TestServer`] |
//!
//! # Features
//!
//! * `rpc` (default): the provider, with evaluation in flagd. Results that do not depend on the
//!   context are cached, until flagd says that the flag has changed.
//! * `in-process`: evaluation in this process, by flag definitions from flagd, a file or a
//!   [source] of one's own.
//! * `evaluator`: flag definitions and their evaluation as flagd does it, without I/O.
//! * `http`: [hardened serving](http::Server) of any tower service, and [an HTTP client](http::Client);
//!   with `in-process`, flag definitions from a URL.
//! * `server`: a server that speaks flagd's protocols, and [a helper for tests](server::testing).
//! * `cli`: the program `flagstaff`, which starts the server, asks any flagd, and checks definitions.
//! * `tls-ring` (default), or `tls-aws-lc` with `default-features = false` and `rpc`: encrypted
//!   connections.
//! * `full`: all that fit together.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "rpc")]
mod backoff;
#[cfg(any(feature = "rpc", feature = "evaluator"))]
mod bucketing;
#[cfg(feature = "rpc")]
mod context_source;
#[cfg(feature = "optoggles")]
mod duration;
#[cfg(feature = "evaluator")]
pub mod evaluator;
#[cfg(any(feature = "rpc", feature = "tls", feature = "evaluator"))]
mod excerpt;
#[cfg(feature = "rpc")]
pub mod flagd;
#[cfg(feature = "tls")]
pub mod http;
#[cfg(feature = "optoggles")]
pub mod optoggles;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "in-process")]
pub mod source;
#[cfg(all(test, feature = "tls"))]
mod testing;

/// The attribute for implementations of [`ContextSource`] and [`FlagSource`](source::FlagSource).
#[cfg(feature = "rpc")]
pub use async_trait::async_trait;
#[cfg(any(feature = "rpc", feature = "evaluator"))]
pub use bucketing::Bucketing;
#[cfg(feature = "rpc")]
pub use context_source::{ContextSource, Subject};
#[cfg(feature = "rpc")]
pub use flagd::{
    error::FlagdError,
    evaluation_error::reason,
    event::ProviderEvent,
    options::table::FlagdOptions,
    provider::{FlagdProvider, lifecycle::State},
};
/// The SDK that the provider is for.
#[cfg(feature = "rpc")]
pub use open_feature;

/// The examples of the README and of `docs/` are compiled too.
#[cfg(all(doctest, feature = "rpc"))]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/options.md")]
    struct Options;
    #[doc = include_str!("../docs/resolvers.md")]
    struct Resolvers;
    #[doc = include_str!("../docs/lifecycle.md")]
    struct Lifecycle;
    #[cfg(feature = "server")]
    #[doc = include_str!("../docs/server.md")]
    struct Server;
    #[cfg(feature = "server")]
    #[doc = include_str!("../docs/testing.md")]
    struct Testing;
}
