//! Those of features, environments, notes, employees and metrics, and of requests in general.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    employees::employee,
    support::{send, service, services},
};

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
        service
            .patch("/api/employees/none", json!({ "role": "qa" }))
            .await
            .is_problem(404, "employee_not_found");
        service
            .patch("/api/employees/dev", json!({ "role": "x" }))
            .await
            .is_problem(400, "invalid_request");
        service
            .patch("/api/employees/dev", json!({ "username": "dev" }))
            .await
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
async fn d30_notes_are_cleared_and_unknown_ones_are_404() {
    for service in services().await {
        let note = json!({ "title": "t", "body": "b", "feature": "f" });
        let id = service.post("/api/release_notes", note).await.json()["id"].clone();
        let path = format!("/api/release_notes/{id}");
        let cleared = json!({ "body": null, "feature": "" });
        service.patch(&path, cleared.clone()).await.is(200, cleared);
        let shown = service.get("/api/release_notes").await.json()["release_notes"][0].clone();
        assert_eq!(
            (&shown["title"], &shown["body"], &shown["feature"]),
            (&json!("t"), &Value::Null, &Value::Null)
        );
        for body in [json!({ "title": null }), json!({ "title": " " })] {
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
async fn d31_a_new_feature_does_not_publish_the_notes_of_an_old_one_with_its_name() {
    for service in services().await {
        let create = async || {
            service.feature("secret").await;
            let note = json!({ "title": "old", "feature": "secret" });
            service.post("/api/release_notes", note).await.json()["id"].clone()
        };
        let published = async || {
            let notes = service.public("/api/envs/production/release_notes").await.json();
            notes["release_notes"].as_array().unwrap().len()
        };
        let id = create().await;
        service.delete("/api/features/secret?hard=true").await.is_empty();
        create().await;
        service.delete("/api/features/secret").await.is_empty();
        // The old one is deleted for good first.
        service.feature("secret").await;
        service.set("production", "secret", "ON").await;
        assert_eq!(published().await, 0);
        let listed = service.get("/api/release_notes").await.json();
        for note in listed["release_notes"].as_array().unwrap() {
            assert_eq!((&note["feature"], &note["withheld"]), (&Value::Null, &json!(true)));
        }
        // It stays so until somebody says who may see it.
        let path = format!("/api/release_notes/{id}");
        service.patch(&path, json!({ "body": "b" })).await.is(200, json!({ "body": "b" }));
        assert_eq!(published().await, 0);
        service.patch(&path, json!({ "feature": "secret" })).await;
        assert_eq!(published().await, 1);
    }
}

#[tokio::test]
async fn d33_strangers_store_nothing() {
    for service in services().await {
        service.feature("f").await;
        let known = json!([]);
        for number in 0..50 {
            let path = format!(
                "/api/envs/e{number}/toggles?feature=f&feature=g{number}&enrollment_id=i{number}"
            );
            assert_eq!(service.public(&path).await.status, 200);
            let path = format!("/api/envs/production/toggles?feature=g{number}");
            assert_eq!(service.public(&path).await.status, 200);
        }
        assert_eq!(service.get("/api/metrics/f").await.json()["metrics"], known);
        assert_eq!(service.get("/api/metrics/g1").await.json()["metrics"], known);
        let rows = "SELECT COUNT(*) FROM metric";
        let rows = service.change(move |sql| sql.query_one(rows, &[], |row| row.int(0)));
        assert_eq!(rows.await, Some(0));
    }
}

#[tokio::test]
async fn d39_missing_fields_and_long_names_are_400() {
    for service in services().await {
        for body in [
            json!({}),
            json!({ "name": null }),
            json!({ "name": 1 }),
            json!("x"),
            json!(null),
            json!({ "name": ["a"] }),
            json!({ "name": "x".repeat(100_000) }),
        ] {
            let invalid = "Name must be only lower case with underscores";
            service.post("/api/features", body.clone()).await.says(400, invalid);
            service.post("/api/envs", body).await.says(400, "Not a valid name");
        }
        for toggle in
            [json!({ "env": null }), json!({ "env": "x".repeat(100_000) }), json!({ "env": "\0" })]
        {
            let answer = service.patch("/api/toggles", json!({ "toggle": toggle })).await;
            assert_eq!(answer.status, 400, "{answer:?}");
        }
        service.delete("/api/envs/%00").await.is_problem(400, "invalid_request");
    }
}
