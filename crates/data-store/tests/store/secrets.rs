//! Secrets.

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use flagops_store::{MIGRATIONS, secret::Keys, serve};
use reqwest::StatusCode;
use serde_json::json;
use service::storage::Database;

use crate::support::{problem, settings, start, store, stores};

#[tokio::test]
async fn secrets_are_written_read_and_removed_at_the_paths_of_the_original() {
    for store in stores().await {
        let pem = "-----BEGIN X-----\n\"quotes\" \\ and more\n-----END X-----\n";
        assert_eq!(store.put("/api/secret/c0/pem", json!({ "value": pem })).await.status(), 200);
        store.put("/api/secret/c0/password", json!({ "value": "hunter2" })).await;
        let expected = json!({ "pem": pem, "password": "hunter2" });
        assert_eq!(store.json("/api/secret/c0").await, expected);
        assert_eq!(store.json("/secret/c0").await, expected);
        assert_eq!(store.json("/api/secret/c0/pem").await, json!({ "pem": pem }));
        assert_eq!(store.get("/api/secret/c0").await.headers()["cache-control"], "no-store");
        assert_eq!(store.delete("/api/secret/c0/pem").await.status(), 200);
        assert_eq!(store.delete("/api/secret/c0/pem").await.status(), 200, "again");
        let missing = store.get("/api/secret/c0/pem").await;
        assert_eq!(problem(missing, StatusCode::NOT_FOUND).await, "secret_not_found");
        for path in ["/api/secret/none", "/api/secret/none/k"] {
            let missing = store.get(path).await;
            assert_eq!(problem(missing, StatusCode::NOT_FOUND).await, "identity_not_found");
        }
        let missing = store.delete("/api/secret/none/k").await;
        problem(missing, StatusCode::NOT_FOUND).await;
        let blank = store.put("/api/secret/c0/k", json!({ "value": "" })).await;
        problem(blank, StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn a_secret_is_in_no_file_and_reading_it_is_in_the_audit() {
    let folder = tempfile::tempdir().unwrap();
    let store = start(settings(Database::Sqlite(folder.path().join("store.db")))).await;
    store.put("/api/secret/c0/password", json!({ "value": "correct horse battery" })).await;
    store.json("/api/secret/c0/password").await;
    let audit = store.json("/api/audit?subject=c0/password").await;
    let actions: Vec<_> =
        audit["events"].as_array().unwrap().iter().map(|it| it["action"].clone()).collect();
    assert_eq!(actions, ["secret.read", "secret.write"]);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is for its owner alone", entry.path().display());
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(13).any(|it| it == b"correct horse"));
    }
}

#[tokio::test]
async fn keys_are_rotated_and_the_old_one_is_needed_until_all_is_sealed_anew() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(folder.path().join("store.db"));
    let key = |id: &str| Keys::generate(id).unwrap();
    let (old, new) = (key("old"), key("new"));
    let keys = |texts: &[&secrecy::SecretString]| {
        use secrecy::ExposeSecret as _;
        let list: Vec<&str> = texts.iter().map(|it| it.expose_secret()).collect();
        Some(Arc::new(Keys::parse(&list.join(",").into()).unwrap()))
    };
    let run = async |list: &[&secrecy::SecretString]| {
        let mut settings = settings(database.clone());
        settings.secrets_keys = keys(list);
        start(settings).await
    };
    let store = run(&[&old]).await;
    store.put("/api/secret/c0/password", json!({ "value": "v" })).await;
    store.running.shutdown().await;

    let store = run(&[&new]).await;
    let lost = store.get("/api/secret/c0/password").await;
    assert_eq!(problem(lost, StatusCode::INTERNAL_SERVER_ERROR).await, "secret_unreadable");
    store.running.shutdown().await;

    // The job that seals anew runs at the start. A secret whose key is lost does not stop it.
    let lost = "INSERT INTO secret (identity, name, key_id, sealed, change)
        VALUES ('a0', 'k', 'gone', x'00', 0)";
    let storage = service::storage::Storage::open(database.clone(), MIGRATIONS).await.unwrap();
    let written = storage.write(|sql| sql.execute(lost, &[])).await;
    written.map_err(|error: service::storage::StorageError| error).unwrap();
    drop(storage);
    let store = run(&[&new, &old]).await;
    assert_eq!(store.json("/api/secret/c0/password").await, json!({ "password": "v" }));
    let sealed_anew = async || {
        let count: i64 = store
            .running
            .store()
            .storage()
            .read(|sql| {
                let sql =
                    sql.query_one("SELECT count(*) FROM secret WHERE key_id = 'new'", &[], |row| {
                        row.int(0)
                    });
                sql.map(Option::unwrap_or_default)
            })
            .await
            .map_err(|error: service::storage::StorageError| error)
            .unwrap();
        count == 1
    };
    while !sealed_anew().await {
        tokio::task::yield_now().await;
    }
    store.running.shutdown().await;
    let store = run(&[&new]).await;
    assert_eq!(store.json("/api/secret/c0/password").await, json!({ "password": "v" }));
}

#[tokio::test]
async fn d27_without_keys_no_secret_is_kept_and_facts_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Database::Sqlite(folder.path().join("store.db")));
    settings.secrets_keys = None;
    let store = start(settings).await;
    let response = store.put("/api/secret/c0/k", json!({ "value": "v" })).await;
    assert_eq!(problem(response, StatusCode::NOT_IMPLEMENTED).await, "secrets_disabled");
    store.fact("c0", "k", "v").await;
}

#[tokio::test]
async fn a_newer_schema_is_an_error_that_names_the_remedy() {
    let store = store().await;
    let storage = store.running.store().storage().clone();
    storage
        .write(|sql| sql.execute("INSERT INTO schema_history VALUES (999, 'later')", &[]))
        .await
        .map_err(|error: service::storage::StorageError| error)
        .unwrap();
    let settings = settings(storage.database().clone());
    let Err(error) = serve::start(&settings).await else { panic!("it starts") };
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("start the version of the program that wrote it"), "{source}");
}
