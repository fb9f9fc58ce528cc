//! The time to load 10,000 flags with rules, to load them and tell what changed, to look for warnings,
//! and to replace those of a server, beside a floor: what `serde_json` takes to parse the same text.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

mod definition;

use std::{hint::black_box, time::Duration};

use criterion::Criterion;
use flagstaff::{
    evaluator::{Change, FlagSet, lint},
    server::Server,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use definition::{FLAGS, definition};

fn main() {
    let (before, after) = (definition("corp.example"), definition("new.example"));
    let former = FlagSet::parse(&before).unwrap();
    assert_eq!(former.len(), FLAGS);

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .sample_size(20)
        .configure_from_args();
    let size = after.len() / 1024;
    let mut group = criterion.benchmark_group(format!("{FLAGS} flags, {size} KiB"));
    group.bench_function("serde_json alone", |bencher| {
        bencher.iter_with_large_drop(|| serde_json::from_str::<Value>(black_box(&after)).unwrap());
    });
    group.bench_function("parse", |bencher| {
        bencher.iter_with_large_drop(|| FlagSet::parse(black_box(&after)).unwrap());
    });
    group.bench_function("parse, and what changed", |bencher| {
        bencher.iter_with_large_drop(|| {
            let set = FlagSet::parse(black_box(&after)).unwrap();
            let changes = set.changes_since(&former);
            assert_eq!(changes.values().collect::<Vec<_>>(), [&Change::Update]);
            (set, changes)
        });
    });
    group.bench_function("lint, beside the threads that load", |bencher| {
        bencher.iter_with_large_drop(|| lint(black_box(&after)).unwrap());
    });
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::builder().ephemeral().bind()).unwrap();
    let flags = server.flags();
    group.bench_function("replace in a server", |bencher| {
        let mut definitions = [&before, &after].into_iter().cycle();
        bencher.iter(|| flags.replace(black_box(definitions.next().unwrap())).unwrap());
    });
    group.finish();
    criterion.final_summary();
}
