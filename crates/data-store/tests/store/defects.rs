//! The defects of the original that must not come back. Their tests begin with `d` and a number,
//! here and wherever else a test is about one of them.

use reqwest::{Method, StatusCode};
use serde_json::json;

use service::storage::{Storage, StorageError};

use crate::support::{client, databases, encode, problem, settings, start, store, stores};

#[tokio::test]
async fn d2_deleting_a_fact_deletes_no_other() {
    for store in stores().await {
        store.fact("c0", "a", "1").await;
        store.fact("c0", "b", "2").await;
        store.put("/api/secret/c0/s", json!({ "value": "v" })).await;
        store.delete("/api/fact/c0/a").await;
        assert_eq!(store.json("/api/fact/c0").await, json!({ "b": "2" }));
        assert_eq!(store.json("/api/secret/c0").await, json!({ "s": "v" }));
    }
}

#[tokio::test]
async fn d3_erasing_needs_both_permissions_to_write() {
    let store = store().await;
    store.fact("c0", "a", "1").await;
    for permissions in [
        &["facts-read", "secrets-read"][..],
        &["facts-write", "secrets-read"],
        &["secrets-write", "facts-read"],
    ] {
        let token = store.token(permissions, None).await;
        let response = store.request_with(&token, Method::DELETE, "/api/identity/c0").send().await;
        problem(response.unwrap(), StatusCode::FORBIDDEN).await;
    }
    assert_eq!(store.get("/api/fact/c0").await.status(), 200);
}

#[tokio::test]
async fn d8_a_machine_authenticates_with_a_bearer_token() {
    let store = store().await;
    let token = store.token(&["facts-read"], None).await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let response = client()
            .get(format!("{}/api/identity", store.url))
            .header("authorization", format!("{scheme} {token}"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{scheme}");
    }
}

#[tokio::test]
async fn d11_an_identity_is_no_pattern() {
    for store in stores().await {
        store.fact("c0", "k", "v").await;
        for pattern in ["*", "c?", "c[0-9]", "%", "c_"] {
            let path = format!("/api/fact/{}", encode(pattern));
            assert_eq!(store.get(&path).await.status(), StatusCode::NOT_FOUND, "{pattern}");
            store.delete(&format!("/api/identity/{}", encode(pattern))).await;
        }
        assert_eq!(store.json("/api/fact/c0").await, json!({ "k": "v" }));
    }
}

#[tokio::test]
async fn d12_a_colon_separates_nothing() {
    for store in stores().await {
        store.fact("a:b", "x", "1").await;
        store.fact("a", "b:x", "2").await;
        assert_eq!(store.json("/api/fact/a:b").await, json!({ "x": "1" }));
        assert_eq!(store.json("/api/fact/a").await, json!({ "b:x": "2" }));
    }
}

#[tokio::test]
async fn d13_a_read_sees_one_state_while_others_write_and_erase() {
    for store in stores().await {
        let writing = async {
            for number in 0..50 {
                let both = json!({ "a": number.to_string(), "b": number.to_string() });
                assert_eq!(store.patch("/api/fact/c0", both).await.status(), 200);
                if number % 10 == 9 {
                    store.delete("/api/identity/c0").await;
                }
            }
        };
        let reading = async {
            for _ in 0..100 {
                let response = store.get("/api/fact/c0").await;
                assert!(matches!(response.status().as_u16(), 200 | 404), "{response:?}");
                let facts: serde_json::Value = response.json().await.unwrap();
                assert_eq!(facts["a"], facts["b"]);
            }
        };
        tokio::join!(writing, reading);
    }
}

#[tokio::test]
async fn d14_what_another_program_keeps_in_the_database_is_no_identity() {
    let folder = tempfile::tempdir().unwrap();
    for database in databases(&folder) {
        let other = Storage::open(database.clone(), &[]).await.unwrap();
        let write = other.write(|sql| {
            sql.execute("CREATE TABLE users (id BIGINT PRIMARY KEY, username TEXT)", &[])?;
            sql.execute("CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT)", &[])?;
            sql.execute("INSERT INTO users VALUES (1, 'acme:tier')", &[])?;
            sql.execute("INSERT INTO facts VALUES ('acme:tier', 'gold')", &[])
        });
        write.await.map_err(|error: StorageError| error).unwrap();
        let store = start(settings(database)).await;
        assert_eq!(store.json("/api/identity").await, json!({ "identities": {} }));
        assert_eq!(store.json("/api/user").await, json!([]));
        store.fact("c0", "k", "v").await;
        let expected = json!({ "c0": { "facts": true, "secrets": false } });
        assert_eq!(store.json("/api/identity").await["identities"], expected);
    }
}

#[tokio::test]
async fn d15_a_secret_is_no_json() {
    for store in stores().await {
        let hostile = "a\",\"admin\":\"yes";
        store.put("/api/secret/c0/k", json!({ "value": hostile })).await;
        assert_eq!(store.json("/api/secret/c0").await, json!({ "k": hostile }));
    }
}

#[tokio::test]
async fn d16_secrets_of_an_erased_identity_can_be_written_again() {
    for store in stores().await {
        store.put("/api/secret/c0/k", json!({ "value": "1" })).await;
        store.delete("/api/identity/c0").await;
        assert_eq!(store.put("/api/secret/c0/k", json!({ "value": "2" })).await.status(), 200);
        assert_eq!(store.json("/api/secret/c0").await, json!({ "k": "2" }));
    }
}

#[tokio::test]
async fn d21_what_is_unknown_is_404() {
    for store in stores().await {
        for path in ["/api/fact/none/k", "/api/secret/none/k", "/api/fact/none/k/history"] {
            problem(store.get(path).await, StatusCode::NOT_FOUND).await;
        }
        for path in ["/api/fact/none/k", "/api/secret/none/k"] {
            problem(store.delete(path).await, StatusCode::NOT_FOUND).await;
        }
    }
}

#[tokio::test]
async fn d22_a_blank_value_is_400_for_facts_and_secrets() {
    for store in stores().await {
        for path in ["/api/fact/c0/k", "/api/secret/c0/k"] {
            problem(store.put(path, json!({ "value": "" })).await, StatusCode::BAD_REQUEST).await;
            assert_eq!(store.put(path, json!({ "value": " " })).await.status(), 200);
        }
    }
}

#[tokio::test]
async fn d23_every_error_says_what_is_wrong() {
    let store = store().await;
    for (method, path, status) in [
        (Method::GET, "/nowhere", StatusCode::NOT_FOUND),
        (Method::GET, "/api/nowhere", StatusCode::NOT_FOUND),
        (Method::POST, "/api/fact/c0/k", StatusCode::METHOD_NOT_ALLOWED),
        (Method::PUT, "/api/fact/c0/k", StatusCode::BAD_REQUEST),
        (Method::GET, "/api/fact/c0/k", StatusCode::NOT_FOUND),
        (Method::DELETE, "/api/token/x", StatusCode::BAD_REQUEST),
    ] {
        let response = store.request(method, path).send().await.unwrap();
        problem(response, status).await;
    }
    let response = client().get(format!("{}/api/identity", store.url)).send().await.unwrap();
    problem(response, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn a_slash_at_the_end_of_a_path_leads_to_the_path_without_it() {
    let store = store().await;
    let client = crate::http::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    for (path, location) in [
        ("/ui/", "/ui"),
        ("/ui/audit/?actor=a", "/ui/audit?actor=a"),
        ("/api/fact/", "/api/fact"),
        ("/api/fact/a%2Fb//?limit=1", "/api/fact/a%2Fb?limit=1"),
        ("/fact/c0/k/", "/fact/c0/k"),
    ] {
        let request = client.get(format!("{}{path}", store.url)).bearer_auth(&store.admin);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY, "{path}");
        assert_eq!(response.headers()["location"], location);
    }
    // Nowhere else, and only what is read.
    for (method, path) in
        [(Method::GET, "//example.com/"), (Method::GET, "/"), (Method::PUT, "/api/fact/c0/k/")]
    {
        let request = client.request(method, format!("{}{path}", store.url));
        let response = request.bearer_auth(&store.admin).send().await.unwrap();
        assert_ne!(response.status(), StatusCode::MOVED_PERMANENTLY, "{path}");
    }
}

#[tokio::test]
async fn d25_an_unknown_permission_is_400() {
    let store = store().await;
    let body = json!({ "name": "x", "permissions": ["facts-raed"] });
    let response = store.request(Method::POST, "/api/token").json(&body).send().await.unwrap();
    problem(response, StatusCode::BAD_REQUEST).await;
    let permissions = store.json("/api/permission").await;
    assert_eq!(permissions.as_array().unwrap().len(), 7);
    assert_eq!(permissions[3], json!({ "ID": "secrets-read", "DisplayName": "Read Secrets" }));
}

#[tokio::test]
async fn d32_health_answers_without_a_token() {
    let store = store().await;
    for path in ["/health/live", "/health/ready"] {
        let response = client().get(format!("{}{path}", store.url)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn d31_metrics_need_a_token_and_have_the_names_of_the_original() {
    let store = store().await;
    store.fact("c0", "k", "v").await;
    let mut stream = store.stream("/api/changes", None).await;
    stream.expect("ready").await;
    let open = client().get(format!("{}/metrics", store.url)).send().await.unwrap();
    problem(open, StatusCode::UNAUTHORIZED).await;
    for method in ["ONE", "TWO"] {
        let invented = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        client().request(invented, &store.url).send().await.unwrap();
    }
    store.get("/ui").await;
    let text = store.get("/metrics").await.text().await.unwrap();
    assert!(text.contains("endpoint=\"/ui\",method=\"GET\""), "pages are counted too: {text}");
    let endpoint = "endpoint=\"/api/fact/{identity}/{key}\",method=\"PUT\"";
    for line in [
        format!("service_http_request_count_total{{status=\"200\",{endpoint}}} 1"),
        format!("service_http_request_duration_seconds_count{{status=\"200\",{endpoint}}} 1"),
        format!("service_http_request_size_bytes_count{{status=\"200\",{endpoint}}} 1"),
        format!("service_http_response_size_bytes_count{{status=\"200\",{endpoint}}} 1"),
        "service_uptime ".to_owned(),
        "service_streams 1".to_owned(),
        "service_change 1".to_owned(),
    ] {
        assert!(text.lines().any(|it| it.starts_with(&line)), "{line}\n{text}");
    }
    assert!(!text.contains("c0"), "no name of an identity is a label");
    assert!(text.contains("method=\"other\"") && !text.contains("ONE"), "{text}");
}

#[tokio::test]
async fn d33_d35_the_audit_names_who_changed_which_fact_or_secret() {
    for store in stores().await {
        store.fact("c0", "tier", "gold").await;
        store.put("/api/secret/c0/password", json!({ "value": "v" })).await;
        store.get("/api/secret/c0/password").await;
        store.delete("/api/secret/c0/password").await;
        store.delete("/api/fact/c0/tier").await;
        let audit = store.json("/api/audit").await;
        let mut events: Vec<_> = audit["events"].as_array().unwrap().iter().collect();
        events.reverse();
        let events: Vec<_> = events
            .iter()
            .map(|it| [&it["actor"], &it["action"], &it["subject"]].map(|it| it.as_str().unwrap()))
            .collect();
        assert_eq!(events[0][1..], ["token.create", "test"], "{events:?}");
        let expected = [
            ["token:test", "fact.write", "c0/tier"],
            ["token:test", "secret.write", "c0/password"],
            ["token:test", "secret.read", "c0/password"],
            ["token:test", "secret.delete", "c0/password"],
            ["token:test", "fact.delete", "c0/tier"],
        ];
        assert_eq!(events[1..], expected);
    }
}

#[tokio::test]
async fn d36_names_are_spelled_right() {
    let permissions = store().await.json("/api/permission").await;
    let names: Vec<_> =
        permissions.as_array().unwrap().iter().map(|it| it["DisplayName"].as_str()).collect();
    let expected = [
        "Admin",
        "Read Facts",
        "Write Facts",
        "Read Secrets",
        "Write Secrets",
        "Read Users",
        "Write Users",
    ];
    assert_eq!(names, expected.map(Some));
}
