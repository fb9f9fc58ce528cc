//! Facts as a context source: which identities are read and when, and what evaluations get meanwhile.

use std::{num::NonZeroUsize, time::Duration};

use flagstaff::{
    ContextSource as _, Subject,
    flagops::{Facts, FactsIdentity, Outage},
};
use open_feature::EvaluationContext;
use serde_json::{Value, json};

use super::{
    double::{Does, Store},
    wait::{PATIENCE, becomes_true, bounded, eventually},
};

/// Reads of identities, without those of pages.
const READ: &str = "GET /api/fact/";

fn context(key: &str) -> EvaluationContext {
    EvaluationContext::default().with_targeting_key(key)
}

pub async fn fields(facts: &Facts, context: &EvaluationContext) -> Value {
    try_fields(facts, context).await.unwrap()
}

pub async fn try_fields(facts: &Facts, context: &EvaluationContext) -> Result<Value, String> {
    let fields = bounded("fields", facts.fields(Subject::new(context))).await;
    fields.map(|fields| Value::Object((*fields).clone())).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_facts_of_the_targeting_key() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    store.set("acme", "seats", "5");
    store.set("acme", "targetingKey", "other");
    let facts = Facts::builder(store.client()).watch(false).wait(PATIENCE).build();
    let expected = json!({"tier": "gold", "seats": "5"});
    assert_eq!(fields(&facts, &context("acme")).await, expected);
    assert_eq!(fields(&facts, &context("nobody")).await, json!({}));
    assert_eq!(fields(&facts, &EvaluationContext::default()).await, json!({}));
    // Both are known now.
    assert_eq!(fields(&facts, &context("acme")).await, expected);
    assert_eq!(fields(&facts, &context("nobody")).await, json!({}));
    assert_eq!(store.asked(READ).len(), 2);
    assert_eq!(facts.name(), store.url);
}

#[tokio::test]
async fn several_identities_are_merged_in_order() {
    let store = Store::start().await;
    store.set("eu-1", "cluster", "eu-1");
    store.set("eu-1", "tier", "standard");
    store.set("acme", "tier", "gold");
    let facts = Facts::builder(store.client())
        .identity(FactsIdentity::Constant("eu-1".to_owned()))
        .identity(FactsIdentity::Attribute("customer".to_owned()))
        .identity(FactsIdentity::TargetingKey)
        .wait(PATIENCE)
        .build();
    let merged = context("user-1").with_custom_field("customer", "acme");
    assert_eq!(fields(&facts, &merged).await, json!({"cluster": "eu-1", "tier": "gold"}));
    let only = EvaluationContext::default().with_custom_field("customer", 5);
    assert_eq!(fields(&facts, &only).await, json!({"cluster": "eu-1", "tier": "standard"}));
}

#[tokio::test]
async fn several_identities_are_read_at_once_and_waited_for_as_long_as_one() {
    let store = Store::start().await;
    store.does(|_| Some(Does::Never));
    let wait = Duration::from_millis(300);
    let constant = |name: &str| FactsIdentity::Constant(name.to_owned());
    let mut facts = Facts::builder(store.client()).watch(false).wait(wait);
    for name in ["a", "b", "c", "d"] {
        facts = facts.identity(constant(name));
    }
    let facts = facts.build();
    let started = tokio::time::Instant::now();
    assert_eq!(fields(&facts, &context("user-1")).await, json!({}));
    // Each waits by the clock, so four waits in turn take four times as long.
    assert!(started.elapsed() < wait * 4, "{:?}", started.elapsed());
    eventually("all reads", || store.asked(READ).len() == 4).await;
}

#[tokio::test]
async fn the_caller_can_win_and_text_can_be_typed() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    store.set("acme", "seats", "5");
    store.set("acme", "beta", "true");
    let facts = Facts::builder(store.client()).wait(PATIENCE);
    let facts = facts.caller_wins(true).typed(true).build();
    let caller = context("acme").with_custom_field("tier", "platinum");
    assert_eq!(fields(&facts, &caller).await, json!({"seats": 5, "beta": true}));
    let all = json!({"seats": 5, "beta": true, "tier": "gold"});
    assert_eq!(fields(&facts, &context("acme")).await, all);
}

#[tokio::test]
async fn many_evaluations_share_one_request() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    let (open, gate) = tokio::sync::watch::channel(false);
    store.does(move |_| (!*gate.borrow()).then_some(Does::Status(503)));
    let facts = Facts::builder(store.client()).watch(false).wait(PATIENCE).build();
    let evaluations: Vec<_> = (0..50)
        .map(|_| {
            let facts = facts.clone();
            tokio::spawn(async move { fields(&facts, &context("acme")).await })
        })
        .collect();
    eventually("a request", || !store.asked(READ).is_empty()).await;
    open.send_replace(true);
    for evaluation in evaluations {
        assert_eq!(evaluation.await.unwrap(), json!({"tier": "gold"}));
    }
    assert!(store.asked(READ).len() <= 3, "one request with its repetitions");
}

#[tokio::test]
async fn a_stale_value_is_used_while_it_is_read_again() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    let facts = Facts::builder(store.client()).watch(false).age(Duration::ZERO).wait(PATIENCE);
    let facts = facts.build();
    assert_eq!(fields(&facts, &context("acme")).await, json!({"tier": "gold"}));
    // The wait is long, so an evaluation that waited would hang.
    store.does(|_| Some(Does::Never));
    for _ in 0..5 {
        assert_eq!(fields(&facts, &context("acme")).await, json!({"tier": "gold"}));
    }
    eventually("the second read", || store.asked(READ).len() == 2).await;
    assert_eq!(fields(&facts, &context("acme")).await, json!({"tier": "gold"}));
    tokio::task::yield_now().await;
    assert_eq!(store.asked(READ).len(), 2);
}

#[tokio::test]
async fn a_read_of_other_facts_is_a_change() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    let facts = Facts::builder(store.client()).watch(false).age(Duration::ZERO).wait(PATIENCE);
    let facts = facts.build();
    fields(&facts, &context("acme")).await;
    store.set("acme", "tier", "silver");
    becomes_true("the new value", async || {
        fields(&facts, &context("acme")).await == json!({"tier": "silver"})
    })
    .await;
    let first = bounded("a version", facts.changed(0)).await.version;
    // Reading the same facts again is not a change: the next change has the next version.
    fields(&facts, &context("acme")).await;
    store.set("acme", "tier", "bronze");
    becomes_true("the new value", async || {
        fields(&facts, &context("acme")).await == json!({"tier": "bronze"})
    })
    .await;
    assert_eq!(bounded("a version", facts.changed(first)).await.version, first + 1);
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let store = Store::start().await;
    let facts = Facts::builder(store.client()).wait(PATIENCE);
    let facts = facts.max_identities(NonZeroUsize::new(2).unwrap()).build();
    for key in ["a", "b", "c", "b", "c", "a"] {
        fields(&facts, &context(key)).await;
    }
    assert_eq!(store.asked(READ).len(), 4);
    let expected = ["a".to_owned(), "c".to_owned()].into();
    eventually("what was evicted to leave the stream", || store.watched() == expected).await;
}

#[tokio::test]
async fn a_changed_fact_is_there_before_its_age_is_up() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    let facts = Facts::builder(store.client()).wait(PATIENCE).age(PATIENCE * 10).build();
    assert_eq!(fields(&facts, &context("acme")).await, json!({"tier": "gold"}));
    assert_eq!(fields(&facts, &context("new")).await, json!({}));
    eventually("both to be followed", || store.watched().len() == 2).await;
    let tier = async |key: &str, value: Value| {
        becomes_true("the change", async || fields(&facts, &context(key)).await == value).await;
    };
    let seen = facts.changed(0);
    store.set("acme", "tier", "silver");
    tier("acme", json!({"tier": "silver"})).await;
    bounded("a version", seen).await;
    store.set("new", "tier", "bronze");
    tier("new", json!({"tier": "bronze"})).await;
    store.remove("acme", "tier");
    tier("acme", json!({})).await;
    store.erase("new");
    tier("new", json!({})).await;
}

#[tokio::test]
async fn a_stream_that_was_cut_loses_no_change() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    let facts = Facts::builder(store.client()).wait(PATIENCE).age(PATIENCE * 10).build();
    fields(&facts, &context("acme")).await;
    eventually("it to be followed", || store.watched().len() == 1).await;
    for (n, forget) in [(1, false), (2, true)] {
        store.does(|asked| asked.target.contains("changes").then_some(Does::Status(503)));
        if forget {
            store.forget();
        } else {
            store.cut();
        }
        eventually("the stream to end", || store.streams() == 0).await;
        store.set("acme", "tier", &n.to_string());
        store.recovers();
        becomes_true("the change", async || {
            fields(&facts, &context("acme")).await == json!({"tier": n.to_string()})
        })
        .await;
    }
}

/// Changes between the read and the moment from which the stream has the identity.
#[tokio::test]
async fn what_changes_before_the_stream_is_open_is_read_again() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    store.does(|asked| asked.target.contains("changes").then_some(Does::Status(503)));
    let facts = Facts::builder(store.client()).wait(PATIENCE).age(PATIENCE * 10).build();
    fields(&facts, &context("acme")).await;
    store.set("acme", "tier", "silver");
    store.recovers();
    becomes_true("the change", async || {
        fields(&facts, &context("acme")).await == json!({"tier": "silver"})
    })
    .await;
}

#[tokio::test]
async fn while_the_store_is_down_the_last_known_facts_are_used_or_none() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    let client = store.builder().retries(0).build().unwrap();
    let facts = Facts::builder(client).watch(false).age(Duration::ZERO).wait(PATIENCE).build();
    fields(&facts, &context("acme")).await;
    for does in [Does::Status(500), Does::Status(401), Does::Cut] {
        store.does(move |_| Some(does.clone()));
        for _ in 0..3 {
            assert_eq!(fields(&facts, &context("acme")).await, json!({"tier": "gold"}));
            assert_eq!(fields(&facts, &context("other")).await, json!({}));
        }
    }
    assert!(store.asked(READ).len() < 10, "it is not asked for each evaluation");
    store.recovers();
    store.set("other", "tier", "silver");
    becomes_true("recovery", async || {
        fields(&facts, &context("other")).await == json!({"tier": "silver"})
    })
    .await;
}

#[tokio::test]
async fn while_the_store_is_down_evaluations_can_fail() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    let client = store.builder().retries(0).build().unwrap();
    let facts = Facts::builder(client).watch(false).age(Duration::ZERO).wait(PATIENCE);
    let facts = facts.outage(Outage::Fail).build();
    fields(&facts, &context("acme")).await;
    store.does(|_| Some(Does::Status(503)));
    becomes_true("a failure", async || try_fields(&facts, &context("acme")).await.is_err()).await;
    let error = try_fields(&facts, &context("other")).await.unwrap_err();
    assert!(error.contains("503"), "{error}");
    store.recovers();
    becomes_true("recovery", async || try_fields(&facts, &context("acme")).await.is_ok()).await;
}

#[tokio::test]
async fn an_evaluation_does_not_wait_for_a_store_that_hangs() {
    let store = Store::start().await;
    store.does(|_| Some(Does::Never));
    let wait = Duration::from_millis(20);
    let facts = Facts::builder(store.client()).watch(false).wait(wait).build();
    assert_eq!(fields(&facts, &context("acme")).await, json!({}));
    let failing = Facts::builder(store.client()).watch(false).wait(wait).outage(Outage::Fail);
    let error = try_fields(&failing.build(), &context("acme")).await.unwrap_err();
    assert!(error.contains("20ms"), "{error}");
}

/// What arrives after the evaluation went on without it is a change for whoever evaluates on changes.
#[tokio::test]
async fn facts_that_came_too_late_are_a_change() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    let mut first = true;
    store.does(move |_| std::mem::take(&mut first).then_some(Does::RetryAfter(503, 1)));
    let facts = Facts::builder(store.client()).watch(false).wait(Duration::from_millis(5)).build();
    assert_eq!(fields(&facts, &context("acme")).await, json!({}));
    bounded("a version", facts.changed(0)).await;
    assert_eq!(fields(&facts, &context("acme")).await, json!({"tier": "gold"}));
}

#[tokio::test]
async fn without_a_change_stream_the_age_decides() {
    let store = Store::original().await;
    store.set("acme", "tier", "gold");
    let facts =
        Facts::builder(store.client()).wait(PATIENCE).age(Duration::from_millis(20)).build();
    assert_eq!(fields(&facts, &context("acme")).await, json!({"tier": "gold"}));
    store.set("acme", "tier", "silver");
    becomes_true("the change", async || {
        fields(&facts, &context("acme")).await == json!({"tier": "silver"})
    })
    .await;
    eventually("an attempt", || !store.asked("POST /api/changes").is_empty()).await;
}

#[tokio::test]
async fn the_stream_ends_with_the_last_clone() {
    let store = Store::start().await;
    let facts = Facts::builder(store.client()).wait(PATIENCE).build();
    fields(&facts, &context("acme")).await;
    eventually("the stream", || store.streams() == 1).await;
    let clone = facts.clone();
    drop(facts);
    fields(&clone, &context("acme")).await;
    drop(clone);
    eventually("its end", || store.streams() == 0).await;
}
