//! Release notes.

use serde_json::{Value, json};
use toggle_meister::serve::DAY;

use crate::support::{Service, services};

/// Writes a note, as long ago as so many days.
async fn note(service: &Service, title: &str, feature: Option<&str>, days: i64) -> i64 {
    let body = json!({ "title": title, "body": "b", "feature": feature });
    let created = service.post("/api/release_notes", body.clone()).await;
    assert_eq!(created.status, 200, "as in the original");
    let created = created.json();
    let id = created["id"].as_i64().unwrap();
    let mut expected = body;
    expected["id"] = json!(id);
    assert_eq!(created, expected, "the body comes back with its number");
    service
        .change(move |sql| {
            let update = "UPDATE release_note SET created = created - ?2 WHERE id = ?1";
            sql.execute(update, &[id.into(), (days * DAY).into()])
        })
        .await;
    id
}

/// Switches a toggle on as long ago as so many days.
async fn on(service: &Service, env: &str, feature: &str, days: i64) {
    let (env, feature) = (env.to_owned(), feature.to_owned());
    let now = service::time::now();
    let last = service
        .change(move |sql| {
            use toggle_meister::{
                model::{change, toggle},
                toggle::Toggle,
            };
            toggle::put(sql, &feature, &env, Toggle::On { since: now - days * DAY })?;
            change::note(sql, &change::Changed::Feature(feature))?;
            sql.last(change::CHANGES)
        })
        .await;
    service.running.store().live.catch_up(last).await.unwrap();
}

async fn titles(service: &Service, path: &str) -> Vec<String> {
    let answer = service.public(path).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let notes = answer.json()["release_notes"].as_array().unwrap().clone();
    notes.iter().map(|it| it["title"].as_str().unwrap().to_owned()).collect()
}

const PRODUCTION: &str = "/api/envs/production/release_notes";

#[tokio::test]
async fn a_note_has_the_fields_of_the_original() {
    for service in services().await {
        let created = service
            .post("/api/release_notes", json!({ "title": " T ", "body": " ", "feature": "" }))
            .await;
        created.is(200, json!({ "title": " T ", "body": " ", "feature": "", "id": 1 }));
        let day: Vec<i64> = service::time::rfc3339(service::time::now())[..10]
            .split('-')
            .map(|it| it.parse().unwrap())
            .collect();
        let date = format!("{}-{}-{}", day[0], day[1], day[2]);
        let note = json!({ "id": 1, "title": "T", "body": null, "feature": null, "date": date });
        let notes = json!({ "release_notes": [note] });
        service.get("/api/release_notes").await.is(200, notes.clone());
        service.public(PRODUCTION).await.is(200, notes);
        assert_eq!(
            service.audited(1).await,
            [json!({ "event": "release_note.create", "user": "token:admin", "event_data":
                { "id": 1, "title": "T", "body": null, "feature": null } })]
        );
        for body in [json!({}), json!({ "title": " " }), json!({ "title": 5 })] {
            service.post("/api/release_notes", body).await.says(400, "No valid title");
        }
        let old = "UPDATE release_note SET created = 1559606400000";
        service.change(move |sql| sql.execute(old, &[])).await;
        let shown = service.get("/api/release_notes").await.json();
        assert_eq!(shown["release_notes"][0]["date"], "2019-6-4", "without zeros");
    }
}

#[tokio::test]
async fn an_edit_changes_what_it_names() {
    for service in services().await {
        let id = note(&service, "T", Some("f"), 0).await;
        let path = format!("/api/release_notes/{id}");
        let edit = json!({ "body": "new" });
        service.patch(&path, edit.clone()).await.is(200, edit);
        let read =
            async || service.get("/api/release_notes").await.json()["release_notes"][0].clone();
        let shown = read().await;
        assert_eq!(
            (&shown["title"], &shown["body"], &shown["feature"]),
            (&json!("T"), &json!("new"), &json!("f"))
        );
        assert_eq!(
            service.audited(1).await,
            [json!({ "event": "release_note.edit", "user": "token:admin", "event_data":
                { "id": id, "title": "T", "body": "new", "feature": "f" } })]
        );
        service.delete(&path).await.is_empty();
        assert_eq!(service.get("/api/release_notes").await.json(), json!({ "release_notes": [] }));
        assert_eq!(service.audited(1).await[0]["event"], "release_note.delete");
    }
}

#[tokio::test]
async fn notes_are_published_with_their_features() {
    for service in services().await {
        for feature in ["new", "older", "old", "rolling", "off"] {
            service.feature(feature).await;
            note(&service, feature, Some(feature), 0).await;
        }
        note(&service, "unknown", Some("unknown"), 0).await;
        on(&service, "production", "new", 0).await;
        on(&service, "production", "older", 20).await;
        on(&service, "production", "old", 91).await;
        note(&service, "general 1", None, 500).await;
        note(&service, "general 2", None, 10).await;
        let sorted = ["new", "general 2", "general 1", "older"];
        assert_eq!(titles(&service, PRODUCTION).await, sorted);
        let days = format!("{PRODUCTION}?num_of_days=");
        assert_eq!(
            titles(&service, &format!("{days}95")).await,
            ["new", "general 2", "general 1", "older", "old"]
        );
        let short = titles(&service, &format!("{days}5")).await;
        assert_eq!(short, ["new", "general 2", "general 1"], "notes without a feature always");
        // A rollout is news for those who have it, and comes first.
        service.set("production", "rolling", "ROLL:100").await;
        let with = |id: &str| format!("{PRODUCTION}?enrollment_id={id}");
        let mut ids = (0..2_000).map(|it| format!("user-{it}"));
        let lucky = loop {
            let id = ids.next().expect("one of a hundred");
            if service.is_on("production", "rolling", &id).await {
                break id;
            }
        };
        assert_eq!(titles(&service, &with(&lucky)).await[0], "rolling");
        assert_eq!(titles(&service, &with(&lucky)).await[1..], sorted);
        assert_eq!(titles(&service, &with("")).await, sorted);
        assert_eq!(
            titles(&service, "/api/envs/nowhere/release_notes").await,
            ["general 2", "general 1"]
        );
        let metrics = service.get("/api/metrics/new").await.json();
        assert_eq!(metrics["metrics"], json!([]), "reading notes does not count as a request");
        for bad in ["-1", "x", "", "1e9"] {
            service.public(&format!("{days}{bad}")).await.is_problem(400, "invalid_request");
        }
    }
}

#[tokio::test]
async fn notes_are_limited() {
    for service in services().await {
        let long = "x".repeat(5_000);
        for body in [
            json!({ "title": long }),
            json!({ "title": "t", "feature": long }),
            json!({ "title": "t", "feature": "a b" }),
            json!({ "title": "t\0" }),
            json!({ "title": "t", "body": "\0" }),
            json!({ "title": "t", "body": 0 }),
            json!({ "title": "t", "feature": [] }),
            json!({ "title": "t", "body": "x".repeat((64 << 10) + 1) }),
        ] {
            let answer = service.post("/api/release_notes", body).await;
            answer.is_problem(400, "invalid_request");
        }
        let body: Value = json!({ "title": "t", "body": "x".repeat(64 << 10) });
        assert_eq!(service.post("/api/release_notes", body).await.status, 200);
    }
}

#[tokio::test]
async fn names_in_capitals_are_those_in_lower_case() {
    for service in services().await {
        service.feature("f").await;
        service.env("stage").await;
        note(&service, "T", Some("F"), 0).await;
        let shown = service.get("/api/release_notes").await.json();
        assert_eq!(shown["release_notes"][0]["feature"], "f");
        assert_eq!(service.audited(1).await[0]["event_data"]["feature"], "f");
        service.set("stage", "f", "ON").await;
        assert_eq!(titles(&service, "/api/envs/STAGE/release_notes").await, ["T"]);
        assert_eq!(titles(&service, PRODUCTION).await, Vec::<String>::new());
    }
}
