//! Conditional reads and writes, and writers at the same time.

use std::collections::HashSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{problem, stores};

const FACT: &str = "/api/fact/c0/tier";

#[tokio::test]
async fn a_write_may_demand_what_it_has_read() {
    for store in stores().await {
        let put = |name: &'static str, tag: String, value: &str| {
            store
                .request(Method::PUT, FACT)
                .header(name, tag)
                .json(&json!({ "value": value }))
                .send()
        };
        let absent = || put("if-none-match", "*".to_owned(), "first");
        let created = absent().await.unwrap();
        assert_eq!(created.status(), 200);
        let first = created.headers()["etag"].to_str().unwrap().to_owned();
        problem(absent().await.unwrap(), StatusCode::PRECONDITION_FAILED).await;
        let second = put("if-match", first.clone(), "second").await.unwrap();
        assert_eq!(second.status(), 200);
        let stale = put("if-match", first.clone(), "third").await.unwrap();
        assert_eq!(problem(stale, StatusCode::PRECONDITION_FAILED).await, "precondition_failed");
        assert_eq!(put("if-match", "*".to_owned(), "third").await.unwrap().status(), 200);
        let list =
            format!("{first}, {}", store.get(FACT).await.headers()["etag"].to_str().unwrap());
        assert_eq!(put("if-match", list, "fourth").await.unwrap().status(), 200);
        let foreign = put("if-match", "\"foreign\"".to_owned(), "x").await.unwrap();
        problem(foreign, StatusCode::PRECONDITION_FAILED).await;
        let delete = store.request(Method::DELETE, FACT).header("if-match", &first).send().await;
        problem(delete.unwrap(), StatusCode::PRECONDITION_FAILED).await;
        assert_eq!(store.json(FACT).await, json!({ "tier": "fourth" }));
        store.delete(FACT).await;
        let gone = put("if-match", "*".to_owned(), "x").await.unwrap();
        problem(gone, StatusCode::PRECONDITION_FAILED).await;
    }
}

#[tokio::test]
async fn a_merge_may_demand_all_facts_as_they_were_read() {
    for store in stores().await {
        store.fact("c0", "tier", "gold").await;
        let tag = store.get("/api/fact/c0").await.headers()["etag"].clone();
        let merge = |tag: &reqwest::header::HeaderValue| {
            let body = json!({ "seats": "5" });
            store.request(Method::PATCH, "/api/fact/c0").header("if-match", tag).json(&body).send()
        };
        let merged = merge(&tag).await.unwrap();
        assert_eq!(merged.status(), 200);
        assert_eq!(merged.headers()["etag"], store.get("/api/fact/c0").await.headers()["etag"]);
        problem(merge(&tag).await.unwrap(), StatusCode::PRECONDITION_FAILED).await;
    }
}

#[tokio::test]
async fn a_merge_may_demand_that_there_are_facts_or_none() {
    for store in stores().await {
        let merge = |conditions: &[(&'static str, &'static str)]| {
            let request = store.request(Method::PATCH, "/api/fact/c0");
            let request =
                conditions.iter().fold(request, |it, (name, value)| it.header(*name, *value));
            request.json(&json!({ "tier": conditions.len().to_string() })).send()
        };
        let absent = [("if-none-match", "*")];
        let gone = merge(&[("if-match", "*")]).await.unwrap();
        problem(gone, StatusCode::PRECONDITION_FAILED).await;
        assert_eq!(merge(&absent).await.unwrap().status(), 200);
        store.fact("c0", "tier", "gold").await;
        problem(merge(&absent).await.unwrap(), StatusCode::PRECONDITION_FAILED).await;
        for conditions in [
            &[("if-none-match", "\"1\"")][..],
            &[("if-none-match", "*"), ("if-match", "*")],
            &[("if-unmodified-since", "Fri, 31 Jan 2025 12:00:00 GMT")],
        ] {
            problem(merge(conditions).await.unwrap(), StatusCode::BAD_REQUEST).await;
        }
        assert_eq!(store.json("/api/fact/c0").await, json!({ "tier": "gold" }));
        assert_eq!(merge(&[("if-match", "*")]).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_write_rejects_a_condition_that_it_does_not_support() {
    let store = crate::support::store().await;
    store.fact("c0", "tier", "gold").await;
    for (method, path, body) in [
        (Method::PATCH, "/api/fact", json!({ "c0": { "tier": "free" } })),
        (Method::PATCH, "/fact", json!({ "c0": { "tier": "free" } })),
        (Method::DELETE, "/api/identity/c0", json!({})),
        (Method::POST, "/api/token", json!({ "name": "x", "permissions": ["admin"] })),
    ] {
        for (name, value) in [
            ("if-match", "\"1\""),
            ("if-none-match", "*"),
            ("if-unmodified-since", "Fri, 31 Jan 2025 12:00:00 GMT"),
        ] {
            let request = store.request(method.clone(), path).header(name, value).json(&body);
            problem(request.send().await.unwrap(), StatusCode::BAD_REQUEST).await;
        }
    }
    let put = store.request(Method::PUT, FACT).header("if-modified-since", "x");
    let put = put.json(&json!({ "value": "free" })).send().await.unwrap();
    problem(put, StatusCode::BAD_REQUEST).await;
    assert_eq!(store.json(FACT).await, json!({ "tier": "gold" }));
}

#[tokio::test]
async fn a_read_of_what_is_known_has_no_body() {
    for store in stores().await {
        store.fact("c0", "tier", "gold").await;
        for path in ["/api/fact/c0", FACT] {
            let tag = store.get(path).await.headers()["etag"].clone();
            let get = || store.request(Method::GET, path).header("if-none-match", &tag).send();
            let known = get().await.unwrap();
            assert_eq!(known.status(), StatusCode::NOT_MODIFIED, "{path}");
            assert_eq!(known.headers()["etag"], tag);
            assert!(known.text().await.unwrap().is_empty());
            store.fact("c0", "tier", &format!("not as in {path}")).await;
            assert_eq!(get().await.unwrap().status(), 200, "{path}");
        }
    }
}

#[tokio::test]
async fn the_history_of_64_writers_at_the_same_time_is_a_serial_order() {
    for store in stores().await {
        let writers = (0..64).map(|writer| {
            let request =
                store.request(Method::PUT, FACT).json(&json!({ "value": format!("w{writer}") }));
            tokio::spawn(async move { request.send().await.unwrap() })
        });
        let mut tags = HashSet::new();
        for writer in writers.collect::<Vec<_>>() {
            let response = writer.await.unwrap();
            assert_eq!(response.status(), 200);
            tags.insert(response.headers()["etag"].to_str().unwrap().to_owned());
        }
        assert_eq!(tags.len(), 64, "each write has a change of its own");
        let history = store.json("/api/fact/c0/tier/history").await;
        let versions = history["versions"].as_array().unwrap();
        let values: HashSet<&str> =
            versions.iter().map(|it| it["value"].as_str().unwrap()).collect();
        assert_eq!(values.len(), 64, "no write is lost");
        assert_eq!(versions.last().unwrap()["version"], 1);
        assert_eq!(store.json(FACT).await["tier"], versions[0]["value"]);
    }
}

#[tokio::test]
async fn of_64_conditional_writers_each_increment_counts_once() {
    for store in stores().await {
        store.fact("c0", "tier", "0").await;
        let store = std::sync::Arc::new(store);
        let writers = (0..64).map(|_| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move {
                loop {
                    let read = store.get(FACT).await;
                    let tag = read.headers()["etag"].clone();
                    let value: Value = read.json().await.unwrap();
                    let number: u32 = value["tier"].as_str().unwrap().parse().unwrap();
                    let body = json!({ "value": (number + 1).to_string() });
                    let put =
                        store.request(Method::PUT, FACT).header("if-match", tag).json(&body).send();
                    match put.await.unwrap().status() {
                        StatusCode::OK => return,
                        StatusCode::PRECONDITION_FAILED => {}
                        other => panic!("{other}"),
                    }
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        assert_eq!(store.json(FACT).await, json!({ "tier": "64" }));
    }
}
