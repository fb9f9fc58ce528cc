//! The engine that keeps toggles in step with a policy, with sources and targets as they are in the
//! field.

mod launchdarkly;
mod rest;
#[path = "../support/mod.rs"]
mod support;
