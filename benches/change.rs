//! The time from a change of flags on the server to the cache being clear of them, beside its floor:
//! the same event read from a bare tonic stream.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use flagstaff::{FlagdOptions, FlagdProvider, ProviderEvent};
use open_feature::{EvaluationContext, provider::FeatureProvider};

use support::{
    proto::{V2, connect, v2::EventStreamRequest},
    scripted::ScriptedServer,
};

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .sample_size(30)
        .configure_from_args();
    for changed in [1, 1000] {
        let names: Vec<String> = (0..changed).map(|n| format!("flag-{n}")).collect();
        let keys: Vec<&str> = names.iter().map(String::as_str).collect();
        let server = ScriptedServer::builder().without_log().start();
        let mut group = criterion.benchmark_group(format!("change of {changed} flags"));

        let mut stream = runtime.block_on(async {
            let mut client = V2::new(connect(server.uri()).await);
            let mut stream = client.event_stream(EventStreamRequest {}).await.unwrap().into_inner();
            assert_eq!(stream.message().await.unwrap().unwrap().r#type, "provider_ready");
            stream
        });
        group.bench_function("bare tonic stream", |bencher| {
            bencher.iter_batched(
                || (),
                |()| {
                    server.change(&keys);
                    runtime.block_on(stream.message()).unwrap().unwrap()
                },
                BatchSize::PerIteration,
            );
        });
        drop(stream);

        for name in &names {
            server.set(name, true);
        }
        let provider = runtime.block_on(provider(server.port()));
        group.bench_function("cache is clear", |bencher| {
            bencher.iter_custom(|rounds| {
                (0..rounds).map(|_| runtime.block_on(clear(&server, &provider, &keys))).sum()
            });
        });
        group.finish();
    }
    criterion.final_summary();
}

async fn provider(port: u16) -> FlagdProvider {
    let options = FlagdOptions::builder().host("127.0.0.1").port(port).build().unwrap();
    let mut provider = FlagdProvider::new(options);
    provider.initialize(&EvaluationContext::default()).await;
    provider
}

/// The cache is acted upon before the event is told, so the event says that it is clear.
async fn clear(server: &ScriptedServer, provider: &FlagdProvider, keys: &[&str]) -> Duration {
    let context = EvaluationContext::default();
    for key in keys {
        provider.resolve_bool_value(key, &context).await.unwrap();
    }
    let mut events = provider.events();
    assert_eq!(events.next().await, Some(ProviderEvent::Ready));
    let begin = Instant::now();
    server.change(keys);
    events.next().await;
    let elapsed = begin.elapsed();
    assert_eq!(provider.stats().cache_entries, 0);
    elapsed
}
