//! `toggle-meister import`, from a database with the original's schema.

use serde_json::{Value, json};
use service::{
    storage::{Database, Migration, Storage},
    time,
};
use toggle_meister::{
    import::{self, original::Original},
    model::toggle,
    serve::DAY,
};

use crate::{
    hash::expected,
    program::Program,
    support::{Replica, count, postgres, read, settings, storage},
};

/// Whatever the statements say, they run on an empty database.
const FIXTURE: &[Migration] =
    &[Migration { version: 1, name: "original", sql: include_str!("original.sql") }];

/// The address of a database of the original.
async fn original() -> Option<String> {
    let url = postgres()?;
    drop(Storage::open(Database::parse(&url, None).unwrap(), FIXTURE).await.unwrap());
    Some(url)
}

async fn content(url: &str) -> Original {
    import::read(&Database::parse(url, None).unwrap()).await.unwrap()
}

/// What the original says by the rules of its evaluation, where these are well defined: not for a
/// user who was never drawn, or was drawn and not taken, in a rollout; and not in a pause, which
/// makes the original forget everybody, or nobody.
fn before(original: &Original, env: &str, feature: &str, id: &str) -> Option<bool> {
    let toggle = original.toggles.iter().find(|it| it.env == env && it.feature == feature);
    let Some(toggle) = toggle else { return Some(false) };
    match toggle.state.as_str() {
        "ON" => Some(true),
        _ if id.is_empty() => Some(false),
        "ROLL" => {
            let key = (feature.to_owned(), env.to_owned(), id.to_owned());
            original.enrolments.contains(&key).then_some(true)
        }
        _ => None,
    }
}

#[tokio::test]
async fn every_evaluation_that_was_well_defined_is_the_same_afterwards() {
    let Some(url) = original().await else { return };
    let old = content(&url).await;
    for target in [Program::new(), Program::on(&postgres().unwrap())] {
        let ran = target.run(&["import", &url]);
        assert_eq!(ran.code, 3, "{ran:?}");
        let counts = "imported 8 features and 2 that were deleted softly, 2 environments, 12 toggles \
                      (4 in rollout, 1 paused), 4 enrolments, 2 release notes, 4 employees, 4 events \
                      of the audit trail, 2 days of metrics\n";
        assert_eq!(ran.out, counts);
        for skipped in [
            "skipped environment \"my stage\": no client could name it",
            "skipped feature \"Upper\": it is not an identifier in lower case",
            "skipped toggle production/Upper: its place was skipped",
            "skipped toggle my stage/on_: its place was skipped",
        ] {
            assert!(ran.err.contains(skipped), "{skipped}: {ran:?}");
        }
        let replica = Replica::start(&settings(target.database())).await;
        let http = &replica.http;
        let mut compared = 0;
        for env in ["production", "stage", "elsewhere"] {
            for feature in [
                "off",
                "on_",
                "legacy",
                "rolling",
                "starting",
                "ending",
                "half_day",
                "paused",
                "deleted",
                "left_over",
                "unknown",
            ] {
                for id in ["", "yes", "no", "white", "gr%C3%B6%C3%9Fe", "stranger"] {
                    let name = if id.contains('%') { "größe" } else { id };
                    if let Some(expected) = before(&old, env, feature, name) {
                        let now = http.is_on(env, feature, id).await;
                        assert_eq!(now, expected, "{env} {feature} {id:?}");
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared > 150, "{compared}");
        // Whoever was not drawn is judged by the hash, and so is who was on the whitelist.
        let target_storage = storage(target.database()).await;
        for feature in ["rolling", "starting", "ending", "half_day", "paused"] {
            let toggle = read(&target_storage, move |sql| toggle::get(sql, feature, "production"));
            let toggle = toggle.await.at(time::now());
            let (number, percent) = (toggle.rollout().unwrap().number, toggle.percent(time::now()));
            for id in ["no", "white", "stranger"] {
                let now = http.is_on("production", feature, id).await;
                assert_eq!(now, expected(feature, number, percent, Some(id)), "{feature} {id}");
            }
        }
        // An exception: a pause keeps who has the feature.
        assert!(http.is_on("production", "paused", "yes").await);
        // The matrix leaves out what was deleted, and shows the percentages as they were.
        let matrix = http.get("/api/toggles").await;
        let of = |feature: &str| -> Value {
            let toggles = matrix["toggles"].as_array().unwrap();
            let found = toggles
                .iter()
                .map(|it| &it["toggle"])
                .find(|it| it["env"] == "production" && it["feature"] == feature);
            found.map_or(Value::Null, |it| {
                json!([it["state"], it["current_percent"], it["over_x_days"]])
            })
        };
        assert_eq!(of("rolling"), json!(["ROLL", 30, 2.0]));
        assert_eq!(of("starting"), json!(["ROLL", 1, 3.0]));
        assert_eq!(of("ending"), json!(["ROLL", 93, 1.0]));
        assert_eq!(of("half_day"), json!(["ROLL", 1, 1.0]));
        assert_eq!(of("paused"), json!(["PAUSE", 50, 2.0]));
        assert_eq!(of("deleted"), Value::Null);
        let due = http.get("/api/features?due=true").await;
        let expected = json!({"features": [
            {"name": "legacy", "created": "2016-05-01T00:00:00Z", "reason": "on",
                "since": "2016-05-01T00:00:00Z"},
            {"name": "on_", "created": "2020-02-01T10:00:00.5Z", "reason": "on",
                "since": "2020-04-01T12:00:00Z"},
        ]});
        assert_eq!(due, expected);
        others(&replica, target.database()).await;
        replica.running.shutdown().await;
    }
    let after = content(&url).await;
    assert_eq!(format!("{old:?}"), format!("{after:?}"), "the original is only read");
}

/// Employees, notes, the audit trail and metrics.
async fn others(replica: &Replica, database: &str) {
    let http = &replica.http;
    let employees = http.get("/api/employees").await;
    let role = |username: &str| {
        let all = employees["employees"].as_array().unwrap();
        let found = all.iter().find(|it| it["username"] == username).unwrap();
        json!([found["name"], found["email"], found["role"]])
    };
    assert_eq!(role("jane.doe"), json!(["Jane Doe", "jane.doe@corp.example", "admin"]));
    assert_eq!(role("tess"), json!(["tess", "tess@corp.example", "qa"]));
    assert_eq!(role("nobody"), json!(["Nobody", "", "read_only"]));
    let notes = http.get("/api/release_notes").await;
    assert_eq!(notes["release_notes"][0]["id"], 2_147_483_646);
    assert_eq!(notes["release_notes"][0]["body"], "**bold**");
    assert_eq!(notes["release_notes"][1]["date"], "2020-5-1");
    let title = json!({"title": "next"});
    let (_, created) = http.send(axum::http::Method::POST, "/api/release_notes", &title).await;
    assert_eq!(created["id"], 2_147_483_647, "the numbers go on, and are not counted up");
    let storage = storage(database).await;
    let events = "SELECT COUNT(*) FROM audit WHERE subject = 'production/on_' AND actor = 'dev'";
    assert_eq!(count(&storage, events).await, 1);
    assert_eq!(count(&storage, "SELECT hits FROM metric WHERE env = 'production'").await, 12);
    let day = count(&storage, "SELECT day FROM metric WHERE env = 'production'").await;
    assert!((5..=6).contains(&(time::now() / DAY - day)), "{day}");
}

#[tokio::test]
async fn an_import_can_be_rehearsed_and_repeated_until_something_is_changed() {
    let Some(url) = original().await else { return };
    for target in [Program::new(), Program::on(&postgres().unwrap())] {
        repeat(&target, &url).await;
    }
    let used = Program::new();
    let replica = Replica::start(&settings(used.database())).await;
    assert_eq!(replica.http.create("mine").await, 201);
    replica.running.shutdown().await;
    let ran = used.run(&["import", &url]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("has features, environments or release notes already"), "{ran:?}");
}

async fn repeat(target: &Program, url: &str) {
    let ran = target.run(&["import", "--dry-run", url]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.starts_with("would import 8 features and 2 that"), "{ran:?}");
    let storage = storage(target.database()).await;
    assert_eq!(count(&storage, "SELECT COUNT(*) FROM feature").await, 0);
    for _ in 0..2 {
        let ran = target.run(&["import", url]);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert_eq!(count(&storage, "SELECT COUNT(*) FROM feature").await, 10);
        assert_eq!(count(&storage, "SELECT COUNT(*) FROM enrolment").await, 4);
        let events = "SELECT COUNT(*) FROM audit WHERE action <> 'import'";
        assert_eq!(count(&storage, events).await, 4);
    }
    let replica = Replica::start(&settings(target.database())).await;
    assert_eq!(replica.http.switch("production", "off", "ON").await, 200);
    replica.running.shutdown().await;
    let ran = target.run(&["import", url]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("were changed here since the last import"), "{ran:?}");
}

#[tokio::test]
async fn a_running_server_takes_in_what_is_imported() {
    let Some(url) = original().await else { return };
    let target = Program::on(&postgres().unwrap());
    let replica = Replica::start(&settings(target.database())).await;
    assert!(!replica.http.is_on("production", "on_", "").await);
    assert_eq!(target.run(&["import", &url]).code, 3);
    crate::support::until("it is in force", async || {
        replica.http.is_on("production", "on_", "").await
    })
    .await;
    replica.running.shutdown().await;
}

#[tokio::test]
async fn only_a_database_of_the_original_is_imported() {
    let target = Program::new();
    let ran = target.run(&["import", "toggles.db"]);
    assert!(ran.code == 1 && ran.err.contains("a URL that begins with postgres://"), "{ran:?}");
    let away = format!("postgres://u:hunter2@127.0.0.1:{}/x", testing::free_port());
    let ran = target.run(&["import", &away]);
    assert!(ran.code == 1 && ran.err.contains("cannot read the original"), "{ran:?}");
    assert!(!ran.err.contains("hunter2"), "{ran:?}");
    let Some(empty) = postgres() else { return };
    let ran = target.run(&["import", &empty]);
    assert!(ran.code == 1 && ran.err.contains("has no table employees"), "{ran:?}");
}

#[tokio::test]
async fn an_enrolment_ends_with_its_rollout() {
    let Some(url) = original().await else { return };
    for target in [Program::new(), Program::on(&postgres().unwrap())] {
        assert_eq!(target.run(&["import", &url]).code, 3);
        let storage = storage(target.database()).await;
        let enrolled = "SELECT COUNT(*) FROM enrolment WHERE feature = 'rolling'";
        assert_eq!(count(&storage, enrolled).await, 2);
        let replica = Replica::start(&settings(target.database())).await;
        let http = &replica.http;
        assert!(http.is_on("production", "rolling", "yes").await);
        for state in ["OFF", "ROLL:100"] {
            assert_eq!(http.switch("production", "rolling", state).await, 200);
        }
        assert_eq!(count(&storage, enrolled).await, 0);
        let toggle = read(&storage, |sql| toggle::get(sql, "rolling", "production")).await;
        let number = toggle.rollout().unwrap().number;
        for (id, encoded) in [("yes", "yes"), ("größe", "gr%C3%B6%C3%9Fe")] {
            let now = http.is_on("production", "rolling", encoded).await;
            assert_eq!(now, expected("rolling", number, 1, Some(id)), "{id}");
        }
        replica.running.shutdown().await;
    }
}
