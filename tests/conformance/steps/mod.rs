//! The steps of the features.
//!
//! Each is defined once, whatever keyword precedes it: see `features::with_any_keyword`.
// A step's arguments are parsed from its text, and owned.
#![allow(clippy::needless_pass_by_value)]

mod config;
mod evaluation;
mod events;
mod provider;

use cucumber::given as step;

/// Fails a step, showing both, when they differ.
fn equal<T: PartialEq + std::fmt::Debug>(actual: &T, expected: &T) -> Result<(), String> {
    if actual == expected {
        return Ok(());
    }
    Err(format!("expected {expected:?}, and it is {actual:?}"))
}
