//! `GET /api/envs/{env}/events`.

use reqwest::Method;

use crate::support::{Events, Service, client, service, services, settings, start};

async fn open(service: &Service, path: &str) -> Events {
    // The stream has no end, so it has no limit of time either.
    let request = client().get(format!("{}{path}", service.url));
    Events::new(request.timeout(std::time::Duration::from_mins(5)).send().await.unwrap())
}

const CHANGE: &str = "event: change\ndata: {}";

#[tokio::test]
async fn a_change_of_the_environment_is_an_event() {
    for service in services().await {
        service.feature("f").await;
        service.env("stage").await;
        let mut production = open(&service, "/api/envs/Production/events").await;
        let mut stage = open(&service, "/api/envs/stage/events").await;
        service.set("stage", "f", "ON").await;
        assert_eq!(stage.next().await.as_deref(), Some(CHANGE));
        service.set("production", "f", "ON").await;
        // The first event of production is its own: that of the other stage is none of its.
        assert_eq!(production.next().await.as_deref(), Some(CHANGE));
        assert!(service.is_on("production", "f", "").await, "the event comes after the change");
        service.feature("g").await;
        assert_eq!(production.next().await.as_deref(), Some(CHANGE), "a new feature");
        service.running.shutdown().await;
        while let Some(event) = stage.next().await {
            assert_eq!(event, CHANGE);
        }
        assert_eq!(production.next().await, None, "the stream ends with the server");
    }
}

#[tokio::test]
async fn an_environment_that_does_not_exist_has_no_events() {
    let service = service(&[]).await;
    service.public("/api/envs/nowhere/events").await.is_problem(404, "environment_not_found");
    let head = service.open(Method::HEAD, "/api/envs/production/events").send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn a_change_on_another_replica_is_an_event_too() {
    let Some(url) = testing::Postgres::database() else { return testing::skip("PostgreSQL") };
    let database = service::storage::Database::parse(&url, None).unwrap();
    let one = start(settings(database.clone(), &[])).await;
    let two = start(settings(database, &[])).await;
    one.feature("f").await;
    one.env("stage").await;
    // Each replica finds what another has created, at once.
    two.set("production", "f", "ON").await;
    let mut events = open(&one, "/api/envs/stage/events").await;
    two.set("stage", "f", "OFF").await;
    assert_eq!(events.next().await.as_deref(), Some(CHANGE));
    // An environment that is deleted and created again has no toggles.
    two.set("stage", "f", "ON").await;
    two.delete("/api/envs/stage").await.is_empty();
    two.env("stage").await;
    two.env("last").await;
    crate::support::eventually(async || one.get("/api/envs").await.text.contains("last")).await;
    for replica in [&one, &two] {
        assert_eq!(replica.toggle("stage", "f").await["state"], "OFF");
        assert!(!replica.is_on("stage", "f", "").await);
    }
}
