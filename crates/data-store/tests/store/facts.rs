//! Facts: reading, writing, history, expiry, bulk writes, and what is rejected.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{encode, problem, store, stores};

#[tokio::test]
async fn facts_are_written_read_and_removed_at_the_paths_of_the_original() {
    for store in stores().await {
        assert_eq!(store.put("/api/fact/c0/tier", json!({ "value": "gold" })).await.status(), 200);
        store.fact("c0", "cluster", "eu1").await;
        assert_eq!(store.json("/api/fact/c0").await, json!({ "tier": "gold", "cluster": "eu1" }));
        assert_eq!(store.json("/fact/c0").await, json!({ "tier": "gold", "cluster": "eu1" }));
        assert_eq!(store.json("/api/fact/c0/tier").await, json!({ "tier": "gold" }));
        assert_eq!(store.delete("/api/fact/c0/tier").await.status(), 200);
        assert_eq!(store.json("/api/fact/c0").await, json!({ "cluster": "eu1" }));
        assert_eq!(
            problem(store.get("/api/fact/c0/tier").await, StatusCode::NOT_FOUND).await,
            "fact_not_found"
        );
    }
}

#[tokio::test]
async fn an_identity_without_facts_is_an_empty_object_with_404() {
    for store in stores().await {
        let response = store.get("/api/fact/nobody").await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.text().await.unwrap(), "{}");
    }
}

#[tokio::test]
async fn whatever_the_grammar_allows_is_read_back_exactly() {
    let names =
        ["a:b", "*", "?", "[x]", "100%", "a%20b", "a b", "ä", "日本", "..a", "\\", "'\"`", "%2F"];
    for store in stores().await {
        for name in names {
            let value = format!("value of {name}\n\t\u{1}\u{7f}");
            store.fact(name, name, &value).await;
            let path = format!("/api/fact/{}", encode(name));
            assert_eq!(store.json(&path).await, json!({ name: value }), "{name}");
        }
        let listed = store.json("/api/identity").await;
        assert_eq!(listed["identities"].as_object().unwrap().len(), names.len());
        // The largest value.
        let large = "ä".repeat(32 << 10);
        store.fact("large", "value", &large).await;
        assert_eq!(store.json("/api/fact/large").await["value"], large);
    }
}

#[tokio::test]
async fn what_the_grammar_does_not_allow_is_rejected_with_the_reason() {
    for store in stores().await {
        let bad = ["a%2Fb", "a%0Ab", "%00", "%7F", "%2E%2E", "%FF", &"x".repeat(161)];
        for name in bad {
            for path in [format!("/api/fact/{name}/key"), format!("/api/secret/{name}/key")] {
                let response = store.put(&path, json!({ "value": "x" })).await;
                let status = response.status();
                // A client normalises `..` before the request is sent.
                let gone = name == "%2E%2E" && status == StatusCode::NOT_FOUND;
                assert!(gone || status == StatusCode::BAD_REQUEST, "{path}: {status}");
            }
        }
        let path = format!("/api/fact/a/{}", "k".repeat(10 << 10));
        problem(store.put(&path, json!({ "value": "x" })).await, StatusCode::BAD_REQUEST).await;
        for body in [
            json!({}),
            json!(null),
            json!([]),
            json!({ "value": null }),
            json!({ "value": 5 }),
            json!({ "value": "" }),
            json!({ "value": "\0" }),
            json!({ "value": "x".repeat((64 << 10) + 1) }),
            json!({ "value": "x".repeat(1 << 20) }),
            json!({ "value": "x", "expires_in": -1 }),
            json!({ "value": "x", "expires_in": 0 }),
            json!({ "value": "x", "expires_at": "tomorrow" }),
            json!({ "value": "x", "expires_in": 5, "expires_at": "2100-01-01T00:00:00Z" }),
        ] {
            let response = store.put("/api/fact/a/k", body).await;
            problem(response, StatusCode::BAD_REQUEST).await;
        }
        for body in ["", "{", "\u{feff}{}", "{\"value\":\"a\"} x", "{\"value\":\"\\ud800\"}"] {
            let response =
                store.request(Method::PUT, "/api/fact/a/k").body(body).send().await.unwrap();
            problem(response, StatusCode::BAD_REQUEST).await;
        }
        let invalid =
            store.request(Method::PUT, "/api/fact/a/k").body(b"{\"value\":\"\xff\"}".to_vec());
        problem(invalid.send().await.unwrap(), StatusCode::BAD_REQUEST).await;
        let huge = store.request(Method::PUT, "/api/fact/a/k").body(vec![b' '; (4 << 20) + 1]);
        assert_eq!(huge.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(
            store.get("/api/fact/a").await.status(),
            StatusCode::NOT_FOUND,
            "nothing stored"
        );
    }
}

#[tokio::test]
async fn an_identity_has_at_most_a_thousand_facts() {
    let store = store().await;
    let facts: Value = (0..1_000).map(|it| (format!("k{it}"), json!("v"))).collect();
    assert_eq!(store.patch("/api/fact/full", facts).await.status(), 200);
    let response = store.put("/api/fact/full/more", json!({ "value": "x" })).await;
    problem(response, StatusCode::BAD_REQUEST).await;
    // Those that are there can be changed.
    store.fact("full", "k0", "new").await;
}

#[tokio::test]
async fn the_history_has_the_last_hundred_versions_with_who_and_when() {
    for store in stores().await {
        for version in 1..=105 {
            store.fact("c0", "tier", &format!("v{version}")).await;
        }
        let history = store.json("/api/fact/c0/tier/history").await;
        let versions = history["versions"].as_array().unwrap();
        assert_eq!(versions.len(), 100);
        assert_eq!(versions[0]["version"], 105);
        assert_eq!(versions[0]["value"], "v105");
        assert_eq!(versions[0]["by"], "token:test");
        assert!(versions[0]["at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(versions[99]["version"], 6);
        let page = store.json("/api/fact/c0/tier/history?before=50&limit=2").await;
        let numbers: Vec<_> =
            page["versions"].as_array().unwrap().iter().map(|it| it["version"].clone()).collect();
        assert_eq!(numbers, [49, 48]);
        store.delete("/api/fact/c0/tier").await;
        let history = store.json("/api/fact/c0/tier/history?limit=1").await;
        assert_eq!(history["versions"][0]["value"], Value::Null);
    }
}

#[tokio::test]
async fn the_same_value_again_is_no_change() {
    for store in stores().await {
        store.fact("c0", "tier", "gold").await;
        let before = store.get("/api/fact/c0/tier").await.headers()["etag"].clone();
        store.fact("c0", "tier", "gold").await;
        assert_eq!(store.get("/api/fact/c0/tier").await.headers()["etag"], before);
        let history = store.json("/api/fact/c0/tier/history").await;
        assert_eq!(history["versions"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_fact_that_has_expired_is_not_seen_and_is_removed() {
    for store in stores().await {
        let mut stream = store.stream("/api/changes", None).await;
        stream.expect("ready").await;
        store.fact("c0", "stays", "1").await;
        stream.expect("change").await;
        let body = json!({ "value": "yes", "expires_in": 1 });
        assert_eq!(store.put("/api/fact/c0/trial", body).await.status(), 200);
        assert_eq!(stream.expect("change").await.data["value"], "yes");
        assert!(store.get("/api/fact/c0/trial").await.headers().contains_key("flagops-expires"));
        // The stream says when it is over.
        let removed = stream.expect("change").await;
        assert_eq!(removed.data["fact"], "trial");
        assert_eq!(removed.data["value"], Value::Null);
        assert_eq!(store.json("/api/fact/c0").await, json!({ "stays": "1" }));
        assert_eq!(store.get("/api/fact/c0/trial").await.status(), StatusCode::NOT_FOUND);
        let history = store.json("/api/fact/c0/trial/history").await;
        assert_eq!(history["versions"][0]["by"], "expiry");
    }
}

#[tokio::test]
async fn a_bulk_write_is_made_whole_or_not_at_all() {
    for store in stores().await {
        store.fact("a", "old", "1").await;
        let patch = json!({ "a": { "old": null, "tier": "gold" }, "b": { "tier": "free" } });
        assert_eq!(store.patch("/api/fact", patch).await.status(), 200);
        let all = store.json("/api/fact").await;
        assert_eq!(all["facts"], json!({ "a": { "tier": "gold" }, "b": { "tier": "free" } }));
        let bad = json!({ "a": { "tier": "x" }, "c": { "tier": "" } });
        problem(store.patch("/api/fact", bad).await, StatusCode::BAD_REQUEST).await;
        let bad = json!({ "a": { "tier": "x" }, "d/e": { "tier": "x" } });
        problem(store.patch("/api/fact", bad).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(store.json("/api/fact").await, all);
    }
}
