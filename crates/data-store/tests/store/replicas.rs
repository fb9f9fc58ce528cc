//! Several replicas on one database.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use service::storage::Database;
use testing::Postgres;
use tokio::time::Instant;

use crate::support::{settings, start};

/// Takes the place of PostgreSQL's own function, and counts the notifications that are lost.
const LOST: &str = "
    CREATE TABLE lost (channel TEXT);
    CREATE FUNCTION pg_notify(channel TEXT, payload TEXT) RETURNS VOID LANGUAGE SQL
        AS 'INSERT INTO public.lost VALUES (channel)';
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
    END $$;";

fn psql(url: &str, statements: &str) -> String {
    Postgres::run("psql", &["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statements])
}

#[tokio::test]
async fn a_write_on_one_replica_is_in_the_stream_of_the_other() {
    // Notifications make it sooner; without them it is polled.
    for are_lost in [false, true] {
        let Some(url) = Postgres::database() else { return testing::skip("PostgreSQL") };
        if are_lost {
            psql(&url, LOST);
        }
        let settings = settings(Database::parse(&url, None).unwrap());
        let one = start(settings.clone()).await;
        let two = start(settings).await;
        let mut stream = two.stream("/api/changes", None).await;
        stream.expect("ready").await;
        let mut delays = Vec::new();
        for number in 0..10 {
            one.fact("c0", "k", &number.to_string()).await;
            let written = Instant::now();
            assert_eq!(two.json("/api/fact/c0").await["k"], number.to_string(), "read at once");
            assert_eq!(stream.expect("change").await.data["value"], number.to_string());
            delays.push(written.elapsed());
        }
        // Not each of them: the machine may do something else for a while. A notification is
        // sooner than the poll after half a second.
        delays.sort();
        let most = Duration::from_millis(if are_lost { 1_000 } else { 250 });
        assert!(delays[5] < most, "lost: {are_lost}, {delays:?}");
        if are_lost {
            let lost: u32 = psql(&url, "SELECT count(*) FROM lost").trim().parse().unwrap();
            assert!(lost >= 10, "{lost}");
        }
    }
}

/// What an alert compares.
#[tokio::test]
async fn replicas_agree_on_the_last_change_after_a_secret_was_written() {
    let Some(url) = Postgres::database() else { return testing::skip("PostgreSQL") };
    let settings = settings(Database::parse(&url, None).unwrap());
    let one = start(settings.clone()).await;
    one.fact("c0", "k", "v").await;
    for _ in 0..3 {
        let value = serde_json::json!({ "value": "v" });
        assert_eq!(one.put("/api/secret/c0/k", value).await.status(), StatusCode::OK);
    }
    // It begins with the last number.
    let two = start(settings).await;
    let last = two.running.store().hub().sequence();
    assert_eq!(last, 4);
    let begun = Instant::now();
    while one.running.store().hub().sequence() < last {
        assert!(begun.elapsed() < crate::support::LONG, "one never has the number of the secret");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let metrics = one.get("/metrics").await.text().await.unwrap();
    assert!(metrics.lines().any(|it| it == "service_change 4"), "{metrics}");
}

#[tokio::test]
async fn streams_and_tokens_begin_anew_when_the_database_is_restored() {
    let Some(url) = Postgres::database() else { return testing::skip("PostgreSQL") };
    let store = start(settings(Database::parse(&url, None).unwrap())).await;
    store.fact("c0", "k", "kept").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.sql");
    let file = file.to_str().unwrap();
    let _ = Postgres::run("pg_dump", &["--clean", "--if-exists", "-f", file, "-d", &url]);
    let token = store.token(&["facts-read"], None).await;
    let read = async || {
        let request = store.request_with(&token, Method::GET, "/api/fact/c0");
        request.send().await.unwrap().status()
    };
    assert_eq!(read().await, StatusCode::OK);
    let mut stream = store.stream("/api/changes", None).await;
    stream.expect("ready").await;
    for value in ["lost", "lost, too"] {
        store.fact("c0", "k", value).await;
        stream.expect("change").await;
    }
    let _ = Postgres::run("psql", &["-Xq1", "-v", "ON_ERROR_STOP=1", "-d", &url, "-f", file]);
    let reset = stream.expect("reset").await;
    assert_eq!(store.json("/api/fact/c0").await["k"], "kept");
    assert_eq!(read().await, StatusCode::UNAUTHORIZED, "the token is not in the backup");
    store.fact("c0", "k", "new").await;
    let change = stream.expect("change").await;
    assert_eq!(change.data["value"], "new");
    assert!(change.id > reset.id, "{change:?} {reset:?}");
}

#[tokio::test]
async fn a_token_revoked_on_one_replica_is_of_no_use_on_the_other_soon() {
    let Some(url) = Postgres::database() else { return testing::skip("PostgreSQL") };
    let database = Database::parse(&url, None).unwrap();
    let one = start(settings(database.clone())).await;
    let two = start(settings(database)).await;
    let token = one.token(&["facts-read"], None).await;
    let read = async || {
        two.request_with(&token, Method::GET, "/api/fact/c0").send().await.unwrap().status()
    };
    assert_eq!(read().await, StatusCode::NOT_FOUND, "the token is valid");
    let mut stream = crate::support::Events::new(
        two.request_with(&token, Method::GET, "/api/changes").send().await.unwrap(),
    );
    stream.expect("ready").await;
    let tokens = one.json("/api/token").await;
    let id = tokens.as_array().unwrap().last().unwrap()["id"].clone();
    assert_eq!(one.delete(&format!("/api/token/{id}")).await.status(), 200);
    stream.expect("end").await;
    assert_eq!(read().await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_command_on_the_same_file_is_noticed_by_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(folder.path().join("store.db"));
    let server = start(settings(database.clone())).await;
    let command = flagops_store::serve::open(&settings(database)).await.unwrap();
    let new = service::access::NewToken {
        name: "cms".to_owned(),
        permissions: vec!["facts-read".to_owned()],
        prefixes: None,
        expires: None,
    };
    let (id, token) = command.access().create_token(new, "command line").await.unwrap();
    let token = secrecy::ExposeSecret::expose_secret(&token).to_owned();
    let mut stream = crate::support::Events::new(
        server.request_with(&token, Method::GET, "/api/changes").send().await.unwrap(),
    );
    stream.expect("ready").await;
    command.access().revoke_token(id, "command line", |_| Ok(())).await.unwrap();
    stream.expect("end").await;
}
