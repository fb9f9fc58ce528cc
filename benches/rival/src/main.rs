//! The crate open-feature-flagd as a client process of the benchmark `uncached`.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

#[path = "../../clients/client.rs"]
mod client;

use std::{env, sync::Arc};

use client::{Client, DEADLINE, KEY, run};
use open_feature::{EvaluationContext, provider::FeatureProvider};
use open_feature_flagd::{FlagdOptions, resolver::rpc::RpcResolver};
use tokio::runtime::Runtime;

#[cfg(feature = "allocations")]
#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[derive(Clone)]
struct Rival(Arc<RpcResolver>);

impl Rival {
    async fn connect(port: u16) -> Self {
        let deadline_ms = DEADLINE.as_millis().try_into().unwrap();
        let options =
            FlagdOptions { host: "127.0.0.1".to_owned(), port, deadline_ms, ..Default::default() };
        Self(Arc::new(RpcResolver::new(&options).await.unwrap()))
    }
}

impl Client for Rival {
    async fn call(&self, context: &EvaluationContext) -> bool {
        self.0.resolve_bool_value(KEY, context).await.unwrap().value
    }
}

fn main() {
    let port = env::args().nth(1).unwrap().parse().unwrap();
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(Rival::connect(port));
    #[cfg(feature = "allocations")]
    let _profiler = dhat::Profiler::builder().testing().build();
    run(&runtime, &client, spent);
}

/// Allocations so far.
#[cfg(feature = "allocations")]
fn spent() -> f64 {
    dhat::HeapStats::get().total_blocks as f64
}

/// Microseconds of CPU time so far.
#[cfg(not(feature = "allocations"))]
fn spent() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::try_from(time).unwrap().as_secs_f64() * 1e6
}
