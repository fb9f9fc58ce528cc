//! Each endpoint answers with the status, the fields and the messages of the original.

use reqwest::Method;
use serde_json::json;
use toggle_meister::{model::metric, serve::DAY};

use crate::support::{send, service, services};

#[tokio::test]
async fn features_are_created_listed_and_deleted() {
    for service in services().await {
        service.public("/api/features").await.is(200, json!({ "features": [] }));
        service.feature("f2").await;
        service.feature("f1").await;
        let listed = service.public("/api/features").await;
        listed.is(200, json!({ "features": [{ "name": "f1" }, { "name": "f2" }] }));
        assert_eq!(listed.header("access-control-allow-origin"), "*");
        let again = service.post("/api/features", json!({ "name": "f1" })).await;
        again.says(409, "The feature name 'f1' already exists");
        service.delete("/api/features/F1").await.is_empty();
        service.public("/api/features").await.is(200, json!({ "features": [{ "name": "f2" }] }));
        service.delete("/api/features/f2?hard=true").await.is_empty();
        service.public("/api/features").await.is(200, json!({ "features": [] }));
        for path in ["/api/features/f2", "/api/features/f2?hard=true", "/api/features/none"] {
            service.delete(path).await.is_problem(404, "feature_not_found");
        }
    }
}

#[tokio::test]
async fn names_of_features_are_identifiers_in_lower_case() {
    for service in services().await {
        for name in ["_a", "a1", "größe", "日本", &"x".repeat(128)] {
            service.feature(name).await;
            assert!(!service.is_on("production", name, "").await);
        }
        let invalid = "Name must be only lower case with underscores";
        for name in ["", "1a", "a-b", "a b", "a.b", "Upper", "a/b", "a\0", &"x".repeat(129)] {
            service.post("/api/features", json!({ "name": name })).await.says(400, invalid);
        }
    }
}

#[tokio::test]
async fn environments_are_created_in_lower_case_listed_and_deleted() {
    for service in services().await {
        service.get("/api/envs").await.is(200, json!({ "envs": [{ "name": "production" }] }));
        let created = service.post("/api/envs", json!({ "name": "Stage" })).await;
        created.is(201, json!({ "name": "stage" }));
        let again = service.post("/api/envs", json!({ "name": "STAGE" })).await;
        again.says(409, "The environment name 'stage' already exists");
        for name in ["", "my stage", "1", "a-b", &"x".repeat(129)] {
            service.post("/api/envs", json!({ "name": name })).await.says(400, "Not a valid name");
        }
        // The name comes before the permission.
        let dev = service.token("dev").await;
        let as_dev = |name: &str| {
            let request = service.open(Method::POST, "/api/envs").bearer_auth(&dev);
            send(request.json(&json!({ "name": name })))
        };
        as_dev("my stage").await.says(400, "Not a valid name");
        as_dev("test").await.is_forbidden();
        let both = json!({ "envs": [{ "name": "production" }, { "name": "stage" }] });
        service.get("/api/envs").await.is(200, both);
        service.delete("/api/envs/Stage").await.is_empty();
        service.delete("/api/envs/stage").await.is_problem(404, "environment_not_found");
        service.get("/api/envs").await.is(200, json!({ "envs": [{ "name": "production" }] }));
    }
}

#[tokio::test]
async fn the_matrix_has_each_feature_in_each_environment() {
    for service in services().await {
        service.get("/api/toggles").await.is(200, json!({ "toggles": [] }));
        service.feature("f1").await;
        service.env("stage").await;
        service.set("production", "f1", "ROLL:2").await;
        let matrix = service.get("/api/toggles").await.json();
        assert_eq!(matrix["toggles"].as_array().unwrap().len(), 2);
        assert_eq!(
            service.toggle("production", "f1").await,
            json!({ "env": "production", "feature": "f1", "state": "ROLL", "over_x_days": 2.0,
                    "current_percent": 1 })
        );
        let stage = |state: &str, percent: i64| {
            json!({ "env": "stage", "feature": "f1", "state": state, "over_x_days": 0,
                    "current_percent": percent })
        };
        assert_eq!(service.toggle("stage", "f1").await, stage("ON", 100));
        service.set("stage", "f1", "OFF").await;
        assert_eq!(service.toggle("stage", "f1").await, stage("OFF", 0));
        service.set("production", "f1", "PAUSE").await;
        let paused = service.toggle("production", "f1").await;
        assert_eq!((&paused["state"], &paused["over_x_days"]), (&json!("PAUSE"), &json!(2.0)));
        // A change answers with the matrix.
        let changed = service.switch("production", "f1", "OFF").await;
        assert_eq!(changed.json(), service.get("/api/toggles").await.json());
    }
}

#[tokio::test]
async fn requests_are_counted_per_day_and_environment() {
    for service in services().await {
        service.feature("f1").await;
        service.env("stage").await;
        for _ in 0..3 {
            service.is_on("production", "f1", "").await;
        }
        service.public("/api/envs/stage/toggles?feature=f1&feature=F1&feature=unknown").await;
        service.public("/api/envs/stage/toggles?feature=f1&metrics=False").await;
        service.public("/api/envs/stage/toggles?all=true").await;
        service.public("/api/envs/unknown/toggles?feature=f1").await;
        let today = &service::time::rfc3339(service::time::now())[..10];
        let day =
            |hits: i64, env: &str| json!({ "date": today, "hit_count": hits, "environment": env });
        let all = json!({
            "metrics": [day(3, "production"), day(2, "stage")],
            "use": {"production": "used", "stage": "used"},
        });
        service.get("/api/metrics/F1").await.is(200, all.clone());
        service.get("/api/metrics/f1?num_days=0").await.is(200, all);
        let stage = service.get("/api/metrics/f1?environment=Stage").await.json();
        assert_eq!(stage["metrics"], json!([day(2, "stage")]));
        let unknown = json!({ "metrics": [], "use": {} });
        service.get("/api/metrics/unknown").await.is(200, unknown);
        service.get("/api/metrics/a-b").await.says(400, "Not a valid feature name");
        for days in ["-1", "x", "", "99999999999"] {
            let path = format!("/api/metrics/f1?num_days={days}");
            service.get(&path).await.is_problem(400, "invalid_request");
        }
    }
}

#[tokio::test]
async fn days_are_counted_back_from_today() {
    for service in services().await {
        service.feature("f").await;
        let today = service::time::now() / DAY;
        service
            .change(move |sql| {
                for ago in 0..=10 {
                    metric::add(sql, "f", "production", today - ago, ago + 1)?;
                }
                Ok(())
            })
            .await;
        for (query, days) in [
            ("", 8),
            ("?num_days=0", 1),
            ("?num_days=1", 2),
            ("?num_days=9", 10),
            ("?num_days=99", 11),
        ] {
            let found = service.get(&format!("/api/metrics/f{query}")).await.json();
            let hits =
                found["metrics"].as_array().unwrap().iter().map(|it| it["hit_count"].as_i64());
            // The oldest is first.
            assert!(hits.eq((1..=days).rev().map(Some)), "{query}: {found}");
        }
    }
}

#[tokio::test]
async fn an_error_of_the_server_says_nothing_of_its_inside() {
    let service = service(&[]).await;
    service.change(|sql| sql.execute("DROP TABLE release_note", &[])).await;
    let answer = service.get("/api/release_notes").await;
    answer.is_problem(500, "internal");
    assert_eq!(
        answer.json(),
        json!({ "type": "about:blank", "title": "Internal Server Error", "status": 500,
                "detail": "an internal error, which the log of the server describes",
                "code": "internal" })
    );
    let page = service.get("/ui/notes").await;
    assert_eq!(page.status, 500);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(
        page.text.contains("An internal error") && !page.text.contains("release_note"),
        "{page:?}"
    );
    // The others work.
    service.feature("f").await;
}

#[tokio::test]
async fn health_answers_everybody() {
    for service in services().await {
        let heartbeat = service.public("/heartbeat").await;
        assert_eq!((heartbeat.status.as_u16(), &*heartbeat.text), (200, "All is well"));
        for path in ["/health/live", "/health/ready"] {
            assert_eq!(service.public(path).await.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn metrics_of_requests_need_a_token() {
    let service = service(&[]).await;
    service.is_on("production", "f1", "").await;
    service.public("/metrics").await.is_unauthenticated();
    let text = service.get("/metrics").await.text;
    let line = "service_http_request_count_total{status=\"200\",\
                endpoint=\"/api/envs/{env}/toggles\",method=\"GET\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("f1"), "no name is a label");
}

#[tokio::test]
async fn every_web_page_may_ask_the_public_endpoints() {
    let service = service(&[]).await;
    for path in [
        "/api/envs/production/toggles?feature=f",
        "/api/features",
        "/api/envs/production/release_notes",
        "/heartbeat",
    ] {
        let preflight = service
            .open(Method::OPTIONS, path)
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "if-none-match");
        let preflight = send(preflight).await;
        assert!(preflight.status.is_success(), "{path}: {preflight:?}");
        assert!(preflight.header("access-control-allow-methods").contains("GET"), "{preflight:?}");
        assert_eq!(preflight.header("access-control-allow-headers"), "*");
        assert_eq!(preflight.header("access-control-allow-origin"), "*");
        let read = send(service.open(Method::GET, path).header("origin", "https://shop.example"));
        let read = read.await;
        assert_eq!((read.status.as_u16(), read.header("access-control-allow-origin")), (200, "*"));
        assert_eq!(read.header("access-control-allow-credentials"), "");
        let head = send(service.open(Method::HEAD, path)).await;
        assert_eq!((head.status.as_u16(), &*head.text), (200, ""));
        assert_eq!(head.header("content-length"), read.header("content-length"), "{path}");
    }
    // The others are for pages of the same origin.
    for path in ["/api/toggles", "/api/envs", "/api/auditlog", "/api/employees"] {
        let read = service.request(Method::GET, path).header("origin", "https://shop.example");
        assert_eq!(send(read).await.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn what_does_not_exist_says_so() {
    let service = service(&[]).await;
    for path in ["/nowhere", "/api/nowhere", "/api/toggles/", "/api/features/a/b"] {
        service.get(path).await.is_problem(404, "path_not_found");
    }
    for (method, path) in [
        (Method::PUT, "/api/toggles"),
        (Method::DELETE, "/api/toggles"),
        (Method::POST, "/api/envs/production/toggles"),
        (Method::GET, "/api/features/f"),
        (Method::PATCH, "/api/features"),
        (Method::POST, "/heartbeat"),
        (Method::OPTIONS, "/api/toggles"),
    ] {
        let answer = send(service.request(method, path)).await;
        answer.is_problem(405, "method_not_allowed");
        assert!(!answer.header("allow").is_empty(), "{path}");
    }
    for path in ["/api/features/%FF", "/api/envs/%FF"] {
        service.delete(path).await.is_problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn invalid_json_is_400_whatever_its_media_type() {
    let service = service(&[]).await;
    for (method, path) in [
        (Method::POST, "/api/features"),
        (Method::POST, "/api/envs"),
        (Method::PATCH, "/api/toggles"),
        (Method::POST, "/api/release_notes"),
        (Method::PATCH, "/api/release_notes/1"),
        (Method::PATCH, "/api/employees/x"),
    ] {
        for body in ["", "{", "{\"name\": \"a\"", "\u{feff}", "nul", "[]"] {
            let answer = send(service.request(method.clone(), path).body(body)).await;
            let json = answer.json();
            assert_eq!((answer.status.as_u16(), &json["reason"]), (400, &json!("invalid json")));
            assert!(json["details"].is_string(), "{json}");
        }
    }
    let form = service.request(Method::POST, "/api/features").body("{\"name\":\"f1\"}");
    send(form.header("content-type", "application/x-www-form-urlencoded"))
        .await
        .is(201, json!({ "name": "f1" }));
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20));
    let answer = send(service.request(Method::POST, "/api/features").body(long)).await;
    assert_eq!(answer.status, 413, "{answer:?}");
}
