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
//! * [`FlagdProvider`] evaluates flags in flagd. Results that do not depend on the context are
//!   cached, until flagd says that the flag has changed.
//! * [`FlagdOptions`] say where flagd is and how to behave while it is not; all of them can come from
//!   the environment, by [`FlagdProvider::from_env`].
//! * [`FlagdProvider::events`] tells states and changes of flags; [`FlagdProvider::state`] and
//!   [`FlagdProvider::stats`] are for probes and metrics.
//! * [`reason`] tells a flag that leaves the value to the caller from an error.
//!
//! # Features
//!
//! * `rpc` (default): the provider.
//! * `in-process`: evaluation in the program itself, by flag definitions from flagd, a file or a
//!   [source] of one's own.
//! * `evaluator`: evaluation of flag definitions in the program itself, as flagd does it.
//! * `tls-ring` (default), or `tls-aws-lc` with `default-features = false`: encrypted connections.

#[cfg(any(feature = "rpc", feature = "evaluator"))]
mod bucketing;
#[cfg(feature = "evaluator")]
pub mod evaluator;
#[cfg(feature = "rpc")]
pub mod flagd;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "in-process")]
pub mod source;
#[cfg(all(test, feature = "tls"))]
mod testing;

#[cfg(feature = "rpc")]
pub use flagd::{FlagdError, FlagdOptions, FlagdProvider, ProviderEvent, reason};

/// The examples of the README are compiled too.
#[cfg(all(doctest, feature = "rpc"))]
#[doc = include_str!("../README.md")]
struct Readme;
