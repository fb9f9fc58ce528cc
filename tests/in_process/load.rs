//! Many updates, and evaluations while they come.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use flagstaff::{FlagdProvider, ProviderEvent};
use open_feature::{EvaluationContext, provider::FeatureProvider};
use serde_json::{Value as Json, json};

use super::of;
use crate::support::{
    memory::resident,
    provider::{next, ready, watched},
    servers::sync_server::SyncServer,
    wait::bounded,
};

/// A definition in which all flags have the same number, from a rule.
fn numbered(number: i64) -> Json {
    let flag = json!({
        "state": "ENABLED",
        "variants": {"a": number, "b": number},
        "defaultVariant": "a",
        "targeting": {"if": [{"in": ["1", {"var": "targetingKey"}]}, "a", "b"]},
    });
    let flags = (0..20).map(|index| (format!("flag-{index}"), flag.clone()));
    json!({"flags": flags.collect::<serde_json::Map<_, _>>()})
}

async fn number(provider: &FlagdProvider, key: &str) -> i64 {
    let context = EvaluationContext::default().with_targeting_key("user-1");
    provider.resolve_int_value(key, &context).await.unwrap().value
}

/// The official Rust provider hangs after about 1000 updates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_updates_one_after_the_other() {
    let server = SyncServer::start(&numbered(0));
    let (provider, mut events) = watched(of(&server)).await;
    let mut memory = 0;
    for update in 1..=1000 {
        server.set(&numbered(update));
        match next(&mut events).await {
            ProviderEvent::ConfigurationChanged(flags) => assert!(flags.contains("flag-19")),
            other => panic!("{other:?}"),
        }
        assert_eq!(number(&provider, "flag-0").await, update);
        if update == 100 {
            memory = resident();
        }
    }
    let grown = resident().saturating_sub(memory);
    assert!(grown < 16 << 20, "memory grew by {grown} bytes in 900 updates");
}

/// Evaluations never see a mixture, nor an older state than before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn evaluations_of_eight_tasks_see_whole_updates() {
    let server = SyncServer::start(&numbered(0));
    let provider = ready(of(&server)).await;
    let done = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (provider, done) = (provider.clone(), done.clone());
            tokio::spawn(async move {
                let (mut latest, mut seen) = (0, 0);
                while !done.load(Ordering::Relaxed) {
                    // Of two flags that change together, the one read later is never behind.
                    for key in ["flag-0", "flag-19"] {
                        let number = number(&provider, key).await;
                        assert!(number >= latest, "{key} went from {latest} to {number}");
                        seen += usize::from(number > latest);
                        latest = number;
                    }
                    tokio::task::yield_now().await;
                }
                seen
            })
        })
        .collect();
    for update in 1..=200 {
        server.set(&numbered(update));
        bounded("the update", async {
            while number(&provider, "flag-10").await < update {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    done.store(true, Ordering::Relaxed);
    for task in tasks {
        assert!(bounded("a task", task).await.unwrap() > 0, "a task has seen no update");
    }
}
