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

#[tokio::test]
async fn a_merge_keeps_the_expiry_that_a_write_replaces() {
    for store in stores().await {
        let body = json!({ "value": "gold", "expires_in": 3_600 });
        assert_eq!(store.put("/api/fact/c0/trial", body).await.status(), 200);
        let expires = async || {
            let fact = store.get("/api/fact/c0/trial").await;
            fact.headers().get("flagops-expires").cloned()
        };
        let first = expires().await.unwrap();
        for (path, patch) in [
            ("/api/fact/c0", json!({ "trial": "silver" })),
            ("/api/fact", json!({ "c0": { "trial": "free", "other": "v" } })),
        ] {
            assert_eq!(store.patch(path, patch).await.status(), 200);
            assert_eq!(expires().await.as_ref(), Some(&first), "{path}");
        }
        let facts = store.json("/api/fact/c0").await;
        assert_eq!(facts, json!({ "trial": "free", "other": "v" }));
        let other = store.get("/api/fact/c0/other").await;
        assert!(!other.headers().contains_key("flagops-expires"));
        store.fact("c0", "trial", "free").await;
        assert_eq!(expires().await, None);
    }
}

#[tokio::test]
async fn a_page_of_facts_ends_before_it_is_too_long_for_a_client() {
    for store in stores().await {
        for identity in ["a", "b", "c"] {
            let value = format!("{identity}{}", "\u{1}".repeat(60_000));
            for first in [0, 10, 20, 30, 40, 50] {
                let keys = (first..first + 10).map(|it| format!("k{it}"));
                let facts: Value = keys.map(|key| (key, json!(value))).collect();
                let written = store.patch("/api/fact", json!({ identity: facts })).await;
                assert_eq!(written.status(), 200);
            }
        }
        let (mut pages, mut seen, mut after) = (0, Vec::new(), String::new());
        loop {
            let page = store.get(&format!("/api/fact?after={after}")).await.text().await.unwrap();
            // Each of these bytes is written as six.
            assert!(page.len() < 6 * (8 << 20), "{}", page.len());
            let page: Value = serde_json::from_str(&page).unwrap();
            for (identity, facts) in page["facts"].as_object().unwrap() {
                assert_eq!(facts.as_object().unwrap().len(), 60);
                seen.push(identity.clone());
            }
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            next.clone_into(&mut after);
        }
        assert_eq!((pages, seen), (2, ["a", "b", "c"].map(str::to_owned).to_vec()));
    }
}

#[tokio::test]
async fn the_long_values_of_an_identity_have_a_bound_together() {
    for store in stores().await {
        let facts = |length: usize| -> Value {
            (0..60).map(|it| (format!("k{it}"), json!("x".repeat(length)))).collect()
        };
        assert_eq!(store.patch("/api/fact/c0", facts(60_000)).await.status(), 200);
        assert_eq!(store.patch("/api/fact/c0", facts(65_536)).await.status(), 200);
        for number in 0..4 {
            store.fact("c0", &format!("more{number}"), &"x".repeat(65_536)).await;
        }
        let long = store.put("/api/fact/c0/k", json!({ "value": "x".repeat(4_097) })).await;
        problem(long, StatusCode::BAD_REQUEST).await;
        // Short ones are allowed, and so is what makes room.
        store.fact("c0", "k", &"x".repeat(4_096)).await;
        store.fact("c0", "k0", &"x".repeat(60_000)).await;
        store.fact("c0", "k", &"x".repeat(4_097)).await;
    }
}

#[tokio::test]
async fn a_time_that_is_too_late_is_rejected_with_the_last_one() {
    let store = store().await;
    let late = "9999-12-31T23:59:59Z";
    let put = store.put("/api/fact/c0/k", json!({ "value": "v", "expires_at": late })).await;
    let new = json!({ "name": "x", "permissions": ["admin"], "expires_at": late });
    let post = store.request(Method::POST, "/api/token").json(&new).send().await.unwrap();
    let audit = store.get(&format!("/api/audit?until={late}")).await;
    for response in [put, post, audit] {
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let detail = response.json::<Value>().await.unwrap()["detail"].to_string();
        assert!(detail.contains("9999-12-30T22:00:00Z") && detail.contains(late), "{detail}");
    }
    let last = json!({ "value": "v", "expires_at": "9999-12-30T22:00:00Z" });
    assert_eq!(store.put("/api/fact/c0/k", last).await.status(), 200);
}

#[tokio::test]
async fn a_query_that_is_not_utf_8_is_rejected() {
    let store = store().await;
    store.fact("\u{e4}", "k", "v").await;
    for path in ["/api/identity?prefix", "/api/fact?after", "/api/changes?prefix", "/ui?q"] {
        for bad in ["%ff", "a%C3", "%C3&limit=1"] {
            let status = store.get(&format!("{path}={bad}")).await.status();
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}={bad}");
        }
    }
    let found = store.json("/api/fact?prefix=%C3%A4").await;
    assert_eq!(found["facts"], json!({ "\u{e4}": { "k": "v" } }));
}
