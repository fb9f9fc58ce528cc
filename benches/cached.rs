//! A cached evaluation through `FeatureProvider`, beside its floor: a bare `lru` get under a mutex
//! with the same key and the same clones.
//!
//! Times are of one evaluation on one core: with more tasks than cores they share.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    future::Future,
    hint::black_box,
    num::NonZero,
    pin::pin,
    sync::{Barrier, Mutex},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};
use flagstaff::{FlagdOptions, FlagdProvider};
use open_feature::{
    EvaluationContext, EvaluationReason, StructValue,
    provider::{FeatureProvider, ResolutionDetails},
};
use serde_json::json;

use support::scripted::ScriptedServer;

const KEYS: usize = 16;

fn main() {
    let server = ScriptedServer::start();
    server.set("text", "a greeting of some length");
    server
        .set("object", json!({"title": "Check out these pics!", "imagesPerPage": 100, "on": true}));
    let names: Vec<String> = (0..KEYS).map(|n| format!("flag-{n}")).collect();
    for name in &names {
        server.set(name, true);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let provider = runtime.block_on(warm(server.port(), &names));

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    let empty = EvaluationContext::default();
    let full = (0..10).fold(empty.clone().with_targeting_key("user-1"), |context, n| {
        context.with_custom_field(format!("field-{n}"), format!("value {n}"))
    });
    let lru = floor(&provider, &names);
    let one = &names[..1];

    let mut group = criterion.benchmark_group("cached bool");
    for tasks in [1, 2, 8] {
        bench(&mut group, "lru under a mutex", tasks, one, |key| lru_get(&lru, key));
        for (name, context) in [("empty context", &empty), ("10 fields", &full)] {
            bench(&mut group, name, tasks, one, |key| {
                ready(provider.resolve_bool_value(key, context)).unwrap()
            });
        }
    }
    group.finish();

    let mut group = criterion.benchmark_group("cached bool, 16 keys");
    for tasks in [1, 2, 8] {
        bench(&mut group, "lru under a mutex", tasks, &names, |key| lru_get(&lru, key));
        bench(&mut group, "empty context", tasks, &names, |key| {
            ready(provider.resolve_bool_value(key, &empty)).unwrap().value
        });
    }
    group.finish();

    let text = runtime.block_on(provider.resolve_string_value("text", &empty)).unwrap();
    let object = runtime.block_on(provider.resolve_struct_value("object", &empty)).unwrap();
    let (text, object) = (lru_of("text", text), lru_of::<StructValue>("object", object));
    let (text_key, object_key) = (["text".to_owned()], ["object".to_owned()]);
    let mut group = criterion.benchmark_group("cached string");
    for tasks in [1, 8] {
        bench(&mut group, "lru under a mutex", tasks, &text_key, |key| lru_get(&text, key));
        for (name, context) in [("empty context", &empty), ("10 fields", &full)] {
            bench(&mut group, name, tasks, &text_key, |key| {
                ready(provider.resolve_string_value(key, context)).unwrap()
            });
        }
    }
    group.finish();
    let mut group = criterion.benchmark_group("cached struct");
    for tasks in [1, 8] {
        bench(&mut group, "lru under a mutex", tasks, &object_key, |key| lru_get(&object, key));
        for (name, context) in [("empty context", &empty), ("10 fields", &full)] {
            bench(&mut group, name, tasks, &object_key, |key| {
                ready(provider.resolve_struct_value(key, context)).unwrap()
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

/// A provider with all flags in its cache.
async fn warm(port: u16, names: &[String]) -> FlagdProvider {
    let options = FlagdOptions::builder().host("127.0.0.1").port(port).build().unwrap();
    let mut provider = FlagdProvider::new(options);
    let context = EvaluationContext::default();
    provider.initialize(&context).await;
    for name in names {
        provider.resolve_bool_value(name, &context).await.unwrap();
    }
    provider.resolve_string_value("text", &context).await.unwrap();
    provider.resolve_struct_value("object", &context).await.unwrap();
    provider
}

type Lru<T> = Mutex<lru::LruCache<String, ResolutionDetails<T>>>;

fn lru_of<T>(key: &str, details: ResolutionDetails<T>) -> Lru<T> {
    let mut lru = lru::LruCache::new(NonZero::new(1000).unwrap());
    lru.put(key.to_owned(), details);
    Mutex::new(lru)
}

fn floor(provider: &FlagdProvider, names: &[String]) -> Lru<bool> {
    let lru = lru_of("", ResolutionDetails::new(true));
    for name in names {
        let details =
            ready(provider.resolve_bool_value(name, &EvaluationContext::default())).unwrap();
        assert_eq!(details.reason, Some(EvaluationReason::Cached));
        lru.lock().unwrap().put(name.clone(), details);
    }
    lru
}

fn lru_get<T: Clone>(lru: &Lru<T>, key: &str) -> ResolutionDetails<T> {
    lru.lock().unwrap().get(key).cloned().unwrap()
}

/// The output of a future that has nothing to wait for.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the cache did not answer"),
    }
}

fn bench<T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    tasks: usize,
    keys: &[String],
    evaluate: impl Fn(&str) -> T + Sync,
) {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let sharing = u32::try_from(tasks.div_ceil(cores)).unwrap();
    group.bench_function(BenchmarkId::new(name, format!("{tasks} tasks")), |bencher| {
        bencher.iter_custom(|rounds| {
            let start = Barrier::new(tasks);
            let task = |offset: usize| {
                start.wait();
                let begin = Instant::now();
                for key in
                    keys.iter().cycle().skip(offset * 5).take(usize::try_from(rounds).unwrap())
                {
                    black_box(evaluate(black_box(key)));
                }
                begin.elapsed()
            };
            thread::scope(|scope| {
                let task = &task;
                let running: Vec<_> = (0..tasks).map(|n| scope.spawn(move || task(n))).collect();
                let times: Vec<Duration> =
                    running.into_iter().map(|thread| thread.join().unwrap()).collect();
                *times.iter().max().unwrap() / sharing
            })
        });
    });
}
