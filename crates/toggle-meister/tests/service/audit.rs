//! `GET /api/auditlog`.

use reqwest::Method;
use serde_json::json;

use crate::support::{send, services};

#[tokio::test]
async fn events_have_the_fields_of_the_original() {
    for service in services().await {
        service.feature("f1").await;
        let log = service.get("/api/auditlog").await.json();
        let event = &log[0];
        assert_eq!(
            (&event["event"], &event["user"]),
            (&json!("feature.add"), &json!("token:admin"))
        );
        assert_eq!(event["event_data"], json!({ "feature_name": "f1" }));
        let date = event["date"].as_str().unwrap();
        assert!(date.starts_with("20") && date.contains('T') && !date.ends_with('Z'), "{date}");
        assert!(event["id"].is_i64());
        service.env("stage").await;
        service.delete("/api/envs/stage").await.is_empty();
        service.delete("/api/features/f1").await.is_empty();
        service.delete("/api/features/f1?hard=true").await.is_empty();
        let of = |event: &str, name: &str, value: &str| json!({ "event": event, "user": "token:admin", "event_data": { name: value } });
        assert_eq!(
            service.audited(4).await,
            [
                of("feature.delete", "feature_name", "f1"),
                of("feature.remove", "feature_name", "f1"),
                of("environment.remove", "env_name", "stage"),
                of("environment.add", "env_name", "stage"),
            ]
        );
    }
}

#[tokio::test]
async fn the_trail_has_pages_and_filters() {
    for service in services().await {
        let dev = service.token("dev").await;
        service.feature("f").await;
        for state in ["ON", "OFF"].repeat(30) {
            service.set("production", "f", state).await;
        }
        let body = json!({ "name": "g" });
        let created = service.open(Method::POST, "/api/features").bearer_auth(&dev).json(&body);
        assert_eq!(send(created).await.status, 201);
        let page = async |query: &str| {
            let answer = service.get(&format!("/api/auditlog{query}")).await;
            answer.json().as_array().unwrap_or_else(|| panic!("{answer:?}")).clone()
        };
        assert_eq!(page("").await.len(), 50, "as in the original");
        assert_eq!(page("?limit=1000").await.len(), 1 + 60 + 1 + 2);
        let first = page("?event=toggle.switch&limit=40").await;
        assert_eq!(first.len(), 40);
        let query = format!("?event=toggle.switch&limit=40&before={}", first[39]["id"]);
        let second = page(&query).await;
        assert_eq!(second.len(), 20);
        assert!(second[0]["id"].as_i64() < first[39]["id"].as_i64());
        assert_eq!(page("?user=token:dev").await.len(), 1);
        assert_eq!(page("?subject=production/f").await.len(), 50);
        assert_eq!(page("?subject=g").await.len(), 1);
        assert_eq!(page("?user=nobody").await.len(), 0);
        assert_eq!(page("?since=2100-01-01T00:00:00Z").await.len(), 0);
        assert_eq!(page("?until=2000-01-01T00:00:00Z").await.len(), 0);
        assert_eq!(page("?since=2000-01-01T00:00:00Z&until=2100-01-01T00:00:00Z").await.len(), 50);
        for query in ["limit=0", "limit=1001", "limit=x", "before=x", "since=now", "user=%00"] {
            let answer = service.get(&format!("/api/auditlog?{query}")).await;
            answer.is_problem(400, "invalid_request");
        }
    }
}
