//! The stream of changes.

use flagops_store::fact;
use reqwest::{Method, StatusCode};
use serde_json::json;
use service::storage::StorageError;

use crate::support::{problem, store, stores};

#[tokio::test]
async fn a_stream_has_each_change_in_its_order() {
    for store in stores().await {
        let mut stream = store.stream("/api/changes", None).await;
        let ready = stream.expect("ready").await;
        store.fact("a", "tier", "gold").await;
        store.fact("a", "tier", "free").await;
        store.delete("/api/fact/a/tier").await;
        store.fact("b", "tier", "gold").await;
        store.delete("/api/identity/b").await;
        let expected = [
            json!({ "identity": "a", "fact": "tier", "value": "gold", "version": 1 }),
            json!({ "identity": "a", "fact": "tier", "value": "free", "version": 2 }),
            json!({ "identity": "a", "fact": "tier", "value": null, "version": 3 }),
            json!({ "identity": "b", "fact": "tier", "value": "gold", "version": 1 }),
        ];
        let mut last = ready.id.unwrap();
        for data in expected {
            let event = stream.expect("change").await;
            assert_eq!(event.data, data);
            assert!(event.id.unwrap() > last);
            last = event.id.unwrap();
        }
        assert_eq!(stream.expect("erased").await.data, json!({ "identity": "b" }));
    }
}

#[tokio::test]
async fn a_stream_is_about_a_prefix_or_some_identities_that_need_not_exist() {
    for store in stores().await {
        let mut prefix = store.stream("/api/changes?prefix=eu-", None).await;
        let mut named = store.stream("/api/changes?identity=eu-2&identity=us%201", None).await;
        prefix.expect("ready").await;
        named.expect("ready").await;
        for identity in ["eu-1", "eu-2", "us 1", "us 2"] {
            store.fact(identity, "k", "v").await;
        }
        assert_eq!(prefix.expect("change").await.data["identity"], "eu-1");
        assert_eq!(prefix.expect("change").await.data["identity"], "eu-2");
        assert_eq!(named.expect("change").await.data["identity"], "eu-2");
        assert_eq!(named.expect("change").await.data["identity"], "us 1");
        let both = store.get("/api/changes?prefix=a&identity=b").await;
        problem(both, StatusCode::BAD_REQUEST).await;
        problem(store.get("/api/changes?indentity=b").await, StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn a_subscriber_changes_its_identities_while_it_is_connected() {
    let store = store().await;
    let body = json!({ "identities": ["a"] });
    let response = store.request(Method::POST, "/api/changes").json(&body).send().await.unwrap();
    let mut stream = crate::support::Events::new(response);
    let id = stream.expect("ready").await.data["stream"].as_str().unwrap().to_owned();
    let path = format!("/api/changes/{id}");
    let changed = store.patch(&path, json!({ "add": ["b"], "remove": ["a"] })).await;
    assert_eq!(changed.status(), 200);
    for identity in ["a", "b"] {
        store.fact(identity, "k", "v").await;
    }
    assert_eq!(stream.expect("change").await.data["identity"], "b");
    assert_eq!(store.put(&path, json!({ "identities": ["c"] })).await.status(), 200);
    for identity in ["a", "b", "c"] {
        store.fact(identity, "k", "w").await;
    }
    assert_eq!(stream.expect("change").await.data["identity"], "c");
    let unknown = store.put("/api/changes/999", json!({ "identities": [] })).await;
    assert_eq!(problem(unknown, StatusCode::NOT_FOUND).await, "stream_not_found");
}

#[tokio::test]
async fn nobody_else_changes_the_identities_of_a_stream() {
    let store = store().await;
    let mut stream = store.stream("/api/changes?identity=a", None).await;
    let id = stream.expect("ready").await.data["stream"].as_str().unwrap().to_owned();
    // These have the name of the one that opened it.
    let reader = store.token(&["admin"], None).await;
    let writer = store.token(&["secrets-write"], None).await;
    for (token, status) in [(reader, StatusCode::NOT_FOUND), (writer, StatusCode::FORBIDDEN)] {
        for (method, body) in [
            (Method::PUT, json!({ "identities": ["b"] })),
            (Method::PATCH, json!({ "add": ["b"], "remove": ["a"] })),
        ] {
            let request = store.request_with(&token, method, &format!("/api/changes/{id}"));
            problem(request.json(&body).send().await.unwrap(), status).await;
        }
    }
    for identity in ["b", "a"] {
        store.fact(identity, "k", "v").await;
    }
    assert_eq!(stream.expect("change").await.data["identity"], "a");
}

#[tokio::test]
async fn a_stream_begins_at_the_number_of_a_read_whatever_had_that_number() {
    for store in stores().await {
        store.fact("a", "k", "1").await;
        for round in 0..3 {
            // Their numbers are of the same sequence, and no fact has them.
            assert_eq!(store.put("/api/secret/a/k", json!({ "value": "v" })).await.status(), 200);
            let read = store.get("/api/fact/a").await;
            let sequence = read.headers()["flagops-sequence"].to_str().unwrap().to_owned();
            let mut stream = store.stream("/api/changes", Some(&sequence)).await;
            stream.expect("ready").await;
            store.fact("a", "k", &format!("after {round}")).await;
            assert_eq!(stream.expect("change").await.data["value"], format!("after {round}"));
        }
    }
}

#[tokio::test]
async fn a_stream_that_missed_too_many_bytes_is_told_to_read_anew() {
    for store in stores().await {
        store.fact("b", "k", "first").await;
        let value = "x".repeat(60_000);
        for identity in ["a-1", "a-2", "a-3"] {
            let facts = (0..60).map(|it| (format!("k{it}"), json!(value)));
            let facts: serde_json::Map<_, _> = facts.collect();
            let written = store.patch(&format!("/api/fact/{identity}"), facts.into()).await;
            assert_eq!(written.status(), 200);
        }
        store.fact("b", "k", "last").await;
        let mut stream = store.stream("/api/changes", Some("1")).await;
        stream.expect("ready").await;
        stream.expect("reset").await;
        // What others missed does not matter.
        let mut stream = store.stream("/api/changes?prefix=b", Some("1")).await;
        assert_eq!(stream.expect("ready").await.id, Some(1));
        assert_eq!(stream.expect("change").await.data["value"], "last");
        // And what is not too much is repeated in full.
        let mut stream = store.stream("/api/changes?prefix=a-2", Some("1")).await;
        stream.expect("ready").await;
        for number in 0..60 {
            assert_eq!(stream.expect("change").await.data["identity"], "a-2", "{number}");
        }
        store.fact("a-2", "k", "v").await;
        assert_eq!(stream.expect("change").await.data["value"], "v");
    }
}

#[tokio::test]
async fn a_stream_does_not_resume_from_before_a_removal_that_was_forgotten() {
    for store in stores().await {
        store.fact("a", "kept", "1").await;
        store.fact("a", "k", "2").await;
        store.delete("/api/fact/a/k").await;
        store.fact("a", "kept", "3").await;
        let (storage, later) = (store.running.store().storage(), service::time::now() + 1);
        let purged = storage.write(move |sql| fact::purge(sql, later, 10)).await;
        purged.map_err(|error: StorageError| error).unwrap();
        let kept = store.json("/api/fact/a/kept/history").await;
        assert_eq!(kept["versions"].as_array().unwrap().len(), 2);
        let forgotten = store.get("/api/fact/a/k/history").await;
        problem(forgotten, StatusCode::NOT_FOUND).await;
        let mut stream = store.stream("/api/changes", Some("2")).await;
        stream.expect("ready").await;
        stream.expect("reset").await;
        let mut stream = store.stream("/api/changes", Some("3")).await;
        stream.expect("ready").await;
        assert_eq!(stream.expect("change").await.data["value"], "3");
    }
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_without_a_gap() {
    for store in stores().await {
        let mut stream = store.stream("/api/changes", None).await;
        stream.expect("ready").await;
        store.fact("a", "k", "1").await;
        let seen = stream.expect("change").await.id.unwrap().to_string();
        drop(stream);
        store.fact("a", "k", "2").await;
        store.fact("b", "k", "3").await;
        store.delete("/api/identity/b").await;
        let mut stream = store.stream("/api/changes", Some(&seen)).await;
        assert_eq!(stream.expect("ready").await.id.unwrap().to_string(), seen);
        assert_eq!(stream.expect("change").await.data["value"], "2");
        // What was erased has no history; that it was erased is in the stream.
        assert_eq!(stream.expect("erased").await.data["identity"], "b");
        store.fact("a", "k", "4").await;
        assert_eq!(stream.expect("change").await.data["value"], "4");
        let from_the_future = store.stream("/api/changes", Some("999999")).await;
        let mut stream = from_the_future;
        stream.expect("ready").await;
        stream.expect("reset").await;
        let invalid = store.request(Method::GET, "/api/changes").header("last-event-id", "x");
        problem(invalid.send().await.unwrap(), StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn a_stream_that_does_not_keep_up_is_told_to_read_anew() {
    let store = store().await;
    let mut stream = store.stream("/api/changes", None).await;
    stream.expect("ready").await;
    // Nobody reads meanwhile, so the connection's buffers fill, and then the queue.
    let value = "x".repeat(60_000);
    let mut writes = 0;
    let full = |store: &crate::support::Store| {
        store.running.store().hub().subscribers().iter().any(|it| it.is_behind)
    };
    while !full(&store) {
        let facts = (0..50).map(|it| (format!("k{it}"), json!(format!("{value}{writes}"))));
        let facts: serde_json::Map<_, _> = facts.collect();
        assert_eq!(store.patch("/api/fact/a", facts.into()).await.status(), 200);
        writes += 1;
        assert!(writes < 500, "the queue has a bound");
    }
    let mut changes = 0;
    let reset = loop {
        let event = stream.next().await.expect("the stream goes on");
        match event.kind.as_str() {
            "change" => changes += 1,
            "reset" => break event,
            other => panic!("{other}"),
        }
    };
    assert!(changes < writes * 50, "some were dropped");
    store.fact("b", "k", "after").await;
    let next = stream.expect("change").await;
    assert_eq!(next.data["value"], "after");
    assert!(next.id > reset.id);
}

#[tokio::test]
async fn a_revoked_token_ends_its_streams() {
    for store in stores().await {
        let token = store.token(&["facts-read"], None).await;
        let open = store.request_with(&token, Method::GET, "/api/changes").send().await.unwrap();
        let mut stream = crate::support::Events::new(open);
        stream.expect("ready").await;
        let mut other = store.stream("/api/changes", None).await;
        other.expect("ready").await;
        let tokens = store.json("/api/token").await;
        let id = tokens.as_array().unwrap().last().unwrap()["id"].clone();
        assert_eq!(store.delete(&format!("/api/token/{id}")).await.status(), 200);
        stream.expect("end").await;
        assert!(stream.next().await.is_none());
        store.fact("a", "k", "v").await;
        other.expect("change").await;
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_server_shuts_down() {
    let store = store().await;
    let mut stream = store.stream("/api/changes", None).await;
    stream.expect("ready").await;
    let shutdown = tokio::spawn(store.running.shutdown());
    assert_eq!(stream.expect("end").await.data["reason"], "the server is shutting down");
    assert!(stream.next().await.is_none());
    shutdown.await.unwrap();
}

#[tokio::test]
async fn a_stream_has_only_what_its_token_may_read() {
    for store in stores().await {
        let token = store.token(&["facts-read"], Some(&["eu-"])).await;
        let open = |path: &str| store.request_with(&token, Method::GET, path).send();
        let mut all = crate::support::Events::new(open("/api/changes").await.unwrap());
        let mut named = crate::support::Events::new(
            open("/api/changes?identity=us-1&identity=eu-1").await.unwrap(),
        );
        all.expect("ready").await;
        named.expect("ready").await;
        store.fact("us-1", "k", "v").await;
        store.fact("eu-1", "k", "v").await;
        assert_eq!(all.expect("change").await.data["identity"], "eu-1");
        assert_eq!(named.expect("change").await.data["identity"], "eu-1");
        let writer = store.token(&["facts-write"], None).await;
        let response = store.request_with(&writer, Method::GET, "/api/changes").send().await;
        problem(response.unwrap(), StatusCode::FORBIDDEN).await;
    }
}
