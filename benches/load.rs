//! The time to load 10,000 flags with rules, and to load them and tell what changed, beside a floor:
//! what `serde_json` takes to parse the same text.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

mod definition;

use std::{hint::black_box, time::Duration};

use criterion::Criterion;
use flagstaff::evaluator::{Change, FlagSet};
use serde_json::Value;

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
    group.finish();
    criterion.final_summary();
}
