//! What happens without the database, and what a server loses when it ends.

use std::process::Command;

use axum::http::Method;
use serde_json::json;
use testing::Postgres;

use crate::{
    program::Program,
    support::{Http, Replica, count, postgres, read, settings, storage, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_evaluations_go_on_and_writes_fail_clearly() {
    let Some(mut postgres) = Postgres::start() else { return testing::skip("PostgreSQL") };
    let settings = settings(&postgres.url());
    let replicas = [Replica::start(&settings).await, Replica::start(&settings).await];
    assert_eq!(replicas[0].http.create("checkout").await, 201);
    assert_eq!(replicas[0].http.switch("production", "checkout", "ON").await, 200);
    until("it is on everywhere", async || {
        replicas[1].http.is_on("production", "checkout", "").await
    })
    .await;
    postgres.kill();
    for replica in &replicas {
        let http = &replica.http;
        for _ in 0..50 {
            assert!(http.is_on("production", "checkout", "jane").await);
        }
        let body = json!({"toggle": {"env": "production", "feature": "checkout", "state": "OFF"}});
        let (status, problem) = http.send(Method::PATCH, "/api/toggles", &body).await;
        assert_eq!(status, 503, "{problem}");
        assert_eq!(problem["code"], "storage_unavailable");
        assert_eq!(http.create("other").await, 503);
        assert_eq!(http.send(Method::GET, "/heartbeat", &json!(null)).await.0, 503);
        for path in ["/health/live", "/health/ready"] {
            assert_eq!(http.send(Method::GET, path, &json!(null)).await.0, 200, "{path}");
        }
        assert!(http.is_on("production", "checkout", "jane").await, "nothing was changed");
        until("the outage is seen", async || http.metric("database_available").await == "0").await;
        let before = age(http).await;
        until("it grows", async || age(http).await > before).await;
        assert_eq!(http.metric("metrics_flush_failures_total").await, "0");
        let (status, _) = http.send(Method::GET, "/api/metrics/checkout", &json!(null)).await;
        assert_eq!(status, 503, "it writes down what was counted");
        assert_eq!(http.metric("metrics_flush_failures_total").await, "1");
    }
    let restarted = tokio::task::spawn_blocking(move || {
        postgres.restart();
        postgres
    });
    let _postgres = restarted.await.unwrap();
    until("it can be switched again", async || {
        replicas[0].http.switch("production", "checkout", "OFF").await == 200
    })
    .await;
    until("it is off everywhere", async || {
        !replicas[1].http.is_on("production", "checkout", "").await
    })
    .await;
    for replica in replicas {
        let http = &replica.http;
        assert_eq!(http.send(Method::GET, "/heartbeat", &json!(null)).await.0, 200);
        until("that it is over is seen", async || http.metric("database_available").await == "1")
            .await;
        until("changes are read again", async || age(http).await < 1.0).await;
        replica.running.shutdown().await;
    }
}

/// For how many seconds changes may be unknown.
async fn age(http: &Http) -> f64 {
    http.metric("changes_age_seconds").await.parse().unwrap()
}

const HITS: &str = "SELECT CAST(COALESCE(SUM(hits), 0) AS BIGINT) FROM metric";

#[tokio::test]
async fn requests_are_counted_and_written_at_a_graceful_stop() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("toggles.db").display().to_string();
    for database in [Some(file), postgres()].into_iter().flatten() {
        let storage = storage(&database).await;
        let replicas = [
            Replica::start(&settings(&database)).await,
            Replica::start(&settings(&database)).await,
        ];
        assert_eq!(replicas[0].http.create("checkout").await, 201);
        let [one, other] = &replicas;
        for _ in 0..30 {
            one.http.is_on("production", "checkout", "").await;
        }
        assert_eq!(one.http.switch("production", "checkout", "ON").await, 200);
        until("the other replica knows the feature", async || {
            let path = "/api/envs/production/toggles?feature=checkout&metrics=false";
            other.http.get(path).await["checkout"] == true
        })
        .await;
        for _ in 0..30 {
            other.http.is_on("production", "checkout", "").await;
        }
        assert_eq!(count(&storage, HITS).await, 0, "they are in memory");
        for replica in replicas {
            replica.running.shutdown().await;
        }
        assert_eq!(count(&storage, HITS).await, 60, "{database}");
    }
}

#[tokio::test]
async fn requests_survive_sigterm_and_sigkill_loses_at_most_the_last_flush() {
    let Some(database) = postgres() else { return };
    let program = Program::on(&database);
    let storage = storage(&database).await;
    let mut server = program.serve(&["--metrics-flush-seconds=1"]);
    assert_eq!(server.http.create("checkout").await, 201);
    for _ in 0..100 {
        server.http.is_on("production", "checkout", "").await;
    }
    until("they are written", async || count(&storage, HITS).await >= 100).await;
    let written = count(&storage, HITS).await;
    assert_eq!(written, 100, "each counts once, from the first on");
    for _ in 0..20 {
        server.http.is_on("production", "checkout", "").await;
    }
    server.process.kill();
    let left = count(&storage, HITS).await;
    assert!((written..=written + 20).contains(&left), "{written} {left}");

    let server = program.serve(&["--metrics-flush-seconds=3600"]);
    for _ in 0..20 {
        server.http.is_on("production", "checkout", "").await;
    }
    until("it has the lease", async || owner(&storage).await.is_some()).await;
    until("the dead one does not have it", async || {
        let pid = owner(&storage).await.unwrap();
        std::path::Path::new(&format!("/proc/{pid}")).exists()
    })
    .await;
    let pid = owner(&storage).await.unwrap();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    until("all are written", async || count(&storage, HITS).await == left + 20).await;
}

/// The number of the process that has the lease.
async fn owner(storage: &service::storage::Storage) -> Option<String> {
    let owner =
        read(storage, |sql| sql.query_one("SELECT owner FROM lease", &[], |row| row.text(0)));
    Some(owner.await?.split('-').next()?.to_owned())
}
