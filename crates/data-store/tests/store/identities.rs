//! Identities: listing, pages, erasure.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{problem, store, stores};

#[tokio::test]
async fn identities_are_listed_with_what_they_have() {
    for store in stores().await {
        store.fact("facts", "k", "v").await;
        store.put("/api/secret/secrets/k", json!({ "value": "v" })).await;
        store.fact("both", "k", "v").await;
        store.put("/api/secret/both/k", json!({ "value": "v" })).await;
        let expected = json!({ "identities": {
            "both": { "facts": true, "secrets": true },
            "facts": { "facts": true, "secrets": false },
            "secrets": { "facts": false, "secrets": true },
        } });
        assert_eq!(store.json("/api/identity").await, expected);
    }
}

#[tokio::test]
async fn pages_have_every_identity_once() {
    for store in stores().await {
        for number in 0..25 {
            let kind = if number % 2 == 0 { "fact" } else { "secret" };
            let path = format!("/api/{kind}/p-{number:02}/k");
            assert_eq!(store.put(&path, json!({ "value": "v" })).await.status(), 200);
        }
        store.fact("q", "k", "v").await;
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/api/identity?prefix=p-&limit=4&after={after}");
            let page = store.json(&path).await;
            let names = page["identities"].as_object().unwrap();
            assert!(names.len() <= 4);
            seen.extend(names.keys().cloned());
            match &page["next"] {
                Value::String(next) => next.clone_into(&mut after),
                _ => break,
            }
        }
        let expected: Vec<String> = (0..25).map(|it| format!("p-{it:02}")).collect();
        assert_eq!(seen, expected);
        for limit in ["0", "-1", "10001", "x"] {
            for path in ["identity", "fact"] {
                let response = store.get(&format!("/api/{path}?limit={limit}")).await;
                problem(response, StatusCode::BAD_REQUEST).await;
            }
        }
    }
}

#[tokio::test]
async fn without_a_limit_the_list_is_complete() {
    let store = crate::support::store().await;
    for thousand in 0..21 {
        let identities =
            (0..1_000).map(|it| (format!("{:05}", thousand * 1_000 + it), json!({ "k": "v" })));
        let patch: serde_json::Map<_, _> = identities.collect();
        assert_eq!(store.patch("/api/fact", patch.into()).await.status(), 200);
    }
    let all = store.json("/api/identity").await;
    assert_eq!(all["identities"].as_object().unwrap().len(), 21_000);
    assert!(all.get("next").is_none());
    // Facts come in pages, which go on where the last one ended.
    let page = store.json("/api/fact?limit=10000").await;
    assert_eq!(page["facts"].as_object().unwrap().len(), 10_000);
    let page = store.json("/api/fact?limit=1000&after=19999").await;
    assert_eq!(page["facts"].as_object().unwrap().len(), 1_000);
    assert_eq!(page["next"], "20999");
    assert_eq!(store.json("/api/fact?after=20999").await, json!({ "facts": {} }));
}

#[tokio::test]
async fn erasing_an_identity_erases_its_history_and_the_audit_keeps_that() {
    for store in stores().await {
        store.fact("c0", "tier", "gold").await;
        store.put("/api/secret/c0/password", json!({ "value": "v" })).await;
        assert_eq!(store.delete("/api/identity/c0").await.status(), 200);
        assert_eq!(store.get("/api/fact/c0").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(store.get("/api/secret/c0").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(store.get("/api/fact/c0/tier/history").await.status(), StatusCode::NOT_FOUND);
        let audit = store.json("/api/audit?action=identity.erase").await;
        assert_eq!(audit["events"][0]["subject"], "c0");
        assert_eq!(audit["events"][0]["actor"], "token:test");
        assert_eq!(store.delete("/api/identity/c0").await.status(), 200, "again");
        let audit = store.json("/api/audit?action=identity.erase").await;
        assert_eq!(audit["events"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_list_of_all_identities_is_json_though_its_first_pages_are_hidden() {
    let store = store().await;
    let facts: Value = (0..10_000).map(|it| (format!("a{it:04}"), json!({ "k": "v" }))).collect();
    assert_eq!(store.patch("/api/fact", facts).await.status(), 200);
    store.fact("b", "k", "v").await;
    let all = store.json("/api/identity").await;
    assert_eq!(all["identities"].as_object().unwrap().len(), 10_001);
    let token = store.token(&["facts-read"], Some(&["b"])).await;
    let list = store.request_with(&token, Method::GET, "/api/identity").send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    assert_eq!(list, json!({ "identities": { "b": { "facts": true } } }));
}

#[tokio::test]
async fn d24_a_list_tells_only_what_the_token_may_know() {
    for store in stores().await {
        store.fact("eu-1", "k", "v").await;
        store.put("/api/secret/eu-2/k", json!({ "value": "v" })).await;
        store.fact("us-1", "k", "v").await;
        let list = async |token: &str| -> Value {
            let response = store.request_with(token, Method::GET, "/api/identity").send().await;
            response.unwrap().json().await.unwrap()
        };
        let facts = store.token(&["facts-read"], Some(&["eu-"])).await;
        assert_eq!(list(&facts).await, json!({ "identities": { "eu-1": { "facts": true } } }));
        let secrets = store.token(&["secrets-read"], None).await;
        assert_eq!(list(&secrets).await, json!({ "identities": { "eu-2": { "secrets": true } } }));
        let neither = store.token(&["users-read"], None).await;
        let response = store.request_with(&neither, Method::GET, "/api/identity").send().await;
        problem(response.unwrap(), StatusCode::FORBIDDEN).await;
    }
}
