//! The defects of the original's provider, P1 to P9, each of which must not be here.

use std::{sync::Arc, time::Duration};

use flagstaff::flagops::{Facts, FactsClient, FactsError, FactsProvider};
use open_feature::{EvaluationContext, provider::FeatureProvider as _};
use serde_json::json;

use super::{
    double::{Does, Store},
    facts::fields,
    provider::Vendor,
    wait::{PATIENCE, bounded},
};

fn context(key: &str) -> EvaluationContext {
    EvaluationContext::default().with_targeting_key(key)
}

/// Clients had to know that the path begins with `/api`.
#[tokio::test]
async fn p1_a_url_with_and_without_api() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    for suffix in ["", "/", "/api", "/api/", "/api//"] {
        let client = FactsClient::builder(format!("{}{suffix}", store.url)).without_proxy();
        let facts = client.build().unwrap().facts("acme").await.unwrap();
        assert_eq!(facts.facts["tier"], "gold", "{suffix}");
    }
    assert_eq!(store.asked("GET /api/fact/acme").len(), 5);
}

/// The status was ignored: without facts every flag was its default, and the strings of an error were
/// facts.
#[tokio::test]
async fn p2_no_facts_are_no_error_and_an_error_is_no_fact() {
    for store in [Store::start().await, Store::original().await] {
        let facts = Facts::builder(store.client()).watch(false).wait(PATIENCE).build();
        let provider = FactsProvider::new(Vendor::new(), facts.clone());
        assert!(provider.resolve_bool_value("f", &context("nobody")).await.unwrap().value);
        for status in [400, 403, 404, 500] {
            let body = r#"{"tier":"gold"}"#.to_owned();
            store.does(move |_| Some(Does::Body(status, "application/json", body.clone())));
            assert_eq!(fields(&facts, &context(&status.to_string())).await, json!({}));
        }
    }
}

/// Facts could replace the targeting key, and changed the caller's map.
#[tokio::test]
async fn p3_the_targeting_key_and_the_callers_context_stay() {
    let store = Store::start().await;
    store.set("acme", "targetingKey", "other");
    store.set("acme", "tier", "gold");
    let facts = Facts::builder(store.client()).wait(PATIENCE);
    let caller = context("acme").with_custom_field("tier", "free");
    for (wins, tier) in [(false, "gold"), (true, "free")] {
        let vendor = Vendor::new();
        let contexts = Arc::clone(&vendor.contexts);
        let provider = FactsProvider::new(vendor, facts.clone().caller_wins(wins).build());
        provider.resolve_bool_value("f", &caller).await.unwrap();
        let expected = context("acme").with_custom_field("tier", tier);
        assert_eq!(*contexts.lock().unwrap(), [expected]);
    }
    assert_eq!(caller, context("acme").with_custom_field("tier", "free"));
}

/// There was no timeout and no cache, and a caller who gave up was ignored.
#[tokio::test]
async fn p4_evaluations_wait_for_a_bounded_time_and_share_what_was_read() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    let wait = Duration::from_millis(20);
    let facts = Facts::builder(store.client()).watch(false).wait(PATIENCE).build();
    for _ in 0..10 {
        assert_eq!(fields(&facts, &context("acme")).await, json!({"tier": "gold"}));
    }
    assert_eq!(store.asked("GET").len(), 1);
    store.does(|_| Some(Does::Never));
    let hasty = Facts::builder(store.client()).watch(false).wait(wait).build();
    assert_eq!(fields(&hasty, &context("acme")).await, json!({}));
    let client = store.builder().timeout(wait).retries(0).build().unwrap();
    let error = bounded("an error", client.facts("acme")).await.unwrap_err();
    assert!(matches!(error, FactsError::Unreachable(_)), "{error:?}");
}

/// A targeting key that was not a string was a panic.
#[tokio::test]
async fn p5_a_targeting_key_of_another_type_has_no_facts() {
    let store = Store::start().await;
    let facts = Facts::builder(store.client()).wait(PATIENCE).build();
    let caller = EvaluationContext::default().with_custom_field("targetingKey", 5);
    assert_eq!(fields(&facts, &caller).await, json!({}));
    assert!(store.asked("GET").is_empty());
}

/// Each response kept its connection.
#[tokio::test]
async fn p6_connections_are_used_again() {
    let store = Store::start().await;
    let client = store.client();
    store.set("acme", "tier", "gold");
    let before = open_files();
    for _ in 0..50 {
        client.facts("acme").await.unwrap();
        client.facts("nobody").await.unwrap();
        client.fact("acme", "no").await.unwrap();
    }
    let now = open_files();
    assert!(now < before + 20, "{before} open files before, {now} after");
}

/// The number of open files of this process; other tests may have some too.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Hooks and the lifecycle of the wrapped provider were lost.
#[tokio::test]
async fn p7_hooks_and_lifecycle_are_forwarded() {
    let store = Store::start().await;
    let mut provider = FactsProvider::new(Vendor::new(), Facts::new(store.client()));
    assert_eq!(provider.hooks().len(), 1);
    let before = provider.status();
    provider.initialize(&EvaluationContext::default()).await;
    assert_ne!(provider.status(), before);
}

/// The key for the API was accepted and never sent.
#[tokio::test]
async fn p8_the_token_is_sent() {
    let store = Store::start().await;
    store.requires("hush");
    let client = store.builder().token("hush").build().unwrap();
    client.put_fact("acme", "tier", "gold").await.unwrap();
    let facts = Facts::builder(client).wait(PATIENCE).build();
    assert_eq!(fields(&facts, &context("acme")).await, json!({"tier": "gold"}));
}

/// A targeting key such as `../secret/ID` put secrets into the context.
#[tokio::test]
async fn p9_a_targeting_key_leads_nowhere_else() {
    for store in [Store::start().await, Store::original().await] {
        store.set_secret("acme", "password", "hush");
        store.set("acme", "tier", "gold");
        let client = store.client();
        let facts = Facts::builder(client.clone()).watch(false).wait(PATIENCE).build();
        for key in ["../secret/acme", "..", ".", "a/b", "/", "", "a\nb", &"x".repeat(161)] {
            assert_eq!(fields(&facts, &context(key)).await, json!({}), "{key}");
            let error = client.facts(key).await.unwrap_err();
            assert!(matches!(error, FactsError::Name { .. }), "{error:?}");
            client.secrets(key).await.unwrap_err();
            client.put_fact(key, "a", "b").await.unwrap_err();
            client.put_fact("a", key, "b").await.unwrap_err();
            client.delete_identity(key).await.unwrap_err();
        }
        assert!(store.asked("").is_empty(), "nothing was sent");
        for key in ["..%2fsecret%2facme", "%2e%2e", "a%20b", "100%", "acme?x", "acme#x"] {
            assert_eq!(fields(&facts, &context(key)).await, json!({}), "{key}");
        }
    }
}
