//! Toggles as flags: every way to ask for one gives the same answer, and clients notice each change.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod family;
mod hash;
#[allow(unreachable_pub, reason = "elsewhere it is a part of a module of helpers")]
#[path = "../../../../tests/support/installed.rs"]
mod installed;
mod peer;
mod same_answer;
mod support;
mod used;
