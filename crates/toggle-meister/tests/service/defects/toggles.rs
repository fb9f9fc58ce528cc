//! Those of toggles and rollouts.

use reqwest::Method;
use serde_json::json;

use crate::support::{Service, eventually, send, service, services};

/// Which ids of many have a feature.
async fn cohort(service: &Service, feature: &str) -> Vec<bool> {
    let mut cohort = Vec::new();
    for number in 0..200 {
        cohort.push(service.is_on("production", feature, &format!("user-{number}")).await);
    }
    cohort
}

/// Starts a rollout that reached half of the time some hours ago.
async fn half_way(service: &Service, feature: &str) {
    service.set("production", feature, "ROLL:1").await;
    let name = feature.to_owned();
    let last = service
        .change(move |sql| {
            use toggle_meister::model::change;
            let update = "UPDATE toggle SET start = start - 43200000
                WHERE feature = ?1 AND env = 'production'";
            sql.execute(update, &[(&name).into()])?;
            change::note(sql, &change::Changed::Feature(name))?;
            sql.last(change::CHANGES)
        })
        .await;
    service.running.store().live.catch_up(last).await.unwrap();
    assert_eq!(service.toggle("production", feature).await["current_percent"], 35);
}

#[tokio::test]
async fn d1_a_pause_keeps_those_who_have_the_feature_and_adds_nobody() {
    for service in services().await {
        service.feature("f").await;
        service.feature("rolling").await;
        half_way(&service, "f").await;
        let before = cohort(&service, "f").await;
        assert!(before.contains(&true) && before.contains(&false));
        service.set("production", "f", "PAUSE").await;
        assert_eq!(cohort(&service, "f").await, before);
        // Another rollout in the same request changes nothing.
        half_way(&service, "rolling").await;
        for (number, expected) in before.into_iter().enumerate() {
            let path = format!(
                "/api/envs/production/toggles?feature=f&feature=rolling&enrollment_id=user-{number}"
            );
            assert_eq!(service.public(&path).await.json()["f"], expected);
        }
    }
}

#[tokio::test]
async fn d4_production_may_be_the_only_environment() {
    for service in services().await {
        service.feature("f").await;
        service.set("production", "f", "ROLL:2").await;
        service.delete("/api/features/f?hard=true").await.is_empty();
    }
}

#[tokio::test]
async fn d18_and_d19_days_that_are_invalid_change_nothing() {
    for service in services().await {
        service.feature("f").await;
        service.env("stage").await;
        let invalid =
            "Rollouts take a number of days from 0.02 to 365, such as 'ROLL:2' for 2 days.";
        for days in ["", "abc", "0", "-1", "NaN", "inf", "1e9", "366", " "] {
            let answer = service.switch("production", "f", &format!("ROLL:{days}")).await;
            answer.says(400, invalid);
        }
        for env in ["production", "stage"] {
            assert_eq!(service.toggle(env, "f").await["state"], "OFF");
        }
        service.set("production", "f", "ROLL:0.5").await;
        assert_eq!(service.toggle("production", "f").await["over_x_days"], 0.5);
    }
}

#[tokio::test]
async fn d22_to_d24_a_user_is_neither_stored_nor_limited() {
    for service in services().await {
        for number in 0..75 {
            let name = format!("f{number}_{}", "x".repeat(55));
            service.feature(&name).await;
            service.set("production", &name, "ROLL:2").await;
        }
        let id = "x".repeat(4_000);
        let path = format!("/api/envs/production/toggles?all=true&enrollment_id={id}");
        let first = service.public(&path).await;
        assert_eq!(first.status, 200);
        assert_eq!(first.json().as_object().unwrap().len(), 75);
        let requests = (0..64).map(|_| service.public(&path));
        for answer in futures_util::future::join_all(requests).await {
            assert_eq!(answer.text, first.text);
        }
        let stored = "SELECT COUNT(*) FROM enrolment";
        let stored = service.change(move |sql| sql.query_one(stored, &[], |row| row.int(0)));
        assert_eq!(stored.await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d25_a_change_is_made_as_a_whole_whoever_else_writes() {
    for service in services().await {
        service.feature("f").await;
        for number in 0..8 {
            service.env(&format!("e{number}")).await;
        }
        let states = ["ON", "OFF", "ROLL:2", "PAUSE"];
        let writes = (0..64).map(|it| service.switch("production", "f", states[it % 4]));
        for answer in futures_util::future::join_all(writes).await {
            assert!(matches!(answer.status.as_u16(), 200 | 400), "{answer:?}");
        }
        service.set("production", "f", "OFF").await;
        service.set("production", "f", "ON").await;
        for number in 0..8 {
            assert_eq!(service.toggle(&format!("e{number}"), "f").await["state"], "ON");
        }
        // A transaction that fails leaves nothing, not even an event.
        let before = service.audited(1).await;
        service.switch("production", "f", "ROLL:2").await;
        assert_eq!(service.audited(1).await, before);
    }
}

#[tokio::test]
async fn d26_a_second_rollout_begins_with_other_users() {
    let service = service(&[]).await;
    service.feature("f").await;
    half_way(&service, "f").await;
    let first = cohort(&service, "f").await;
    service.set("production", "f", "OFF").await;
    half_way(&service, "f").await;
    assert_ne!(cohort(&service, "f").await, first);
}

#[tokio::test]
async fn d29_what_was_deleted_softly_answers_as_before_and_can_be_switched_off() {
    for service in services().await {
        service.feature("f").await;
        service.env("stage").await;
        service.set("production", "f", "ON").await;
        service.delete("/api/features/f").await.is_empty();
        assert!(service.is_on("production", "f", "").await);
        service.public("/api/envs/production/toggles?all=true").await.is(200, json!({}));
        service.get("/api/toggles").await.is(200, json!({ "toggles": [] }));
        for state in ["ON", "ROLL:1", "PAUSE"] {
            let answer = service.switch("production", "f", state).await;
            answer.says(400, "No valid feature provided");
        }
        service.set("production", "f", "OFF").await;
        assert!(!service.is_on("production", "f", "").await);
        assert!(service.is_on("stage", "f", "").await);
        service.feature("f").await;
        assert!(!service.is_on("stage", "f", "").await, "a new feature begins anew");
    }
}

#[tokio::test]
async fn d37_toggle_prod_is_checked_and_a_stranger_is_401() {
    let service = service(&[("production-role", "qa")]).await;
    service.feature("f").await;
    let token = service.token("dev").await;
    let toggle = json!({ "toggle": { "env": "production", "feature": "f", "state": "ON" } });
    let request = |token: &str| {
        let request = service.open(Method::PATCH, "/api/toggles").bearer_auth(token);
        send(request.json(&toggle))
    };
    request(&token).await.is_forbidden();
    request("nobody").await.is_unauthenticated();
}

#[tokio::test]
async fn d40_what_is_off_is_at_0_percent() {
    let service = service(&[]).await;
    service.feature("f").await;
    assert_eq!(service.toggle("production", "f").await["current_percent"], 0);
}

#[tokio::test]
async fn d12_without_a_database_the_heartbeat_is_503_and_toggles_are_read() {
    let Some(mut postgres) = testing::Postgres::start() else {
        return testing::skip("PostgreSQL");
    };
    let database = service::storage::Database::parse(&postgres.url(), None).unwrap();
    let service = crate::support::start(crate::support::settings(database, &[])).await;
    service.feature("f").await;
    service.set("production", "f", "ON").await;
    postgres.kill();
    let heartbeat = service.public("/heartbeat").await;
    assert_eq!((heartbeat.status.as_u16(), &*heartbeat.text), (503, "cant access db"));
    for path in ["/health/ready", "/health/live"] {
        assert_eq!(service.public(path).await.status, 200, "evaluations go on: {path}");
    }
    assert!(service.is_on("production", "f", "").await, "from memory");
    let write = service.switch("production", "f", "OFF").await;
    write.is_problem(503, "storage_unavailable");
    assert!(service.is_on("production", "f", "").await, "nothing has changed");
    postgres.restart();
    eventually(async || service.public("/heartbeat").await.status == 200).await;
    service.set("production", "f", "OFF").await;
    assert!(!service.is_on("production", "f", "").await);
}
