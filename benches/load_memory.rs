//! What 10,000 flags with rules cost in memory, counted by the allocator: at most while an update is
//! loaded beside the set before it, and for good; beside a floor, `serde_json`'s tree of the text.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

mod definition;

use flagstaff::evaluator::FlagSet;
use serde_json::Value;

use definition::{FLAGS, definition};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const KIB: usize = 1024;

fn main() {
    let (before, after) = (definition("corp.example"), definition("new.example"));
    println!("{FLAGS} flags, {} KiB of text, which are not counted", after.len() / KIB);
    {
        let profiler = dhat::Profiler::builder().testing().build();
        let tree: Value = serde_json::from_str(&before).unwrap();
        println!("serde_json alone: {} KiB at most", dhat::HeapStats::get().max_bytes / KIB);
        drop((tree, profiler));
    }
    let profiler = dhat::Profiler::builder().testing().build();
    let former = FlagSet::parse(&before).unwrap();
    let loaded = dhat::HeapStats::get();
    println!("parse: {} KiB at most, {} KiB kept", loaded.max_bytes / KIB, loaded.curr_bytes / KIB);
    let changes = FlagSet::parse(&after).unwrap().changes_since(&former);
    assert_eq!(changes.len(), 1);
    let updated = dhat::HeapStats::get();
    println!("update beside it, and what changed: {} KiB at most", updated.max_bytes / KIB);
    drop(profiler);
}
