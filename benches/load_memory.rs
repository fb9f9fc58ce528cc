//! What 10,000 flags with rules cost in memory, counted by the allocator: at most while an update is
//! loaded beside the set before it, and for good; the same of a server, after some updates; beside a
//! floor, `serde_json`'s tree of the text.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

mod definition;

use flagstaff::{evaluator::FlagSet, server::Server};
use serde_json::Value;
use tokio::runtime::Runtime;

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
    drop((former, profiler));

    let each = |n: usize| after.replace("\"shop\"", &format!("\"shop-{n}\""));
    server("one flag", &std::array::from_fn(|n| definition(&format!("{n}.example"))));
    server("every flag", &std::array::from_fn(each));
}

/// Updates the flags of a server.
fn server(changed: &str, definitions: &[String; 9]) {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::builder().ephemeral().bind()).unwrap();
    let _profiler = dhat::Profiler::builder().testing().build();
    for definition in definitions {
        server.flags().replace(definition).unwrap();
    }
    let updated = dhat::HeapStats::get();
    println!(
        "server, {changed} changed in each of 8 updates: {} KiB at most, {} KiB kept",
        updated.max_bytes / KIB,
        updated.curr_bytes / KIB
    );
}
