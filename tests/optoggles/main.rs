//! `OPToggles`, the engine that keeps toggles in step with a policy, with scripted sources and targets.
//! `tests/opa` has the same engine with OPA and OPAL themselves.
// A failure panics.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod clock;
mod engine;
mod flagd;
mod launchdarkly;
mod logs;
mod opal;
mod parts;
mod policy;
mod reload;
mod rest;
mod start_and_stop;
#[path = "../support/mod.rs"]
mod support;
mod target_defects;
