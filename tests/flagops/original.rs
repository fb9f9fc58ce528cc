//! The client against the original data store: what that one can do works, and what it cannot do is a
//! clear error.

use std::time::Duration;

use flagstaff::flagops::{FactPatch, FactsError, ListQuery, PutFact, Subscription};
use serde_json::json;

use super::double::{Does, Store};

fn assert_unsupported<T: std::fmt::Debug>(result: Result<T, FactsError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, FactsError::Unsupported { .. }) && !error.is_temporary(), "{error:?}");
}

#[tokio::test]
async fn what_it_can_do() {
    let store = Store::original().await;
    let client = store.client();
    assert_eq!(client.put_fact("acme", "tier", "gold").await.unwrap(), None);
    store.set("other", "tier", "silver");
    assert_eq!(json!(client.facts("acme").await.unwrap().facts), json!({"tier": "gold"}));
    assert!(client.facts("nobody").await.unwrap().facts.is_empty());
    assert_eq!(client.fact("acme", "tier").await.unwrap().unwrap().value, "gold");
    assert_eq!(client.fact("acme", "owner").await.unwrap(), None);
    // It sorts nothing and ignores the query.
    let page = client.identities(&ListQuery::prefix("ac").limit(1)).await.unwrap();
    assert_eq!(page.items.keys().collect::<Vec<_>>(), ["acme"]);
    assert_eq!(page.next, None);
    client.delete_identity("acme").await.unwrap();
    assert_eq!(store.fact("acme", "tier"), None);
}

/// It answers 500 in place of 404, and 500 if its database fails.
#[tokio::test]
async fn a_fact_of_an_unknown_identity_is_absent() {
    let store = Store::original().await;
    let client = store.client();
    assert_eq!(client.fact("nobody", "tier").await.unwrap(), None);
    client.delete_secret("nobody", "key").await.unwrap();
    store.does(|_| Some(Does::Status(500)));
    let error = client.fact("nobody", "tier").await.unwrap_err();
    assert!(matches!(error, FactsError::Unavailable { .. }), "{error:?}");
    client.delete_secret("nobody", "key").await.unwrap_err();
}

/// D2: it would remove the whole identity.
#[tokio::test]
async fn one_fact_is_not_removed() {
    let store = Store::original().await;
    let client = store.client();
    store.set("acme", "tier", "gold");
    store.set("acme", "cluster", "eu1");
    assert_unsupported(client.delete_fact("acme", "tier").await);
    assert_eq!(store.fact("acme", "cluster").as_deref(), Some("eu1"));
    assert!(store.asked("DELETE").is_empty());
}

#[tokio::test]
async fn what_it_would_ignore_is_not_sent() {
    let store = Store::original().await;
    let client = store.client();
    let fact = PutFact::new("gold");
    assert_unsupported(client.put_fact("acme", "tier", fact.clone().if_absent()).await);
    assert_unsupported(client.put_fact("acme", "tier", fact.clone().if_version("1")).await);
    let expiring = fact.expires_in(Duration::from_secs(1));
    assert_unsupported(client.put_fact("acme", "tier", expiring).await);
    assert!(store.asked("PUT").is_empty());
    assert_eq!(store.asked("GET /api/fact?limit=1").len(), 1, "asked once what it is");
}

#[tokio::test]
async fn what_it_does_not_have() {
    let store = Store::original().await;
    let client = store.client();
    let patch = FactPatch::new().set("a", "b");
    assert_unsupported(client.merge_facts("acme", &patch).await);
    assert_unsupported(client.merge_all([("acme", &patch)]).await);
    assert_unsupported(client.history("acme", "tier", None).await);
    assert_unsupported(client.all_facts(&ListQuery::all()).await);
    assert_unsupported(client.changes(Subscription::all()).unwrap().next().await);
}
