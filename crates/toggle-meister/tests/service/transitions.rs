//! Each cell of the table of transitions, the spread from production, and the audit of both.

use serde_json::{Value, json};
use toggle_meister::toggle::Toggle;

use crate::support::{Service, service, services};

const ROLL: &str = "You can only roll a feature that is currently off";
const PAUSE: &str = "You can only pause a feature currently in rollout";

/// The state of the toggle, and that of the row.
async fn states(service: &Service, env: &str) -> (Value, Toggle) {
    let env_ = env.to_owned();
    let row = service.change(move |sql| toggle_meister::model::toggle::get(sql, "f", &env_));
    let row = row.await;
    (service.toggle(env, "f").await["state"].clone(), row)
}

/// Brings the toggle into a state.
async fn bring(service: &Service, env: &str, state: &str) {
    service.set(env, "f", "OFF").await;
    match state {
        "OFF" => {}
        "PAUSE" => {
            service.set(env, "f", "ROLL:3").await;
            service.set(env, "f", "PAUSE").await;
        }
        "ROLL" => service.set(env, "f", "ROLL:3").await,
        state => service.set(env, "f", state).await,
    }
    assert_eq!(states(service, env).await.0, state);
}

#[tokio::test]
async fn each_state_follows_those_that_the_table_says() {
    for service in services().await {
        service.feature("f").await;
        service.env("stage").await;
        for env in ["stage", "production"] {
            for (now, wanted, expected) in [
                ("OFF", "OFF", Ok("OFF")),
                ("OFF", "ON", Ok("ON")),
                ("OFF", "ROLL:2", Ok("ROLL")),
                ("OFF", "PAUSE", Err(PAUSE)),
                ("ON", "OFF", Ok("OFF")),
                ("ON", "ON", Ok("ON")),
                ("ON", "ROLL:2", Err(ROLL)),
                ("ON", "PAUSE", Err(PAUSE)),
                ("ROLL", "OFF", Ok("OFF")),
                ("ROLL", "ON", Ok("ON")),
                ("ROLL", "ROLL:2", Err(ROLL)),
                ("ROLL", "PAUSE", Ok("PAUSE")),
                ("PAUSE", "OFF", Ok("OFF")),
                ("PAUSE", "ON", Ok("ON")),
                ("PAUSE", "ROLL:2", Err(ROLL)),
                ("PAUSE", "PAUSE", Err(PAUSE)),
            ] {
                bring(&service, env, now).await;
                let before = states(&service, env).await;
                let trail = service.audited(1).await;
                let answer = service.switch(env, "f", wanted).await;
                let after = states(&service, env).await;
                match expected {
                    Err(message) => {
                        answer.says(400, message);
                        assert_eq!(after, before, "{now} {wanted}");
                        assert_eq!(service.audited(1).await, trail, "nothing is recorded");
                    }
                    Ok(state) => {
                        assert_eq!(answer.status, 200, "{now} {wanted}");
                        assert_eq!(after.0, state, "{now} {wanted}");
                        if now == wanted {
                            assert_eq!(after, before, "it keeps its time");
                        }
                    }
                }
            }
        }
    }
}

fn switched(env: &str, state: &str, days: &Value) -> Value {
    json!({ "event": "toggle.switch", "user": "token:admin", "event_data": {
        "toggle_env": env, "toggle_feature": "f", "new_state": state, "over_x_days": days } })
}

#[tokio::test]
async fn production_spreads_on_and_rollouts_and_nothing_else() {
    for service in services().await {
        service.feature("f").await;
        for env in ["dev", "stage", "test"] {
            service.env(env).await;
        }
        service.set("stage", "f", "ROLL:1").await;
        service.set("test", "f", "ROLL:1").await;
        service.set("test", "f", "PAUSE").await;
        // A rollout of production turns the others on, whatever they were.
        service.set("production", "f", "ROLL:2").await;
        let mut events = service.audited(4).await;
        // The one that was asked for is recorded first.
        assert_eq!(events.pop(), Some(switched("production", "ROLL", &json!("2"))));
        events.reverse();
        let on = ["dev", "stage", "test"].map(|env| switched(env, "ON", &json!(0)));
        assert_eq!(events, on);
        for env in ["dev", "stage", "test"] {
            assert_eq!(states(&service, env).await.0, "ON", "{env}");
        }
        let stage = states(&service, "stage").await;
        // A pause does not spread.
        service.set("production", "f", "PAUSE").await;
        assert_eq!(service.audited(1).await, [switched("production", "PAUSE", &json!(2))]);
        service.set("dev", "f", "OFF").await;
        assert_eq!(service.audited(1).await, [switched("dev", "OFF", &json!(0))]);
        // What is on already stays as it is, and is not recorded.
        service.set("production", "f", "ON").await;
        let events = service.audited(3).await;
        assert_eq!(events[1], switched("production", "ON", &json!(0)));
        assert_eq!(events[0], switched("dev", "ON", &json!(0)));
        assert_eq!(events[2], switched("dev", "OFF", &json!(0)));
        assert_eq!(states(&service, "stage").await, stage);
        // What changes nothing is recorded, as in the original.
        service.set("production", "f", "ON").await;
        let again = [switched("production", "ON", &json!(0)), switched("dev", "ON", &json!(0))];
        assert_eq!(service.audited(2).await, again);
        // OFF does not spread either, and the others may be off while production is on.
        service.set("production", "f", "OFF").await;
        for env in ["dev", "stage", "test"] {
            assert_eq!(states(&service, env).await.0, "ON", "{env}");
        }
    }
}

#[tokio::test]
async fn production_on_ends_rollouts_and_pauses_elsewhere_with_an_event_each() {
    for service in services().await {
        service.feature("f").await;
        for env in ["stage", "test"] {
            service.env(env).await;
            service.set(env, "f", "ROLL:1").await;
        }
        service.set("test", "f", "PAUSE").await;
        service.set("production", "f", "ON").await;
        for env in ["stage", "test", "production"] {
            assert_eq!(states(&service, env).await.0, "ON", "{env}");
        }
        let events = service.audited(4).await;
        let on = ["test", "stage", "production"].map(|env| switched(env, "ON", &json!(0)));
        assert_eq!(events[..3], on);
        assert_eq!(events[3], switched("test", "PAUSE", &json!(2)), "there is no other");
    }
}

#[tokio::test]
async fn a_rollout_that_is_rejected_in_production_changes_no_other_environment() {
    for service in services().await {
        service.feature("f").await;
        service.env("stage").await;
        service.set("production", "f", "ON").await;
        service.set("stage", "f", "OFF").await;
        let trail = service.audited(1).await;
        service.switch("production", "f", "ROLL:2").await.says(400, ROLL);
        assert_eq!(states(&service, "stage").await, (json!("OFF"), Toggle::Off));
        assert_eq!(service.audited(1).await, trail);
    }
}

#[tokio::test]
async fn fields_that_the_original_does_not_know_change_nothing() {
    let service = service(&[]).await;
    service.feature("f").await;
    service.env("stage").await;
    let more = json!({ "dry_run": true, "toggle": { "env": "stage", "feature": "f", "state": "ON",
        "over_x_days": 9, "current_percent": 3, "user": "eve", "date_on": null } });
    assert_eq!(service.patch("/api/toggles", more).await.status, 200);
    assert_eq!(service.audited(1).await, [switched("stage", "ON", &json!(0))]);
    let toggle = service.toggle("stage", "f").await;
    assert_eq!((&toggle["state"], &toggle["over_x_days"]), (&json!("ON"), &json!(0)));
    assert_eq!(service.toggle("production", "f").await["state"], "OFF");
}

#[tokio::test]
async fn production_spreads_to_200_environments() {
    for service in services().await {
        let created = service.running.store().write(|sql| {
            for number in 0..200 {
                let name = format!("e{number}");
                toggle_meister::model::environment::create(sql, "test", &name)?;
            }
            Ok(())
        });
        created.await.unwrap();
        service.feature("f").await;
        service.set("production", "f", "ON").await;
        let matrix = service.get("/api/toggles").await.json();
        let toggles = matrix["toggles"].as_array().unwrap();
        assert_eq!(toggles.len(), 201);
        assert!(toggles.iter().all(|it| it["toggle"]["state"] == "ON"), "{matrix}");
        assert!(service.is_on("e199", "f", "").await);
        let events = service.audited(201).await;
        let envs = events.iter().map(|it| it["event_data"]["toggle_env"].as_str());
        let envs: std::collections::BTreeSet<_> = envs.collect();
        assert_eq!(envs.len(), 201, "one for each");
        let page = service.get("/ui/feature/f").await;
        assert_eq!(
            (page.status.as_u16(), page.text.matches("<section data-row").count()),
            (200, 201)
        );
    }
}

#[tokio::test]
async fn faults_are_found_in_the_order_of_the_original() {
    for service in services().await {
        service.feature("f").await;
        service.feature("gone").await;
        service.delete("/api/features/gone").await.is_empty();
        let no_days = "Rollouts must include number of days, such as 'ROLL:2' for 2 days.";
        for (toggle, message) in [
            (json!(null), "No toggle provided"),
            (json!("ON"), "No toggle provided"),
            (json!([]), "No toggle provided"),
            (json!({}), "No valid environment provided"),
            (json!({ "state": "ROLL" }), no_days),
            (json!({ "env": "nowhere", "feature": "none", "state": "ROLL" }), no_days),
            (
                json!({ "env": "nowhere", "feature": "none", "state": "x" }),
                "No valid environment provided",
            ),
            (json!({ "env": 1, "feature": "f", "state": "ON" }), "No valid environment provided"),
            (
                json!({ "env": "production", "feature": "none", "state": "x" }),
                "No valid feature provided",
            ),
            (
                json!({ "env": "production", "feature": null, "state": "ON" }),
                "No valid feature provided",
            ),
            (
                json!({ "env": "production", "feature": "gone", "state": "x" }),
                "No valid feature provided",
            ),
            (json!({ "env": "production", "feature": "f" }), "No valid state provided"),
            (
                json!({ "env": "production", "feature": "f", "state": "on" }),
                "No valid state provided",
            ),
            (
                json!({ "env": "production", "feature": "f", "state": ["ON"] }),
                "No valid state provided",
            ),
        ] {
            let answer = service.patch("/api/toggles", json!({ "toggle": toggle })).await;
            answer.says(400, message);
        }
        for body in [json!({}), json!("x"), json!(null), json!(1)] {
            service.patch("/api/toggles", body).await.says(400, "No toggle provided");
        }
        // Names are folded; states are not.
        service.set("PRODUCTION", "F", "ON").await;
        assert_eq!(states(&service, "production").await.0, "ON");
    }
}

#[tokio::test]
async fn without_a_toggle_nobody_is_told_that_they_may_not() {
    let service = service(&[]).await;
    let token = service.token("read_only").await;
    let patch = |body: Value| {
        let request = service.open(reqwest::Method::PATCH, "/api/toggles").bearer_auth(&token);
        crate::support::send(request.json(&body))
    };
    patch(json!({})).await.says(400, "No toggle provided");
    patch(json!({ "toggle": { "state": "ROLL" } })).await.is_forbidden();
}

#[tokio::test]
async fn parts_after_a_second_colon_are_ignored_and_days_are_kept_as_written() {
    let service = service(&[]).await;
    service.feature("f").await;
    service.set("production", "f", "ROLL:3:9").await;
    assert_eq!(service.audited(1).await, [switched("production", "ROLL", &json!("3"))]);
    assert_eq!(service.toggle("production", "f").await["over_x_days"], 3.0);
}
