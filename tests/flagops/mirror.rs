//! A mirror: all facts of a prefix in memory, and no request for an evaluation.

use std::time::Duration;

use flagstaff::{
    ContextSource as _,
    flagops::{Facts, Outage},
};
use open_feature::EvaluationContext;
use serde_json::{Value, json};

use super::{
    double::{Does, Store},
    facts::{fields, try_fields},
    wait::{PATIENCE, becomes_true, bounded, eventually},
};

fn context(key: &str) -> EvaluationContext {
    EvaluationContext::default().with_targeting_key(key)
}

async fn becomes(facts: &Facts, key: &str, expected: Value) {
    becomes_true("the change", async || fields(facts, &context(key)).await == expected).await;
}

#[tokio::test]
async fn an_evaluation_makes_no_request() {
    let store = Store::start().await;
    store.set("acme-1", "tier", "gold");
    store.set("other", "tier", "gold");
    let facts = Facts::builder(store.client()).mirror("acme-").build();
    bounded("the mirror", facts.ready()).await;
    let before = store.asked("").len();
    assert_eq!(fields(&facts, &context("acme-1")).await, json!({"tier": "gold"}));
    assert_eq!(fields(&facts, &context("acme-2")).await, json!({}));
    assert_eq!(fields(&facts, &context("other")).await, json!({}), "not in the prefix");
    store.set("acme-2", "tier", "silver");
    becomes(&facts, "acme-2", json!({"tier": "silver"})).await;
    store.set("acme-1", "tier", "bronze");
    becomes(&facts, "acme-1", json!({"tier": "bronze"})).await;
    store.erase("acme-1");
    becomes(&facts, "acme-1", json!({})).await;
    assert!(bounded("a version", facts.changed(0)).await.version > 0);
    assert_eq!(store.asked("").len(), before);
}

/// The stream is open before the pages are read, and repeats what they contain.
#[tokio::test]
async fn changes_during_the_load_are_neither_lost_nor_undone() {
    let store = std::sync::Arc::new(Store::start().await);
    for n in 0..20 {
        store.set(&format!("c{n:02}"), "n", "old");
    }
    let facts = Facts::builder(store.client()).mirror("").build();
    let writing = std::sync::Arc::clone(&store);
    let mut writes = 0;
    store.does(move |asked| {
        if asked.target.starts_with("/api/fact?") && writes < 3 {
            writes += 1;
            for n in 0..20 {
                writing.set(&format!("c{n:02}"), "n", &format!("new {writes}"));
            }
        }
        None
    });
    bounded("the mirror", facts.ready()).await;
    for n in 0..20 {
        becomes(&facts, &format!("c{n:02}"), json!({"n": "new 1"})).await;
    }
    store.recovers();
}

#[tokio::test]
async fn it_is_loaded_again_after_a_reset_and_goes_on_after_a_cut() {
    let store = Store::start().await;
    store.set("a", "x", "1");
    store.set("b", "x", "1");
    let facts = Facts::builder(store.client()).mirror("").build();
    bounded("the mirror", facts.ready()).await;
    let loads = || store.asked("GET /api/fact?").len();
    let unreachable = || {
        store.does(|asked| asked.target.contains("changes").then_some(Does::Status(503)));
    };
    unreachable();
    store.cut();
    eventually("the stream to end", || store.streams() == 0).await;
    store.set("a", "x", "2");
    assert_eq!(fields(&facts, &context("a")).await, json!({"x": "1"}), "the last known facts");
    store.recovers();
    becomes(&facts, "a", json!({"x": "2"})).await;
    assert_eq!(loads(), 1);
    unreachable();
    store.forget();
    eventually("the stream to end", || store.streams() == 0).await;
    store.erase("b");
    store.set("a", "x", "3");
    store.recovers();
    becomes(&facts, "a", json!({"x": "3"})).await;
    assert_eq!(fields(&facts, &context("b")).await, json!({}));
    assert_eq!(loads(), 2);
}

#[tokio::test]
async fn until_it_is_loaded_there_are_no_facts_or_an_error() {
    let store = Store::start().await;
    store.set("a", "x", "1");
    store.does(|_| Some(Does::Status(503)));
    let wait = Duration::from_millis(10);
    let builder = Facts::builder(store.builder().retries(0).build().unwrap()).mirror("").wait(wait);
    let (facts, failing) = (builder.clone().build(), builder.outage(Outage::Fail).build());
    assert_eq!(fields(&facts, &context("a")).await, json!({}));
    try_fields(&failing, &context("a")).await.unwrap_err();
    store.recovers();
    for facts in [&facts, &failing] {
        bounded("the mirror", facts.ready()).await;
        assert_eq!(fields(facts, &context("a")).await, json!({"x": "1"}));
    }
}

#[tokio::test]
async fn an_old_mirror_can_be_an_error() {
    let store = Store::start().await;
    store.set("a", "x", "1");
    let facts = Facts::builder(store.client()).mirror("").age(Duration::ZERO);
    let facts = facts.outage(Outage::Fail).wait(PATIENCE).build();
    assert_eq!(fields(&facts, &context("a")).await, json!({"x": "1"}));
    store.does(|_| Some(Does::Status(503)));
    store.cut();
    becomes_true("a failure", async || try_fields(&facts, &context("a")).await.is_err()).await;
    store.recovers();
    becomes_true("recovery", async || try_fields(&facts, &context("a")).await.is_ok()).await;
}

#[tokio::test]
async fn without_a_change_stream_identities_are_cached() {
    let store = Store::original().await;
    store.set("a", "x", "1");
    let facts = Facts::builder(store.client()).mirror("").wait(PATIENCE).build();
    bounded("the answer", facts.ready()).await;
    assert_eq!(fields(&facts, &context("a")).await, json!({"x": "1"}));
    assert_eq!(store.asked("GET /api/fact/a").len(), 1);
}
