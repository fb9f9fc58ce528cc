//! CPU time of a client for an evaluation by flagd, beside its floors (the h2 crate alone, a raw tonic
//! call with the same headers) and the crate open-feature-flagd, by 1, 16 and 64 tasks at once. The
//! server and each client have processes of their own, so that only the client is counted. Rounds
//! take turns, and the median counts.
//!
//! open-feature-flagd needs `protoc` to build (on Debian, `protobuf-compiler` and `libprotobuf-dev`);
//! without one it is left out.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

mod clients;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

fn main() {
    clients::main(&clients::Plan {
        unit: "CPU us/call",
        spent: cpu,
        rival: "",
        rounds: 9,
        calls: [3_000, 16_000],
    });
}

/// Microseconds of CPU time so far.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap().as_secs_f64() * 1e6
}
