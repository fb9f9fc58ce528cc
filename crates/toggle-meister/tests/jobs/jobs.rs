//! What one replica does for all.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, http::StatusCode, routing::post};
use flagstaff::http::Server;
use serde_json::{Value, json};
use service::{audit, time};
use toggle_meister::{
    due::Use,
    model::{PRODUCTION, change, environment, feature, metric, note, toggle},
    reminder::{Schedule, Slack},
    rollout::{HOUR, PAUSE, Pace},
    serve::DAY,
    toggle::{Rollout, Toggle},
};

use crate::support::{Replica, add, count, postgres, read, settings, storage, until, write};

/// A database of each kind that is installed.
fn databases(folder: &tempfile::TempDir) -> Vec<String> {
    let file = folder.path().join("toggles.db").display().to_string();
    [Some(file), postgres()].into_iter().flatten().collect()
}

#[tokio::test]
async fn what_toggles_have_become_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    for database in databases(&folder) {
        let storage = storage(&database).await;
        let now = time::now();
        let pace = Pace::of_step(HOUR);
        let rollout = |start| Rollout { number: 1, start, pace };
        add(&storage, "complete", Toggle::Roll(rollout(now - 24 * HOUR))).await;
        add(&storage, "under_way", Toggle::Roll(rollout(now - 3 * HOUR))).await;
        let at = now - PAUSE - HOUR;
        add(&storage, "resumed", Toggle::Pause { rollout: rollout(at - 3 * HOUR), at }).await;
        let replicas = [
            Replica::start(&settings(&database)).await,
            Replica::start(&settings(&database)).await,
        ];
        let stored = async |name: &'static str| {
            read(&storage, move |sql| toggle::get(sql, name, PRODUCTION)).await
        };
        until("the rollout is stored as on", async || {
            stored("complete").await == Toggle::On { since: now - HOUR }
        })
        .await;
        until("the pause is stored as a rollout", async || {
            stored("resumed").await == Toggle::Roll(rollout(at - 3 * HOUR + PAUSE))
        })
        .await;
        assert_eq!(stored("under_way").await, Toggle::Roll(rollout(now - 3 * HOUR)));
        let events = "SELECT COUNT(*) FROM audit WHERE actor = 'cron.user'
            AND action = 'toggle.switch'";
        assert_eq!(count(&storage, events).await, 2);
        for replica in replicas {
            assert!(replica.http.is_on("production", "complete", "").await);
            replica.running.shutdown().await;
        }
        assert_eq!(count(&storage, "SELECT COUNT(*) FROM lease").await, 0, "it was given back");
    }
}

#[tokio::test]
async fn d2_what_was_deleted_14_days_ago_is_cleaned_up() {
    let folder = tempfile::tempdir().unwrap();
    for database in databases(&folder) {
        let storage = storage(&database).await;
        let on = Toggle::On { since: 0 };
        for name in ["old", "recent", "kept"] {
            add(&storage, name, on).await;
        }
        write(&storage, |sql| {
            metric::add(sql, "old", PRODUCTION, time::now() / DAY, 5)?;
            let delete = "UPDATE feature SET deleted = ?2 WHERE name = ?1";
            let overdue = time::now() - feature::KEPT;
            sql.execute(delete, &["old".into(), (overdue - 1).into()])?;
            sql.execute(delete, &["recent".into(), (overdue + HOUR).into()])
        })
        .await;
        let replica = Replica::start(&settings(&database)).await;
        until("it is deleted", async || {
            count(&storage, "SELECT COUNT(*) FROM feature WHERE name = 'old'").await == 0
        })
        .await;
        assert_eq!(count(&storage, "SELECT COUNT(*) FROM feature").await, 2);
        assert_eq!(count(&storage, "SELECT COUNT(*) FROM toggle").await, 2);
        assert_eq!(count(&storage, "SELECT COUNT(*) FROM metric").await, 0);
        let events = "SELECT COUNT(*) FROM audit WHERE actor = 'cron.user'
            AND action = 'feature.delete' AND subject = 'old'";
        assert_eq!(count(&storage, events).await, 1);
        // It is in force here a moment after it is stored.
        until("it is off", async || !replica.http.is_on("production", "old", "").await).await;
        assert!(replica.http.is_on("production", "recent", "").await, "it answers for 14 days");
        replica.running.shutdown().await;
    }
}

#[tokio::test]
async fn what_is_too_old_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    for database in databases(&folder) {
        let storage = storage(&database).await;
        add(&storage, "checkout", Toggle::On { since: 0 }).await;
        write(&storage, |sql| {
            let today = time::now() / DAY;
            metric::add(sql, "checkout", PRODUCTION, today - 401, 5)?;
            metric::add(sql, "checkout", PRODUCTION, today - 399, 5)?;
            audit::record(sql, "jane", "old", "")?;
            sql.execute("UPDATE audit SET at = 0 WHERE action = 'old'", &[])?;
            change::note(sql, &change::Changed::Employees)?;
            sql.execute("UPDATE change SET at = 0", &[])
        })
        .await;
        let replica = Replica::start(&settings(&database)).await;
        until("old changes are deleted", async || {
            count(&storage, "SELECT COUNT(*) FROM change WHERE at = 0").await == 0
        })
        .await;
        assert_eq!(count(&storage, "SELECT COUNT(*) FROM audit WHERE action = 'old'").await, 0);
        assert_eq!(count(&storage, "SELECT COUNT(*) FROM audit").await, 1);
        assert_eq!(count(&storage, "SELECT COUNT(*) FROM metric").await, 1);
        let seen = read(&storage, |sql| environment::last_seen(sql, PRODUCTION)).await;
        assert!(
            seen.is_some_and(|it| time::now() / DAY - it <= 1),
            "watched from now on: {seen:?}"
        );
        replica.running.shutdown().await;
    }
}

#[tokio::test]
async fn a_feature_is_unused_only_where_nobody_can_have_asked() {
    let folder = tempfile::tempdir().unwrap();
    for database in databases(&folder) {
        let storage = storage(&database).await;
        add(&storage, "checkout", Toggle::Off).await;
        add(&storage, "search", Toggle::Off).await;
        let today = time::now() / DAY + 40;
        // What is asked elsewhere, or for something else, does not count.
        let created = storage.write(|sql| environment::create(sql, "jane", "a")).await;
        created.unwrap();
        write(&storage, move |sql| {
            metric::add(sql, "checkout", "a", today, 1)?;
            metric::add(sql, "search", PRODUCTION, today, 1)
        })
        .await;
        let elsewhere = ("a".to_owned(), Use::Used);
        let uses = read(&storage, move |sql| {
            let checkout = feature::get(sql, "checkout")?.unwrap();
            metric::uses(sql, &checkout, today)
        });
        let production = |used| [elsewhere.clone(), (PRODUCTION.to_owned(), used)];
        assert_eq!(uses.await, production(Use::Unknown), "nobody watched");
        for (client, asked, expected) in [
            (today - 30, today - 30, Use::Unused),
            (today - 29, today - 30, Use::Unknown),
            // A day of long ago does not replace a later one.
            (today - 35, today - 30, Use::Unknown),
            (today - 29, today - 29, Use::Used),
        ] {
            let uses = write(&storage, move |sql| {
                environment::seen(sql, PRODUCTION, client)?;
                metric::add(sql, "checkout", PRODUCTION, asked, 1)?;
                let checkout = feature::get(sql, "checkout")?.unwrap();
                metric::uses(sql, &checkout, today)
            });
            assert_eq!(uses.await, production(expected), "{client} {asked}");
            let unused = read(&storage, move |sql| metric::unused(sql, today)).await;
            let since = (expected == Use::Unused).then_some(asked * DAY);
            assert_eq!(unused.get("checkout").copied(), since, "{client} {asked}");
            assert_eq!(unused.get("search"), None);
        }
    }
}

/// A reminder each week at this day and time, an hour ago.
fn an_hour_ago(now: i64) -> Schedule {
    let slot = now - HOUR;
    Schedule::new((slot / DAY).rem_euclid(7), slot.rem_euclid(DAY))
}

/// A double of Slack, which keeps what it receives, and responds with a status or never.
async fn slack(status: Option<StatusCode>) -> (String, Arc<Mutex<Vec<Value>>>, Server) {
    let received: Arc<Mutex<Vec<Value>>> = Arc::default();
    let keep = Arc::clone(&received);
    let router = Router::new().route(
        "/services/{*secret}",
        post(move |Json(body): Json<Value>| async move {
            keep.lock().unwrap().push(body);
            match status {
                Some(status) => status,
                None => std::future::pending().await,
            }
        }),
    );
    let listen: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = Server::builder().listen(listen).bind().await.unwrap();
    let server = server.serve(move |_| router.clone());
    let url = format!("http://{}/services/T/B/hunter2", server.addresses()[0]);
    (url, received, server)
}

#[tokio::test]
async fn people_are_reminded_once_a_week_by_one_of_the_replicas() {
    let folder = tempfile::tempdir().unwrap();
    for database in databases(&folder) {
        let storage = storage(&database).await;
        let now = time::now();
        let since = now - 16 * DAY;
        add(&storage, "checkout", Toggle::On { since }).await;
        add(&storage, "search", Toggle::On { since: now - 20 * DAY }).await;
        add(&storage, "recent", Toggle::On { since: now - 13 * DAY }).await;
        add(&storage, "gone", Toggle::On { since }).await;
        let deleted = storage.write(|sql| feature::soft_delete(sql, "jane", "gone", true)).await;
        deleted.unwrap();
        let (url, received, _server) = slack(Some(StatusCode::ACCEPTED)).await;
        let mut settings = settings(&database);
        settings.schedule = an_hour_ago(now);
        let mut slack = Slack::new(url.into()).unwrap();
        slack.channel = Some("#dev".to_owned());
        settings.slack = Some(slack);
        let replicas = [Replica::start(&settings).await, Replica::start(&settings).await];
        let noted = "SELECT COUNT(*) FROM reminder";
        until("both reminders are noted", async || count(&storage, noted).await == 2).await;
        for replica in replicas {
            replica.running.shutdown().await;
        }
        // The next one to have the lease says nothing again.
        let next = Replica::start(&settings).await;
        let lease = "SELECT COUNT(*) FROM lease";
        until("it has the lease", async || count(&storage, lease).await == 1).await;
        write(&storage, |sql| {
            let overdue = "UPDATE feature SET deleted = 0 WHERE name = 'gone'";
            sql.execute(overdue, &[])?;
            change::note(sql, &change::Changed::Feature("gone".to_owned()))
        })
        .await;
        let features = "SELECT COUNT(*) FROM feature";
        until("it has run a round", async || count(&storage, features).await == 3).await;
        next.running.shutdown().await;
        let received = received.lock().unwrap();
        assert_eq!(received.len(), 2, "{received:?}");
        let day: String = time::rfc3339(since).chars().take(10).collect();
        let text = format!(
            "Feature checkout created by jane has been on production since {day}. Time to clean \
             that up."
        );
        assert_eq!(received[0], json!({"text": text, "channel": "#dev"}));
        assert!(received[1]["text"].as_str().unwrap().starts_with("Feature search"));
    }
}

#[tokio::test]
async fn a_reminder_that_fails_does_not_keep_other_jobs_from_running() {
    others_run_beside(Some(StatusCode::INTERNAL_SERVER_ERROR)).await;
}

#[tokio::test]
async fn a_reminder_without_a_response_does_not_keep_other_jobs_from_running() {
    others_run_beside(None).await;
}

/// What Slack does does not matter to other jobs.
async fn others_run_beside(status: Option<StatusCode>) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("toggles.db").display().to_string();
    let storage = storage(&database).await;
    let now = time::now();
    add(&storage, "checkout", Toggle::On { since: now - 20 * DAY }).await;
    let (url, received, _server) = slack(status).await;
    let mut settings = settings(&database);
    settings.schedule = an_hour_ago(now);
    settings.slack = Slack::new(url.into());
    let replica = Replica::start(&settings).await;
    until("the reminder is sent", async || !received.lock().unwrap().is_empty()).await;
    let rollout = Rollout { number: 1, start: 0, pace: Pace::of_step(HOUR) };
    add(&storage, "complete", Toggle::Roll(rollout)).await;
    until("the rollout is stored as on", async || {
        let toggle = read(&storage, |sql| toggle::get(sql, "complete", PRODUCTION)).await;
        matches!(toggle, Toggle::On { .. })
    })
    .await;
    assert_eq!(count(&storage, "SELECT COUNT(*) FROM reminder").await, 0, "it is tried again");
    assert_eq!(received.lock().unwrap().len(), 1, "but not at once");
    for (job, failures) in [("reminder", "1"), ("rollouts", "0")] {
        let name = format!("job_failures_total{{job=\"{job}\"}}");
        assert_eq!(replica.http.metric(&name).await, failures, "{job}");
    }
    replica.running.shutdown().await;
}

#[tokio::test]
async fn a_feature_that_cannot_be_deleted_keeps_no_other_and_no_other_job() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("toggles.db").display().to_string();
    let storage = storage(&database).await;
    for name in ["a_stuck", "old"] {
        add(&storage, name, Toggle::On { since: 0 }).await;
    }
    write(&storage, |sql| {
        sql.execute("UPDATE feature SET deleted = 0", &[])?;
        audit::record(sql, "jane", "old", "")?;
        sql.execute("UPDATE audit SET at = 0 WHERE action = 'old'", &[])?;
        let trigger = "CREATE TRIGGER stuck BEFORE DELETE ON feature WHEN OLD.name = 'a_stuck'
            BEGIN SELECT RAISE(ABORT, 'stuck'); END";
        sql.execute(trigger, &[])
    })
    .await;
    let replica = Replica::start(&settings(&database)).await;
    until("the other feature is deleted", async || {
        count(&storage, "SELECT COUNT(*) FROM feature").await == 1
    })
    .await;
    until("old events are deleted", async || {
        count(&storage, "SELECT COUNT(*) FROM audit WHERE action = 'old'").await == 0
    })
    .await;
    // The next round tries again, and does what else there is to do.
    let rollout = Rollout { number: 1, start: 0, pace: Pace::of_step(HOUR) };
    add(&storage, "complete", Toggle::Roll(rollout)).await;
    until("the rollout is stored as on", async || {
        let toggle = read(&storage, |sql| toggle::get(sql, "complete", PRODUCTION)).await;
        matches!(toggle, Toggle::On { .. })
    })
    .await;
    assert!(replica.http.is_on("production", "a_stuck", "").await, "all of it is left");
    write(&storage, |sql| sql.execute("DROP TRIGGER stuck", &[])).await;
    until("it is deleted", async || count(&storage, "SELECT COUNT(*) FROM feature").await == 1)
        .await;
    replica.running.shutdown().await;
}

#[tokio::test]
async fn d31_a_new_feature_does_not_publish_the_notes_of_one_that_was_cleaned_up() {
    let folder = tempfile::tempdir().unwrap();
    for database in databases(&folder) {
        let storage = storage(&database).await;
        add(&storage, "secret", Toggle::Off).await;
        let text = note::Text {
            title: "old".to_owned(),
            feature: Some("secret".to_owned()),
            ..note::Text::default()
        };
        let written = storage.write(move |sql| note::create(sql, "jane", &text)).await;
        written.unwrap();
        write(&storage, |sql| sql.execute("UPDATE feature SET deleted = 0", &[])).await;
        let replica = Replica::start(&settings(&database)).await;
        until("the feature is deleted", async || {
            count(&storage, "SELECT COUNT(*) FROM feature").await == 0
        })
        .await;
        assert_eq!(replica.http.create("secret").await, 201);
        assert_eq!(replica.http.switch(PRODUCTION, "secret", "ON").await, 200);
        let published = replica.http.get("/api/envs/production/release_notes").await;
        assert_eq!(published, json!({"release_notes": []}));
        replica.running.shutdown().await;
    }
}
