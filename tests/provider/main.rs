//! The provider, evaluating in flagd, against scripted servers: options, calls, events, states and
//! timing.
// A failure panics; documentation names flags and states; numbers are returned exactly.
#![allow(
    clippy::doc_markdown,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::unchecked_time_subtraction,
    clippy::unwrap_used
)]

mod caching;
mod calls;
mod clock;
mod connection;
mod evaluation;
mod events;
mod faults;
mod lifecycle;
mod options;
mod quotes;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod telemetry;
