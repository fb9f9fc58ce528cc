//! Feature flags for Rust: an [OpenFeature](https://openfeature.dev) provider for
//! [flagd](https://flagd.dev).

#[cfg(feature = "rpc")]
pub mod flagd;
