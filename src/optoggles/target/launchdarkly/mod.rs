//! LaunchDarkly, over its REST API, version 20240415.

mod account;
mod approval;
mod builder;
mod error;
mod flag;
mod flags;
mod instructions;
mod known;
mod merge;
mod rate_limit;
mod spec;

#[cfg(test)]
pub(crate) use self::merge::merge;
pub use self::{builder::LaunchDarklyTargetBuilder, flags::LaunchDarklyTarget};
