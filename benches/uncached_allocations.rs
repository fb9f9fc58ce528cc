//! Allocations of a client for an evaluation by flagd: as `uncached`, with an allocator that counts.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

mod clients;
#[path = "../tests/support/mod.rs"]
mod support;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let _profiler = dhat::Profiler::builder().testing().build();
    clients::main(&clients::Plan {
        unit: "allocations/call",
        spent: allocations,
        rival: "allocations",
        rounds: 3,
        calls: [300, 3_000],
    });
}

/// Allocations so far.
#[expect(clippy::cast_precision_loss, reason = "there are not that many")]
fn allocations() -> f64 {
    dhat::HeapStats::get().total_blocks as f64
}
