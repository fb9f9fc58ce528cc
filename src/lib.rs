//! Feature flags for Rust: an [OpenFeature](https://openfeature.dev) provider for
//! [flagd](https://flagd.dev).

#[cfg(feature = "rpc")]
pub mod flagd;

#[cfg(feature = "rpc")]
pub use flagd::{FlagdError, FlagdOptions, FlagdProvider, ProviderEvent, reason};
