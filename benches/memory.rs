//! What 1,000 cached flags cost in memory, counted by the allocator: keys of 32 characters, booleans
//! with a variant, without metadata and with two fields of it.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use flagstaff::{FlagdOptions, FlagdProvider};
use open_feature::{EvaluationContext, provider::FeatureProvider};
use serde_json::{Value, json};

use support::scripted::{Flag, ScriptedServer};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const FLAGS: usize = 1000;

fn main() {
    for metadata in [None, Some(json!({"owner": "checkout-team", "flagSetId": "shop"}))] {
        let label = if metadata.is_some() { "with metadata" } else { "without metadata" };
        println!("{FLAGS} cached flags {label}: {} KiB", cost(metadata.as_ref()) / 1024);
    }
}

fn cost(metadata: Option<&Value>) -> usize {
    let server = ScriptedServer::builder().without_log().start();
    for n in 0..FLAGS {
        let flag = Flag::new(n % 2 == 0).variant("on");
        let flag = metadata.into_iter().fold(flag, |flag, data| flag.metadata(data.clone()));
        server.set(&name(n), flag);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = FlagdOptions::builder().host("127.0.0.1").port(server.port()).build().unwrap();
    let mut provider = FlagdProvider::new(options);
    runtime.block_on(provider.initialize(&EvaluationContext::default()));

    let _profiler = dhat::Profiler::builder().testing().build();
    // What one evaluation leaves in buffers is no matter of the cache.
    runtime.block_on(ask(&provider, 1));
    let before = dhat::HeapStats::get().curr_bytes;
    runtime.block_on(ask(&provider, FLAGS));
    assert_eq!(provider.stats().cache_entries, FLAGS);
    dhat::HeapStats::get().curr_bytes.saturating_sub(before)
}

fn name(n: usize) -> String {
    format!("a-flag-whose-name-is-long-{n:06}")
}

async fn ask(provider: &FlagdProvider, flags: usize) {
    let context = EvaluationContext::default();
    for n in 0..flags {
        provider.resolve_bool_value(&name(n), &context).await.unwrap();
    }
}
