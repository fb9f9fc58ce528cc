//! Several replicas on one database.

use reqwest::{Method, StatusCode};
use service::storage::Database;
use testing::Postgres;

use crate::support::{settings, start};

#[tokio::test]
async fn a_write_on_one_replica_is_in_the_stream_of_the_other() {
    // Notifications make it sooner; without them it is polled.
    for notifications in [true, false] {
        let Some(url) = Postgres::database() else { return testing::skip("PostgreSQL") };
        let mut settings = settings(Database::parse(&url, None).unwrap());
        settings.notifications = notifications;
        let one = start(settings.clone()).await;
        let two = start(settings).await;
        let mut stream = two.stream("/api/changes", None).await;
        stream.expect("ready").await;
        for number in 0..10 {
            one.fact("c0", "k", &number.to_string()).await;
            assert_eq!(two.json("/api/fact/c0").await["k"], number.to_string(), "read at once");
            assert_eq!(stream.expect("change").await.data["value"], number.to_string());
        }
    }
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
    command.access().revoke_token(id, "command line").await.unwrap();
    stream.expect("end").await;
}
