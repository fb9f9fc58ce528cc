//! The flags that templates name, each evaluated once in a run.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use flagstaff::{FlagdProvider, reason};
use open_feature::{EvaluationContext, EvaluationErrorCode as Code, EvaluationReason};
use serde_json::Value as Json;
use tokio::runtime::Handle;

use super::lookup::NoValue;
use crate::{eval, excerpt::excerpt};

/// A provider, for one evaluation context.
pub(super) struct Flags {
    provider: FlagdProvider,
    context: EvaluationContext,
    /// Templates are not asynchronous, so they are rendered outside of the runtime and wait for it.
    runtime: Handle,
    results: Mutex<HashMap<String, Result<Json, NoValue>>>,
}

impl Flags {
    pub(super) fn new(
        provider: FlagdProvider,
        context: EvaluationContext,
        runtime: Handle,
    ) -> Self {
        Self { provider, context, runtime, results: Mutex::default() }
    }

    /// The value of a flag, whatever its type.
    ///
    /// It must not be called in a task of the runtime.
    pub(super) fn get(&self, key: &str) -> Result<Json, NoValue> {
        // A result is inserted as a whole, so a panic elsewhere leaves nothing half done.
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = results.get(key) {
            return known.clone();
        }
        let result = self.runtime.block_on(self.evaluate(key));
        results.insert(key.to_owned(), result.clone());
        result
    }

    async fn evaluate(&self, key: &str) -> Result<Json, NoValue> {
        let error = match eval::resolve(&self.provider, None, key, &self.context).await {
            Ok(answer) => return Ok(answer.value),
            Err(error) => error,
        };
        let name = excerpt(key);
        Err(match (reason(&error), &error.code) {
            (EvaluationReason::Disabled, _) => NoValue::Left(format!("flag `{name}` is disabled")),
            (EvaluationReason::Default, _) => {
                NoValue::Left(format!("flag `{name}` has no value for this context"))
            }
            (_, Code::FlagNotFound) => NoValue::Absent,
            (_, code) => {
                let is_unreachable = *code == Code::ProviderNotReady;
                let cause = error.message.as_deref().unwrap_or("no reason was provided");
                let message = format!("flag `{name}` cannot be evaluated: {code}: {cause}");
                NoValue::Failed { message, is_unreachable }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        error::Error,
        fs,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use flagstaff::{ContextSource, FlagdOptions, Subject, async_trait, flagd::Resolver};
    use open_feature::provider::FeatureProvider as _;
    use serde_json::{Map, json};
    use tokio::task::spawn_blocking;

    use super::*;

    /// Counts the evaluations, since none of them is cached with a source.
    struct Counter(Arc<AtomicUsize>);

    #[async_trait]
    impl ContextSource for Counter {
        fn name(&self) -> &'static str {
            "counter"
        }

        async fn fields(
            &self,
            _: Subject<'_>,
        ) -> Result<Arc<Map<String, Json>>, Box<dyn Error + Send + Sync>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Arc::default())
        }
    }

    /// F9: not three evaluations for each use of a flag.
    #[tokio::test]
    async fn f9_a_flag_is_evaluated_once_for_each_type() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flags.json");
        let flag = |value: Json| {
            json!({
                "state": "ENABLED", "variants": { "v": value }, "defaultVariant": "v",
                // Without a rule the result could be cached.
                "targeting": { "if": [{ "var": "x" }, "v"] },
            })
        };
        let definition = json!({ "flags": { "on": flag(json!(true)), "object": flag(json!({})) } });
        fs::write(&path, definition.to_string()).unwrap();
        let options = FlagdOptions::builder().without_env().resolver(Resolver::File);
        let options = options.offline_flag_source_path(&path).build().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let provider = FlagdProvider::new(options).with_context_source(Counter(Arc::clone(&count)));
        provider.clone().initialize(&EvaluationContext::default()).await;
        let flags = Flags::new(provider, EvaluationContext::default(), Handle::current());
        spawn_blocking(move || {
            for _ in 0..3 {
                assert_eq!(flags.get("on"), Ok(json!(true)));
                assert_eq!(flags.get("object"), Ok(json!({})));
                assert_eq!(flags.get("missing"), Err(NoValue::Absent));
            }
        })
        .await
        .unwrap();
        // A boolean is found at once, an object after three other types.
        let evaluations = count.load(Ordering::Relaxed);
        assert!((5..=6).contains(&evaluations), "{evaluations}");
    }
}
