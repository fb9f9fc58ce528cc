//! CPU time that a client takes for an evaluation by flagd, beside its floors (the h2 crate alone, a
//! raw tonic call with the same headers) and the crate open-feature-flagd, by 1, 16 and 64 tasks at
//! once. The server and each client have processes of their own, so that only the client is counted.
//!
//! open-feature-flagd needs `protoc` to build; without one it is left out, and said.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

mod clients;
#[path = "../tests/support/mod.rs"]
mod support;

fn main() {
    clients::main(&clients::Plan {
        unit: "CPU us/call",
        spent: clients::client::cpu,
        rival: "",
        rounds: 9,
        calls: [3_000, 16_000],
    });
}
