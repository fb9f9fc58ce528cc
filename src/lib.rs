//! Feature flags for Rust services: an [OpenFeature](https://openfeature.dev)
//! provider for [flagd](https://flagd.dev).
//!
//! A program evaluates flags with the client of the OpenFeature SDK. The provider
//! resolves them in one of three ways, which the option `resolver` chooses: with a
//! call to flagd, in the program with the definitions that flagd sends, or in the
//! program with a file. See [`FlagdOptions`] for the options, which can also come
//! from the environment.
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
//! # Where to start
//!
//! | to | see |
//! |---|---|
//! | evaluate flags, in flagd or in this process | [`FlagdProvider`] |
//! | set where flagd is, and how to behave while it is unavailable | [`FlagdOptions`] |
//! | be notified of changed flags and states | [`FlagdProvider::events`] |
//! | feed probes and metrics | [`FlagdProvider::state`] and [`State`], [`FlagdProvider::stats`] |
//! | distinguish a flag that leaves the value to the caller from an error | [`reason`] |
//! | add fields to the evaluation context | [`ContextSource`] |
//! | load flag definitions from a database, or from anywhere else | [`source::FlagSource`] |
//! | evaluate flag definitions without a provider | [`evaluator::FlagSet`] |
//! | serve flags as flagd does | [`server::Server`] |
//! | serve any tower service over HTTP, within limits | [`http::Server`] |
//! | let rules use facts that other systems write | [`flagops::Facts`] |
//! | keep flags in step with a policy of OPA | [`optoggles::Engine`] |
//! | test a program that uses flags | [`server::testing::TestServer`] |
//!
//! # Features
//!
//! * `rpc` (default): the provider, with evaluation in flagd. Results that do not
//!   depend on the context are cached until flagd says that the flag has changed.
//! * `in-process`: evaluation in this process, with flag definitions from flagd, a
//!   file or your own [source].
//! * `evaluator`: flag definitions and their evaluation as in flagd, without I/O.
//! * `http`: a [server](http::Server) for any tower service, with limits on what a
//!   client can cost, and [an HTTP client](http::Client); with `in-process`, flag
//!   definitions from a URL.
//! * `flagops`: [facts](flagops) of FlagOps in the evaluation context, for this provider
//!   or any other.
//! * `optoggles`: the [engine](optoggles) that keeps flags in step with a policy of OPA.
//! * `server`: a server for flagd's protocols, and [a helper for
//!   tests](server::testing).
//! * `cli`: the program `flagstaff`, which starts the server, calls any flagd, and
//!   checks definitions.
//! * `tls-ring` (default), or `tls-aws-lc` with `default-features = false` and
//!   `rpc`: encrypted connections.
//! * `full`: all of these except `tls-aws-lc`, in place of which ring is used.
//!
//! # Modules
//!
//! [`evaluator`] knows none of the other modules and does no I/O. [`source`]
//! delivers flag definitions to whoever evaluates them: the provider in [`flagd`],
//! or the [`server`]. [`http`] knows nothing of flags.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "rpc", feature = "flagops"))]
mod backoff;
#[cfg(any(feature = "rpc", feature = "evaluator"))]
mod bucketing;
#[cfg(any(feature = "rpc", feature = "flagops"))]
mod context_change;
#[cfg(any(feature = "rpc", feature = "flagops"))]
mod context_source;
#[cfg(feature = "optoggles")]
mod duration;
#[cfg(feature = "evaluator")]
pub mod evaluator;
#[cfg(any(feature = "rpc", feature = "tls", feature = "evaluator"))]
mod excerpt;
#[cfg(feature = "rpc")]
pub mod flagd;
#[cfg(feature = "flagops")]
pub mod flagops;
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

/// The attribute that implementations of [`ContextSource`] and
/// [`FlagSource`](source::FlagSource) need.
#[cfg(any(feature = "rpc", feature = "flagops"))]
pub use async_trait::async_trait;
#[cfg(any(feature = "rpc", feature = "evaluator"))]
pub use bucketing::Bucketing;
#[cfg(any(feature = "rpc", feature = "flagops"))]
pub use context_change::{ChangedFields, ContextChange, FieldVersions};
#[cfg(any(feature = "rpc", feature = "flagops"))]
pub use context_source::{ContextSource, Subject};
#[cfg(feature = "rpc")]
pub use flagd::{
    error::FlagdError,
    evaluation_error::reason,
    event::ProviderEvent,
    options::table::FlagdOptions,
    provider::{FlagdProvider, lifecycle::State},
};
/// The OpenFeature SDK, in the version whose traits the provider implements.
#[cfg(any(feature = "rpc", feature = "flagops"))]
pub use open_feature;

/// Makes the examples of the README and of `docs/` doctests.
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
    #[cfg(all(feature = "flagops", feature = "server"))]
    #[doc = include_str!("../docs/flagops.md")]
    struct Flagops;
    #[cfg(feature = "optoggles")]
    #[doc = include_str!("../docs/optoggles.md")]
    struct Optoggles;
    #[doc = include_str!("../docs/toggle-meister.md")]
    struct ToggleMeister;
}
