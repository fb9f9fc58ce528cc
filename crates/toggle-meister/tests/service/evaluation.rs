//! `GET /api/envs/{env}/toggles`.

use reqwest::Method;
use serde_json::json;

use crate::support::{Service, send, service, services};

/// Lets a rollout have begun a while ago.
async fn rolled_for(service: &Service, env: &str, feature: &str, hours: i64) {
    let (env, feature) = (env.to_owned(), feature.to_owned());
    let name = feature.clone();
    service
        .change(move |sql| {
            use toggle_meister::{
                model::{change, toggle},
                rollout::HOUR,
                toggle::{Rollout, Toggle},
            };
            let now = toggle::get(sql, &feature, &env)?;
            let Toggle::Roll(rollout) = now else { panic!("{now:?}") };
            let start = rollout.start - hours * HOUR;
            toggle::put(sql, &feature, &env, Toggle::Roll(Rollout { start, ..rollout }))?;
            change::note(sql, &change::Changed::Feature(feature))
        })
        .await;
    // The database is asked twice a second.
    crate::support::eventually(async || {
        service.toggle("production", &name).await["current_percent"] != 1
    })
    .await;
}

#[tokio::test]
async fn the_example_of_the_original() {
    for service in services().await {
        service.feature("open_source").await;
        service.feature("use_feature_toggles").await;
        service.set("production", "use_feature_toggles", "ON").await;
        let path = "/api/envs/production/toggles?feature=use_feature_toggles&feature=open_source";
        let answer = service.public(path).await;
        assert_eq!(answer.text, r#"{"open_source":false,"use_feature_toggles":true}"#);
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn what_is_unknown_is_off() {
    let service = service(&[]).await;
    service.feature("f").await;
    service.set("production", "f", "ON").await;
    let read = async |path: &str| service.public(&format!("/api/envs/{path}")).await;
    read("production/toggles?feature=none&feature=f")
        .await
        .is(200, json!({ "f": true, "none": false }));
    read("nowhere/toggles?feature=f").await.is(200, json!({ "f": false }));
    read("nowhere/toggles?all=true").await.is(200, json!({ "f": false }));
    read("PRODUCTION/toggles?feature=F&feature=f&feature=").await.is(200, json!({ "f": true }));
    for query in ["", "?", "?feature=", "?enrollment_id=x", "?all=false", "?all=1"] {
        let answer = read(&format!("production/toggles{query}")).await;
        answer.says(400, "No features provided");
    }
    read("production/toggles?all=TRUE").await.is(200, json!({ "f": true }));
    let strange = "production/toggles?feature=%00&feature=%FF&feature=a%22b&enrollment_id=%00";
    assert_eq!(read(strange).await.status, 200);
}

#[tokio::test]
async fn a_rollout_is_for_those_with_an_id_and_stays_with_them() {
    for service in services().await {
        service.feature("f").await;
        service.set("production", "f", "ROLL:1").await;
        rolled_for(&service, "production", "f", 11).await;
        assert_eq!(service.toggle("production", "f").await["current_percent"], 30);
        assert!(!service.is_on("production", "f", "").await, "without an id");
        let mut on = Vec::new();
        for number in 0..100 {
            let id = format!("user-{number}");
            if service.is_on("production", "f", &id).await {
                on.push(id);
            }
        }
        assert!((15..=45).contains(&on.len()), "{} of 100 at 30 %", on.len());
        service.set("production", "f", "PAUSE").await;
        for number in 0..100 {
            let id = format!("user-{number}");
            assert_eq!(service.is_on("production", "f", &id).await, on.contains(&id), "{id}");
        }
        service.set("production", "f", "ON").await;
        assert!(service.is_on("production", "f", "").await);
    }
}

#[tokio::test]
async fn a_rollout_whose_time_is_over_is_on_for_everybody() {
    let service = service(&[]).await;
    service.feature("f").await;
    service.set("production", "f", "ROLL:1").await;
    rolled_for(&service, "production", "f", 23).await;
    assert_eq!(service.toggle("production", "f").await["state"], "ON");
    assert!(service.is_on("production", "f", "").await);
    service
        .switch("production", "f", "PAUSE")
        .await
        .says(400, "You can only pause a feature currently in rollout");
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let service = service(&[]).await;
    service.feature("f").await;
    let path = "/api/envs/production/toggles?feature=f";
    let first = service.public(path).await;
    let tag = first.header("etag");
    assert!(tag.starts_with('"') && tag.len() > 10, "{tag}");
    let with = async |condition: &str| {
        send(service.open(Method::GET, path).header("if-none-match", condition)).await
    };
    for condition in [tag, "*", &format!("W/{tag}"), &format!("\"other\", {tag}")] {
        let known = with(condition).await;
        assert_eq!((known.status.as_u16(), &*known.text), (304, ""), "{condition}");
        assert_eq!(known.header("etag"), tag);
        assert_eq!(known.header("access-control-allow-origin"), "*");
        assert!(known.header("access-control-expose-headers").contains("etag"));
    }
    assert_eq!(with("\"other\"").await.status, 200);
    service.set("production", "f", "ON").await;
    let changed = with(tag).await;
    changed.is(200, json!({ "f": true }));
    assert_ne!(changed.header("etag"), tag);
}
