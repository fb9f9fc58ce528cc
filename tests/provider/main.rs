//! The provider, evaluating in flagd, before servers that do what a test scripts: options, calls,
//! events, states and their times.
// A failure panics; documentation names flags and states; numbers come back exactly.
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
mod fatal;
mod faults;
mod lifecycle;
mod options;
mod quotes;
mod races;
mod recovery;
mod shutdown;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod telemetry;
