//! `flagops-store backup` and `flagops-store restore`.

use std::{fs, os::unix::fs::PermissionsExt as _};

use flagops_store::MIGRATIONS;
use serde_json::json;
use service::storage::{Database, Storage, StorageError};

use crate::program::{Program, Server, text};

/// The files in the folder of a program.
fn files(program: &Program) -> Vec<String> {
    let entries = fs::read_dir(program.path("")).unwrap();
    let mut names: Vec<String> =
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

async fn server_with_data(program: &Program) -> Server {
    let server = program.serve();
    server.set("/api/fact/acme/tier", "gold").await;
    server.set("/api/secret/acme/password", "hunter2").await;
    server
}

#[tokio::test]
async fn a_backup_is_made_while_the_server_writes_and_has_all_that_was_acknowledged() {
    let program = Program::new();
    let server = server_with_data(&program).await;
    let writing = async {
        for number in 0..200 {
            server.set("/api/fact/acme/number", &number.to_string()).await;
        }
    };
    let copying = async {
        for number in 0..5 {
            let path = format!("/api/fact/acme/before-{number}");
            server.set(&path, "v").await;
            let mut command = program.command(&["backup", &format!("copies/{number}.db")]);
            let output = tokio::task::spawn_blocking(move || command.output()).await;
            let output = output.unwrap().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    };
    tokio::join!(writing, copying);
    for number in 0..5 {
        let copy = program.path(&format!("copies/{number}.db"));
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        let restored = Program::new();
        let ran = restored.run(&["restore", text(&copy)]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let server = restored.serve();
        let facts = server.json("/api/fact/acme").await;
        assert_eq!(facts[format!("before-{number}")], "v");
        assert!(facts.get(format!("before-{}", number + 1)).is_none());
    }
    assert_eq!(fs::read_dir(program.path("copies")).unwrap().count(), 5);
}

#[tokio::test]
async fn what_was_restored_serves_facts_secrets_and_tokens() {
    let program = Program::new();
    let mut server = server_with_data(&program).await;
    assert_eq!(program.run(&["backup", "copy.db"]).code, 0);
    server.set("/api/fact/acme/tier", "free").await;
    server.process.kill();
    // The log of what is replaced lies beside it, and must not be applied.
    assert!(files(&program).contains(&"store.db-wal".to_owned()));
    let ran = program.run(&["restore", "copy.db"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("--force replaces it"), "{ran:?}");
    assert_eq!(program.run(&["restore", "copy.db", "--force"]).code, 0);
    assert_eq!(files(&program), ["copy.db", "store.db"]);
    let server = program.serve_under(&[], &server.token);
    assert_eq!(server.json("/api/fact/acme").await, json!({ "tier": "gold" }));
    assert_eq!(server.json("/api/secret/acme").await, json!({ "password": "hunter2" }));
    assert_eq!(program.run(&["check"]).code, 0);
}

#[tokio::test]
async fn a_stream_does_not_resume_from_a_change_that_was_lost() {
    let program = Program::new();
    let mut server = server_with_data(&program).await;
    assert_eq!(program.run(&["backup", "copy.db"]).code, 0);
    server.set("/api/fact/acme/tier", "lost").await;
    let response = server.get("/api/fact/acme/tier").await;
    let tag = response.headers()["etag"].clone();
    let last: i64 = response.headers()["flagops-sequence"].to_str().unwrap().parse().unwrap();
    server.process.kill();
    assert_eq!(program.run(&["restore", "copy.db", "--force"]).code, 0);
    let server = program.serve_under(&[], &server.token);
    for value in ["other", "others"] {
        server.set("/api/fact/acme/tier", value).await;
    }
    let mut stream = server.stream(Some(last)).await;
    stream.expect("ready").await;
    stream.expect("reset").await;
    let stale = server.request(reqwest::Method::PUT, "/api/fact/acme/tier");
    let stale = stale.header("if-match", tag).json(&json!({ "value": "x" })).send().await;
    assert_eq!(stale.unwrap().status(), 412, "a tag stands for one value");
}

#[tokio::test]
async fn a_running_server_keeps_its_database() {
    let program = Program::new();
    let server = server_with_data(&program).await;
    assert_eq!(program.run(&["backup", "copy.db"]).code, 0);
    let ran = program.run(&["restore", "copy.db", "--force"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("is in use: stop the server first"), "{ran:?}");
    server.set("/api/fact/acme/tier", "still").await;
}

#[tokio::test]
async fn only_a_whole_backup_of_a_known_schema_is_restored() {
    let program = Program::new();
    drop(server_with_data(&program).await);
    assert_eq!(program.run(&["backup", "good.db"]).code, 0);
    let good = fs::read(program.path("good.db")).unwrap();
    let mut damaged = good.clone();
    let length = damaged.len();
    damaged[length / 2..].fill(0x5a);
    fs::write(program.path("damaged.db"), damaged).unwrap();
    fs::write(program.path("cut.db"), &good[..length / 2]).unwrap();
    fs::write(program.path("text.db"), "not a database at all, but a long line of text").unwrap();
    fs::write(program.path("empty.db"), "").unwrap();
    fs::write(program.path("newer.db"), &good).unwrap();
    let newer = Database::Sqlite(program.path("newer.db"));
    let newer = Storage::open(newer, MIGRATIONS).await.unwrap();
    newer
        .write(|sql| sql.execute("INSERT INTO schema_history VALUES (999, 'later')", &[]))
        .await
        .map_err(|error: StorageError| error)
        .unwrap();
    drop(newer);
    let before = files(&program);
    for (file, reason) in [
        ("damaged.db", "damaged.db"),
        ("cut.db", "cut.db"),
        ("text.db", "text.db"),
        ("empty.db", "is not a database of this program"),
        ("newer.db", "start the version of the program that wrote it"),
        ("missing.db", "cannot open missing.db"),
    ] {
        let ran = program.run(&["restore", file, "--force"]);
        assert_eq!(ran.code, 1, "{file}: {ran:?}");
        assert!(ran.err.contains(reason), "{file}: {ran:?}");
    }
    let after = files(&program);
    assert!(after.iter().all(|it| before.contains(it)), "{after:?}");
    let server = program.serve();
    assert_eq!(server.json("/api/fact/acme").await, json!({ "tier": "gold" }));
}

#[tokio::test]
async fn a_damaged_database_is_replaced() {
    let program = Program::new();
    drop(server_with_data(&program).await);
    assert_eq!(program.run(&["backup", "copy.db"]).code, 0);
    fs::write(program.database(), "what a disk with a defect may leave of a database").unwrap();
    let ran = program.run(&["restore", "copy.db", "--force"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let server = program.serve();
    assert_eq!(server.json("/api/fact/acme").await, json!({ "tier": "gold" }));
}

#[tokio::test]
async fn a_backup_replaces_an_older_one_but_never_the_database() {
    let program = Program::new();
    let server = server_with_data(&program).await;
    for _ in 0..2 {
        assert_eq!(program.run(&["backup", "copy.db"]).code, 0);
    }
    let ran = program.run(&["backup", "store.db"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("it is the database itself"), "{ran:?}");
    server.set("/api/fact/acme/tier", "still").await;
}

#[test]
fn backup_and_restore_name_the_tools_of_postgresql() {
    let program = Program::new().with("FLAGOPS_DATABASE", "postgres://db/x?sslmode=disable");
    let ran = program.run(&["backup", "copy.db"]);
    assert!(ran.code == 1 && ran.err.contains("use pg_dump of PostgreSQL"), "{ran:?}");
    let ran = program.run(&["restore", "copy.db"]);
    assert!(ran.code == 1 && ran.err.contains("use pg_restore of PostgreSQL"), "{ran:?}");
}
