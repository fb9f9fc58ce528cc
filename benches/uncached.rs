//! An evaluation that flagd answers, beside its floor: a bare tonic unary call with the same headers
//! and the same conversion of the context, to the same server. Latency of one task, and throughput
//! of 16 and 64.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    future::Future,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use flagstaff::{FlagdOptions, FlagdProvider};
use open_feature::{EvaluationContext, EvaluationContextFieldValue, provider::FeatureProvider};
use prost_types::{Struct, Value, value::Kind};
use tonic::{Request, transport::Channel};

use support::{
    proto::{
        V2, connect,
        v2::{ResolveBooleanRequest, service_client::ServiceClient},
    },
    scripted::{Flag, ScriptedServer},
};

const DEADLINE: Duration = Duration::from_secs(10);
const KEY: &str = "targeted";

fn main() {
    let server = ScriptedServer::builder().without_log().start();
    server.set(KEY, Flag::new(true).reason("TARGETING_MATCH").variant("on"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .sample_size(30)
        .configure_from_args();
    let provider = runtime.block_on(ours(server.port()));
    let channel = runtime.block_on(connect(server.uri()));

    for fields in [0, 10] {
        let context = context(fields);
        let mut group = criterion.benchmark_group(format!("uncached bool, {fields} fields"));
        for tasks in [1, 16, 64] {
            group.throughput(Throughput::Elements(tasks));
            group.bench_function(BenchmarkId::new("bare tonic call", tasks), |bencher| {
                bencher.to_async(&runtime).iter_custom(|rounds| {
                    let (channel, context) = (channel.clone(), context.clone());
                    repeat(tasks, rounds, move || bare(channel.clone(), context.clone()))
                });
            });
            group.bench_function(BenchmarkId::new("provider", tasks), |bencher| {
                bencher.to_async(&runtime).iter_custom(|rounds| {
                    let (provider, context) = (provider.clone(), context.clone());
                    repeat(tasks, rounds, move || evaluate(provider.clone(), context.clone()))
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

async fn ours(port: u16) -> FlagdProvider {
    let options =
        FlagdOptions::builder().host("127.0.0.1").port(port).deadline(DEADLINE).build().unwrap();
    let mut provider = FlagdProvider::new(options);
    provider.initialize(&EvaluationContext::default()).await;
    provider
}

/// `rounds` calls by each of so many tasks at once.
async fn repeat<F, C>(tasks: u64, rounds: u64, call: C) -> Duration
where
    F: Future<Output = bool> + Send + 'static,
    C: Fn() -> F + Clone + Send + 'static,
{
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let call = call.clone();
            tokio::spawn(async move {
                for _ in 0..rounds {
                    assert!(call().await);
                }
            })
        })
        .collect();
    for task in running {
        task.await.unwrap();
    }
    begin.elapsed()
}

async fn evaluate(provider: FlagdProvider, context: EvaluationContext) -> bool {
    provider.resolve_bool_value(KEY, &context).await.unwrap().value
}

async fn bare(channel: Channel, context: EvaluationContext) -> bool {
    let mut client: V2 = ServiceClient::new(channel);
    let message =
        ResolveBooleanRequest { flag_key: KEY.to_owned(), context: Some(convert(&context)) };
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    client.resolve_boolean(request).await.unwrap().into_inner().value()
}

fn context(fields: usize) -> EvaluationContext {
    (0..fields).fold(EvaluationContext::default().with_targeting_key("user-1"), |context, n| {
        context.with_custom_field(format!("field-{n}"), format!("value {n}"))
    })
}

fn convert(context: &EvaluationContext) -> Struct {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let fields = context.custom_fields.iter().map(|(key, value)| match value {
        EvaluationContextFieldValue::String(value) => (key.clone(), text(value)),
        other => panic!("{other:?} is not in this benchmark"),
    });
    let mut fields: std::collections::BTreeMap<_, _> = fields.collect();
    if let Some(key) = &context.targeting_key {
        fields.insert("targetingKey".to_owned(), text(key));
    }
    Struct { fields }
}
