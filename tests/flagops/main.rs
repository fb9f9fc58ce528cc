//! Facts for a program, against a double of the store that can misbehave on demand.
// A failure panics.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod changes;
mod client;
mod defects;
mod double;
mod facts;
mod mirror;
mod original;
mod provider;
#[path = "../support/wait.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod wait;
