//! What facts cost an evaluation in this process, when they are known: from the cache, from the cache
//! with the change stream, and from a mirror.
//!
//! Beside them: the same evaluation without a source, and with one that returns a constant.

// A benchmark that fails may panic.
#![allow(unreachable_pub, clippy::unwrap_used)]

#[path = "../tests/flagops/double.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod double;

use std::{
    error::Error,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use criterion::Criterion;
use flagstaff::{
    ContextSource, FlagdOptions, FlagdProvider, Subject, async_trait,
    flagd::Resolver,
    flagops::{Facts, FactsIdentity},
};
use open_feature::{EvaluationContext, provider::FeatureProvider as _};
use serde_json::{Map, Value, json};

use double::Store;

/// A source that has its fields.
struct Constant(Arc<Map<String, Value>>);

#[async_trait]
impl ContextSource for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    async fn fields(
        &self,
        _: Subject<'_>,
    ) -> Result<Arc<Map<String, Value>>, Box<dyn Error + Send + Sync>> {
        Ok(Arc::clone(&self.0))
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let store = runtime.block_on(Store::start());
    for n in 0..1000 {
        for (key, value) in
            [("tier", "gold"), ("cluster", "eu-1"), ("owner", "ann"), ("seats", "5")]
        {
            store.set(&format!("acme-{n}"), key, value);
        }
    }
    store.set("here", "region", "eu");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.json");
    let rule = json!({"if": [{"==": [{"var": "tier"}, "gold"]}, "five", "one"]});
    let flag = json!({"state": "ENABLED", "variants": {"five": 5, "one": 1}, "defaultVariant": "one", "targeting": rule});
    std::fs::write(&path, json!({"flags": {"replicas": flag}}).to_string()).unwrap();
    let options = FlagdOptions::builder().without_env();
    let options = options.resolver(Resolver::File).offline_flag_source_path(&path).build().unwrap();
    let new = || FlagdProvider::new(options.clone());
    let facts = || Facts::builder(store.client()).age(Duration::from_secs(3600));
    let two = facts().identity(FactsIdentity::Constant("here".to_owned()));
    let fields = json!({"tier": "gold", "cluster": "eu-1", "owner": "ann", "seats": "5"});
    let fields = Arc::new(fields.as_object().unwrap().clone());
    let context = EvaluationContext::default().with_targeting_key("acme-7");
    let with_tier = context.clone().with_custom_field("tier", "gold");
    let rows = [
        ("no source", new(), with_tier),
        ("constant source", new().with_context_source(Constant(fields)), context.clone()),
        ("cached", new().with_context_source(facts().watch(false).build()), context.clone()),
        ("watched", new().with_context_source(facts().build()), context.clone()),
        ("mirror", new().with_context_source(facts().mirror("acme-").build()), context.clone()),
        (
            "cached, two identities",
            new().with_context_source(two.identity(FactsIdentity::TargetingKey).build()),
            context,
        ),
    ];
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    let mut group = criterion.benchmark_group("facts");
    for (name, mut provider, context) in rows {
        runtime.block_on(provider.initialize(&EvaluationContext::default()));
        // The first evaluations find out what is to be known.
        runtime.block_on(async {
            while provider.resolve_int_value("replicas", &context).await.unwrap().value != 5 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let evaluated = pin!(provider.resolve_int_value("replicas", black_box(&context)));
                match evaluated.poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(details) => details.unwrap().value,
                    Poll::Pending => panic!("the facts are not known"),
                }
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
