//! Tokens, permissions and the audit trail.

use std::net::IpAddr;

use flagops_store::api::openapi::OPERATIONS;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{client, problem, settings, start, stores};

#[tokio::test]
async fn d37_each_path_needs_its_permissions() {
    let store = crate::support::store().await;
    let all: Vec<&str> = flagops_store::PERMISSIONS.iter().map(|it| it.id).collect();
    for operation in OPERATIONS {
        let (needed, path) = (operation.needs, operation.path);
        let method = operation.method.to_uppercase();
        let path = path.replace("{identity}", "c0").replace("{key}", "k");
        let path = path.replace("{id}", "99").replace("{stream}", "99");
        let send = async |token: Option<&str>| {
            let mut request =
                client().request(method.parse().unwrap(), format!("{}{path}", store.url));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            match method.as_str() {
                "PATCH" => request = request.body("{}"),
                "DELETE" if path.ends_with("/permission") => request = request.body("{}"),
                "PUT" | "POST" if path.starts_with("/api/changes") => {
                    request = request.body("{\"identities\":[]}");
                }
                "PUT" => request = request.body("{\"value\":\"v\"}"),
                "POST" => request = request.body("{\"name\":\"n\",\"permissions\":[]}"),
                _ => {}
            }
            request.send().await.unwrap()
        };
        for token in [None, Some("guessed"), Some("")] {
            let response = send(token).await;
            assert_eq!(response.headers()["www-authenticate"], "Bearer", "{method} {path}");
            problem(response, StatusCode::UNAUTHORIZED).await;
        }
        if needed.is_empty() {
            continue;
        }
        let others: Vec<&str> = all.iter().copied().filter(|it| !needed.contains(it)).collect();
        let others: Vec<&str> = others.into_iter().filter(|it| *it != "admin").collect();
        let token = store.token(&others, None).await;
        assert_eq!(send(Some(&token)).await.status(), StatusCode::FORBIDDEN, "{method} {path}");
        for permissions in [needed, &["admin"]] {
            let token = store.token(permissions, None).await;
            let status = send(Some(&token)).await.status();
            assert!(
                status != StatusCode::FORBIDDEN && status != StatusCode::UNAUTHORIZED,
                "{method} {path} with {permissions:?}: {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_is_limited_to_its_prefixes() {
    let store = crate::support::store().await;
    for identity in ["eu-1", "fr-1", "us-1"] {
        store.fact(identity, "k", "v").await;
    }
    let token = store.token(&["admin"], Some(&["eu-", "test"])).await;
    let send = async |method: Method, path: &str, body: Value| {
        store.request_with(&token, method, path).json(&body).send().await.unwrap()
    };
    let value = json!({ "value": "w" });
    assert_eq!(send(Method::PUT, "/api/fact/eu-1/k", value.clone()).await.status(), 200);
    assert_eq!(send(Method::PUT, "/api/fact/test/k", value.clone()).await.status(), 200);
    for (method, path) in [
        (Method::GET, "/api/fact/us-1"),
        (Method::GET, "/api/fact/us-1/k"),
        (Method::GET, "/api/fact/us-1/k/history"),
        (Method::PUT, "/api/fact/us-1/k"),
        (Method::DELETE, "/api/fact/us-1/k"),
        (Method::GET, "/api/secret/us-1"),
        (Method::PUT, "/api/secret/us-1/k"),
        (Method::DELETE, "/api/identity/us-1"),
    ] {
        problem(send(method, path, value.clone()).await, StatusCode::FORBIDDEN).await;
    }
    let patch = json!({ "eu-1": { "k": "x" }, "us-1": { "k": "x" } });
    problem(send(Method::PATCH, "/api/fact", patch).await, StatusCode::FORBIDDEN).await;
    assert_eq!(store.json("/api/fact/eu-1").await, json!({ "k": "w" }), "nothing of it was made");
    let page: Value = send(Method::GET, "/api/fact", json!({})).await.json().await.unwrap();
    assert_eq!(page["facts"].as_object().unwrap().keys().collect::<Vec<_>>(), ["eu-1", "test"]);
    // Nor does where a page ends tell it of others.
    for list in ["/api/fact?limit=1", "/api/identity?limit=1"] {
        let (mut ends, mut after) = (Vec::new(), String::new());
        loop {
            let page = format!("{list}&after={after}");
            let page: Value = send(Method::GET, &page, json!({})).await.json().await.unwrap();
            let Some(next) = page["next"].as_str() else { break };
            after = next.to_owned();
            ends.push(after.clone());
        }
        assert_eq!(ends, ["eu-1", "test"], "{list}");
    }
    // It makes no token that may see more.
    for prefixes in [json!(null), json!(["us-"]), json!(["eu-", "u"]), json!([""])] {
        let new = json!({ "name": "x", "permissions": ["facts-read"], "prefixes": prefixes });
        problem(send(Method::POST, "/api/token", new).await, StatusCode::FORBIDDEN).await;
    }
    let new = json!({ "name": "x", "permissions": ["facts-read"], "prefixes": ["eu-1"] });
    assert_eq!(send(Method::POST, "/api/token", new).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_token_that_is_limited_to_prefixes_sees_neither_audit_nor_streams() {
    let store = crate::support::store().await;
    store.fact("us-1", "k", "v").await;
    let limited = store.token(&["admin"], Some(&["eu-"])).await;
    let admin = store.token(&["admin"], None).await;
    for path in ["/api/audit", "/ui/audit", "/ui/streams"] {
        let status = async |token: &str| {
            store.request_with(token, Method::GET, path).send().await.unwrap().status()
        };
        assert_eq!(status(&limited).await, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(status(&admin).await, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_works_at_once_and_is_of_no_use_once_revoked() {
    for store in stores().await {
        let new = json!({ "name": "cms", "permissions": ["facts-write"] });
        let created = store.request(Method::POST, "/api/token").json(&new).send().await.unwrap();
        assert_eq!(created.status(), StatusCode::CREATED);
        let created: Value = created.json().await.unwrap();
        let token = created["token"].as_str().unwrap();
        assert_eq!(token.len(), 43, "256 bits");
        let put = async || {
            let request = store.request_with(token, Method::PUT, "/api/fact/c0/k");
            request.json(&json!({ "value": "v" })).send().await.unwrap().status()
        };
        assert_eq!(put().await, 200);
        store.running.store().access().flush_use().await.unwrap();
        let tokens = store.json("/api/token").await;
        assert!(!tokens.to_string().contains(token));
        let listed = tokens.as_array().unwrap().last().unwrap();
        assert_eq!(listed["name"], "cms");
        assert_eq!(listed["created_by"], "token:test");
        assert!(listed["last_used"].is_string());
        assert_eq!(store.delete(&format!("/api/token/{}", created["id"])).await.status(), 200);
        assert_eq!(put().await, StatusCode::UNAUTHORIZED);
        let again = store.delete(&format!("/api/token/{}", created["id"])).await;
        problem(again, StatusCode::NOT_FOUND).await;
    }
}

#[tokio::test]
async fn a_token_expires() {
    let store = crate::support::store().await;
    let past =
        json!({ "name": "x", "permissions": ["admin"], "expires_at": "2020-01-01T00:00:00Z" });
    let response = store.request(Method::POST, "/api/token").json(&past).send().await.unwrap();
    problem(response, StatusCode::BAD_REQUEST).await;
    let soon = service::time::rfc3339(service::time::now() + 1_500);
    let new = json!({ "name": "x", "permissions": ["admin"], "expires_at": soon });
    let created = store.request(Method::POST, "/api/token").json(&new).send().await.unwrap();
    let created: Value = created.json().await.unwrap();
    let token = created["token"].as_str().unwrap();
    let status = async || {
        store.request_with(token, Method::GET, "/api/identity").send().await.unwrap().status()
    };
    assert_eq!(status().await, 200);
    let deadline = tokio::time::Instant::now() + crate::support::LONG;
    while status().await == StatusCode::OK {
        assert!(tokio::time::Instant::now() < deadline, "it is valid for ever");
    }
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nobody_hands_out_more_than_they_have() {
    let store = crate::support::store().await;
    let token = store.token(&["users-write", "facts-read"], None).await;
    let create = async |permissions: Value| {
        let body = json!({ "name": "x", "permissions": permissions });
        let request = store.request_with(&token, Method::POST, "/api/token").json(&body);
        request.send().await.unwrap()
    };
    assert_eq!(create(json!(["facts-read"])).await.status(), StatusCode::CREATED);
    problem(create(json!(["admin"])).await, StatusCode::FORBIDDEN).await;
    problem(create(json!(["facts-read", "facts-write"])).await, StatusCode::FORBIDDEN).await;
    problem(create(json!([])).await, StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn nobody_revokes_a_token_that_may_do_more_than_they() {
    let store = crate::support::store().await;
    let made = async |permissions: &[&str], prefixes: Option<&[&str]>| {
        let token = store.token(permissions, prefixes).await;
        let tokens = store.json("/api/token").await;
        (token, tokens.as_array().unwrap().last().unwrap()["id"].as_i64().unwrap())
    };
    let (writer, own) = made(&["users-write", "facts-read"], None).await;
    let (limited, _) = made(&["users-write", "facts-read"], Some(&["eu-"])).await;
    let (_, admin) = made(&["admin"], None).await;
    let (_, more) = made(&["facts-read", "facts-write"], None).await;
    let (_, elsewhere) = made(&["facts-read"], Some(&["us-"])).await;
    let (_, within) = made(&["facts-read"], Some(&["eu-west-"])).await;
    let (_, everywhere) = made(&["facts-read"], None).await;
    let revoke = async |token: &str, id: i64| {
        let request = store.request_with(token, Method::DELETE, &format!("/api/token/{id}"));
        request.send().await.unwrap()
    };
    for id in [admin, more] {
        problem(revoke(&writer, id).await, StatusCode::FORBIDDEN).await;
    }
    for id in [elsewhere, everywhere, own] {
        problem(revoke(&limited, id).await, StatusCode::FORBIDDEN).await;
    }
    assert_eq!(revoke(&limited, within).await.status(), 200);
    for id in [elsewhere, everywhere, own] {
        assert_eq!(revoke(&writer, id).await.status(), 200);
    }
}

#[tokio::test]
async fn d33_the_audit_has_pages_and_filters() {
    for store in stores().await {
        for number in 0..5 {
            store.fact("c0", "k", &number.to_string()).await;
        }
        store.delete("/api/fact/c0/k").await;
        let page = store.json("/api/audit?action=fact.write&limit=2").await;
        let events = page["events"].as_array().unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(events[0]["subject"], "c0/k");
        let rest =
            store.json(&format!("/api/audit?action=fact.write&before={}", events[1]["id"])).await;
        assert_eq!(rest["events"].as_array().unwrap().len(), 3);
        let none = store.json("/api/audit?actor=nobody").await;
        assert_eq!(none, json!({ "events": [] }));
        let future = store.json("/api/audit?since=2100-01-01T00:00:00Z").await;
        assert_eq!(future, json!({ "events": [] }));
        problem(store.get("/api/audit?since=yesterday").await, StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn without_authentication_everybody_may_do_everything() {
    let folder = tempfile::tempdir().unwrap();
    let database = service::storage::Database::Sqlite(folder.path().join("store.db"));
    let mut settings = settings(database);
    settings.serving.require_auth = false;
    let store = start(settings).await;
    let response = client()
        .put(format!("{}/api/fact/c0/k", store.url))
        .json(&json!({ "value": "v" }))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let history = store.json("/api/fact/c0/k/history").await;
    assert_eq!(history["versions"][0]["by"], "anyone");
    // A website whose name was made to lead here is not one of ours.
    for path in ["/api/fact/c0", "/ui"] {
        let request = client().get(format!("{}{path}", store.url));
        let foreign = request.header("host", "evil.example:8080").send().await.unwrap();
        assert_eq!(foreign.status(), StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_client_address_sends_only_so_many_invalid_tokens() {
    let store = crate::support::store().await;
    let client = |address: [u8; 4]| {
        let builder = crate::http::builder().local_address(IpAddr::from(address));
        builder.build().unwrap()
    };
    let (one, two) = (client([127, 0, 0, 2]), client([127, 0, 0, 3]));
    let send = async |client: &reqwest::Client, token: &str| {
        let request = client.get(format!("{}/api/identity", store.url)).bearer_auth(token);
        request.send().await.unwrap()
    };
    // It has 120 a minute, and some more while it sends them.
    let mut last = send(&one, "wrong").await;
    for _ in 0..1_000 {
        if last.status() != StatusCode::UNAUTHORIZED {
            break;
        }
        last = send(&one, "wrong").await;
    }
    assert_eq!(last.headers()["retry-after"], "1");
    assert_eq!(problem(last, StatusCode::TOO_MANY_REQUESTS).await, "too_many_attempts");
    let token = store.token(&["facts-read"], None).await;
    assert_eq!(send(&one, &token).await.status(), 200, "a valid token is never rejected");
    assert_eq!(send(&two, "wrong").await.status(), 401, "another address has its own limit");
}
