//! The evaluator as programs use it: any text as a definition, and the shares of `fractional`.
// A failure panics.
#![allow(clippy::unwrap_used)]

mod definitions;
#[cfg(feature = "in-process")]
mod fractional;
