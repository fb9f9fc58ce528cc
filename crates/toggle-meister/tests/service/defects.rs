//! The defects of the original that must not come back. Each test is named after the number
//! that docs/toggle-meister.md gives it.
//!
//! Elsewhere: those of the mathematics (D19, D20, D22, D26, D40) in `src/`, of the sign-in (D14
//! to D16, D36, D38) in `signin`, of the settings (D44) in `src/settings.rs`, of the jobs (D2,
//! D20, D21, D34, D35) with the jobs, and of the pages (D13, D41 to D43) with the pages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    employees::employee,
    support::{Service, eventually, send, service, services},
};

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
async fn d3_and_d5_deleting_takes_its_own_toggles_and_metrics_and_no_others() {
    for service in services().await {
        for feature in ["f", "g"] {
            service.feature(feature).await;
        }
        for env in ["stage", "test"] {
            service.env(env).await;
        }
        for env in ["production", "stage", "test"] {
            for feature in ["f", "g"] {
                service.set(env, feature, "ON").await;
                service.is_on(env, feature, "").await;
            }
        }
        let counted = async |feature: &str| {
            let metrics = service.get(&format!("/api/metrics/{feature}")).await.json();
            let metrics = metrics["metrics"].as_array().unwrap().clone();
            metrics.iter().map(|it| it["environment"].clone()).collect::<Vec<Value>>()
        };
        assert_eq!(counted("f").await, ["production", "stage", "test"]);
        // It has toggles that are not OFF.
        service.delete("/api/envs/stage").await.is_empty();
        assert_eq!(counted("f").await, ["production", "test"]);
        assert!(!service.is_on("stage", "f", "").await);
        assert!(service.is_on("test", "f", "").await);
        service.delete("/api/features/f?hard=true").await.is_empty();
        assert_eq!(counted("f").await, Vec::<Value>::new());
        assert_eq!(counted("g").await, ["production", "test"]);
        assert!(service.is_on("production", "g", "").await);
        assert!(!service.is_on("production", "f", "").await);
        service.delete("/api/envs/production").await.is_problem(400, "invalid_request");
        service.feature("f").await;
        assert_eq!(service.toggle("production", "f").await["state"], "OFF", "nothing is left");
        service.env("stage").await;
        assert_eq!(service.toggle("stage", "g").await["state"], "OFF", "nothing is left");
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
async fn d6_metrics_are_filtered_by_environment() {
    let service = service(&[]).await;
    service.feature("f").await;
    service.env("stage").await;
    service.is_on("production", "f", "").await;
    service.is_on("stage", "f", "").await;
    for (query, count) in [("stage", 1), ("none", 0), ("stage&environment=production", 2)] {
        let metrics = service.get(&format!("/api/metrics/f?environment={query}")).await.json();
        assert_eq!(metrics["metrics"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn d7_and_d32_old_features_are_no_news() {
    let service = service(&[]).await;
    service.feature("f").await;
    service.set("production", "f", "ON").await;
    service.post("/api/release_notes", json!({ "title": "t", "feature": "f" })).await;
    let notes = async || service.public("/api/envs/production/release_notes").await;
    assert_eq!(notes().await.json()["release_notes"].as_array().unwrap().len(), 1);
    // Legacy rows have no time: the import writes 0.
    let update = "UPDATE toggle SET since = 0";
    service.change(move |sql| sql.execute(update, &[])).await;
    let last = service
        .change(|sql| {
            use toggle_meister::model::change;
            change::note(sql, &change::Changed::Feature("f".to_owned()))?;
            sql.last(change::CHANGES)
        })
        .await;
    service.running.store().live.catch_up(last).await.unwrap();
    notes().await.is(200, json!({ "release_notes": [] }));
}

#[tokio::test]
async fn d8_to_d11_and_d45_an_edit_of_an_employee_is_of_that_employee_and_says_so() {
    use toggle_meister::role::Role;
    for service in services().await {
        for (name, role) in [("ann", Role::Admin), ("zoe", Role::Admin), ("dev", Role::Dev)] {
            employee(&service, name, role).await;
        }
        let qa = service.token("qa").await;
        for admin in ["ann", "zoe"] {
            let path = format!("/api/employees/{admin}");
            let demote = service.open(Method::PATCH, &path).bearer_auth(&qa);
            let answer = send(demote.json(&json!({ "role": "read_only" }))).await;
            answer.says(403, "Cannot modify someone of greater permissions than yourself");
        }
        let answer = service.patch("/api/employees/dev", json!({ "role": "qa" })).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["role"]), (200, &json!(2)));
        let email = json!({ "email": "dev@other.example" });
        assert_eq!(service.patch("/api/employees/dev", email).await.status, 200);
        service.patch("/api/employees/none", json!({ "role": "qa" })).await
            .is_problem(404, "employee_not_found");
        service.patch("/api/employees/dev", json!({ "role": "x" })).await
            .is_problem(400, "invalid_request");
        service.patch("/api/employees/dev", json!({ "username": "dev" })).await
            .says(400, "Cannot edit username");
        assert_eq!(service.audited(1).await[0]["event"], "employee.edit");
    }
}

#[tokio::test]
async fn d17_only_the_public_paths_are_public_and_they_answer_head() {
    let service = service(&[]).await;
    for (path, status) in [
        ("/api/features/f", 405),
        ("/api/featuresx", 404),
        ("/api/envs/a/b/toggles", 404),
        ("/api/envs/production/release_notes/1", 404),
        ("/heartbeatx", 404),
    ] {
        assert_eq!(service.public(path).await.status, status, "{path}");
    }
    for path in ["/api/features", "/api/envs/production/toggles?feature=f", "/heartbeat"] {
        for method in [Method::HEAD, Method::OPTIONS] {
            let answer = send(service.open(method.clone(), path)).await;
            assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        }
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
async fn d27_and_d28_deleting_what_is_invalid_is_400_and_what_is_unknown_404() {
    for service in services().await {
        for name in ["a-b", "1", "a%20b", &"x".repeat(200), "%00"] {
            let path = format!("/api/features/{name}");
            service.delete(&path).await.says(400, "No valid feature provided");
        }
        service.delete("/api/features/none").await.is_problem(404, "feature_not_found");
        service.feature("f").await;
        service.delete("/api/features/f").await.is_empty();
        let trail = service.get("/api/auditlog").await.text;
        service.delete("/api/features/f").await.is_empty();
        assert_eq!(service.get("/api/auditlog").await.text, trail, "it stays deleted");
        // A name can be used again, and deleted again.
        service.feature("f").await;
        service.delete("/api/features/f").await.is_empty();
        service.delete("/api/features/f?hard=true").await.is_empty();
    }
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
async fn d30_notes_are_cleared_and_unknown_ones_are_404() {
    for service in services().await {
        let note = json!({ "title": "t", "body": "b", "feature": "f" });
        let id = service.post("/api/release_notes", note).await.json()["id"].clone();
        let path = format!("/api/release_notes/{id}");
        let cleared = json!({ "body": null, "feature": "" });
        service.patch(&path, cleared.clone()).await.is(200, cleared);
        let shown = service.get("/api/release_notes").await.json()["release_notes"][0].clone();
        assert_eq!((&shown["title"], &shown["body"], &shown["feature"]),
            (&json!("t"), &Value::Null, &Value::Null));
        for body in [json!({ "title": null }), json!({ "title": " " }), json!([])] {
            service.patch(&path, body).await.says(400, "No valid title");
        }
        service.patch(&path, json!({})).await.is(200, json!({}));
        let trail = service.get("/api/auditlog").await.text;
        for unknown in ["0", "77", "-1", "9223372036854775807"] {
            let path = format!("/api/release_notes/{unknown}");
            let answer = service.patch(&path, json!({ "body": "x" })).await;
            answer.is_problem(404, "release_note_not_found");
            service.delete(&path).await.is_problem(404, "release_note_not_found");
        }
        for invalid in ["x", "9223372036854775808", "1.5", "%00"] {
            let path = format!("/api/release_notes/{invalid}");
            service.patch(&path, json!({ "body": "x" })).await.is_problem(400, "invalid_request");
            service.delete(&path).await.is_problem(400, "invalid_request");
        }
        assert_eq!(service.get("/api/auditlog").await.text, trail);
    }
}

#[tokio::test]
async fn d31_notes_of_a_feature_that_was_never_released_stay_unpublished() {
    for service in services().await {
        for (feature, how) in [("released", ""), ("secret", ""), ("secret2", "?hard=true")] {
            service.feature(feature).await;
            let note = json!({ "title": feature, "feature": feature });
            service.post("/api/release_notes", note).await;
            if feature == "released" {
                service.set("production", feature, "ON").await;
            }
            service.delete(&format!("/api/features/{feature}{how}")).await.is_empty();
        }
        let published = service.public("/api/envs/production/release_notes").await.json();
        let published = published["release_notes"].as_array().unwrap();
        assert_eq!(published.len(), 1);
        assert_eq!(published[0]["title"], "released");
    }
}

#[tokio::test]
async fn d33_strangers_store_nothing() {
    for service in services().await {
        service.feature("f").await;
        let known = json!({ "metrics": [] });
        for number in 0..50 {
            let path = format!(
                "/api/envs/e{number}/toggles?feature=f&feature=g{number}&enrollment_id=i{number}"
            );
            assert_eq!(service.public(&path).await.status, 200);
            let path = format!("/api/envs/production/toggles?feature=g{number}");
            assert_eq!(service.public(&path).await.status, 200);
        }
        service.get("/api/metrics/f").await.is(200, known.clone());
        service.get("/api/metrics/g1").await.is(200, known);
        let rows = "SELECT COUNT(*) FROM metric";
        let rows = service.change(move |sql| sql.query_one(rows, &[], |row| row.int(0)));
        assert_eq!(rows.await, Some(0));
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
async fn d39_missing_fields_and_long_names_are_400() {
    for service in services().await {
        for body in [json!({}), json!({ "name": null }), json!({ "name": 1 }), json!([]), json!("x"),
            json!(null), json!({ "name": ["a"] }), json!({ "name": "x".repeat(100_000) })]
        {
            let invalid = "Name must be only lower case with underscores";
            service.post("/api/features", body.clone()).await.says(400, invalid);
            service.post("/api/envs", body).await.says(400, "Not a valid name");
        }
        for toggle in [json!({ "env": null }), json!({ "env": "x".repeat(100_000) }),
            json!({ "env": "\0" })]
        {
            let answer = service.patch("/api/toggles", json!({ "toggle": toggle })).await;
            assert_eq!(answer.status, 400, "{answer:?}");
        }
        service.delete("/api/envs/%00").await.is_problem(400, "invalid_request");
    }
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
    service.public("/health/ready").await.is_problem(503, "storage_unavailable");
    assert_eq!(service.public("/health/live").await.status, 200);
    assert!(service.is_on("production", "f", "").await, "from memory");
    let write = service.switch("production", "f", "OFF").await;
    write.is_problem(503, "storage_unavailable");
    assert!(service.is_on("production", "f", "").await, "nothing has changed");
    postgres.restart();
    eventually(async || service.public("/heartbeat").await.status == 200).await;
    service.set("production", "f", "OFF").await;
    assert!(!service.is_on("production", "f", "").await);
}
