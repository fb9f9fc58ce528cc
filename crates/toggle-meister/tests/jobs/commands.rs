//! `backup`, `restore`, `check`, `admin add` and `due`.

use std::fs;

use serde_json::json;
use service::{
    storage::{Database, Storage},
    time,
};
use toggle_meister::{MIGRATIONS, serve::DAY, toggle::Toggle};

use crate::{
    program::{Program, text},
    support::{Replica, add, postgres, settings, storage},
};

/// On each database that is installed.
fn on_each() -> Vec<Program> {
    let programs = [Some(Program::new()), postgres().map(|url| Program::on(&url))];
    programs.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_backup_of_a_running_server_brings_its_toggles_back() {
    let program = Program::new();
    let replica = Replica::start(&settings(program.database())).await;
    assert_eq!(replica.http.create("checkout").await, 201);
    assert_eq!(replica.http.switch("production", "checkout", "ON").await, 200);
    let ran = program.run(&["backup", "copy.db"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(replica.http.switch("production", "checkout", "OFF").await, 200);
    let ran = program.run(&["restore", "copy.db", "--force"]);
    assert!(ran.code == 1 && ran.err.contains("is in use: stop the server first"), "{ran:?}");
    replica.running.shutdown().await;
    let ran = program.run(&["restore", "copy.db"]);
    assert!(ran.code == 1 && ran.err.contains("--force replaces it"), "{ran:?}");
    let ran = program.run(&["restore", "copy.db", "--force"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let replica = Replica::start(&settings(program.database())).await;
    assert!(replica.http.is_on("production", "checkout", "").await);
    replica.running.shutdown().await;
    if let Some(url) = postgres() {
        let ran = Program::on(&url).run(&["backup", "copy.db"]);
        assert!(ran.code == 1 && ran.err.contains("use pg_dump of PostgreSQL"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_database_can_be_checked_while_a_server_runs() {
    let program = Program::new();
    let ran = program.run(&["check"]);
    assert!(ran.code == 1 && ran.out.contains("PROBLEM database: cannot open"), "{ran:?}");
    for program in on_each() {
        let replica = Replica::start(&settings(program.database())).await;
        let ran = program.run(&["check"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        for line in ["options: valid", "schema: version 3\n", "integrity: ok"] {
            assert!(ran.out.contains(line), "{line}: {ran:?}");
        }
        replica.running.shutdown().await;
    }
    let program = Program::new();
    fs::write(program.database(), "not a database at all, but a long line of text").unwrap();
    let ran = program.run(&["check"]);
    assert!(ran.code == 1 && ran.out.contains("PROBLEM"), "{ran:?}");
    let ran = program.run(&["check", "--reminder-day=someday"]);
    assert!(ran.code == 1 && ran.err.contains("option reminder-day (--reminder-day)"), "{ran:?}");
}

#[tokio::test]
async fn an_employee_is_made_an_administrator() {
    for program in on_each() {
        let replica = Replica::start(&settings(program.database())).await;
        let ran = program.run(&["admin", "add", "Jane.Doe@corp.example"]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "jane.doe is an administrator\n"), "{ran:?}");
        let role = json!({"role": "dev"});
        let path = "/api/employees/jane.doe";
        // Nobody may change a peer, so the database has to.
        let (status, _) = replica.http.send(axum::http::Method::PATCH, path, &role).await;
        assert_eq!(status, 403);
        let storage = storage(program.database()).await;
        crate::support::write(&storage, |sql| {
            sql.execute("UPDATE employee SET role = 'dev' WHERE username = 'jane.doe'", &[])
        })
        .await;
        let ran = program.run(&["admin", "add", "jane.doe@corp.example"]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "jane.doe is an administrator\n"), "{ran:?}");
        let employees = replica.http.get("/api/employees").await;
        let jane = json!({"username": "jane.doe", "name": "Jane Doe",
            "email": "jane.doe@corp.example", "role": "admin"});
        assert!(employees["employees"].as_array().unwrap().contains(&jane), "{employees}");
        let ran = program.run(&["admin", "add", "jane.doe"]);
        assert!(ran.code == 1 && ran.err.contains("is not an e-mail address"), "{ran:?}");
        replica.running.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_listed_with_the_files_in_which_it_occurs() {
    let program = Program::new();
    let storage = storage(program.database()).await;
    let replica = Replica::start(&settings(program.database())).await;
    let run = |arguments: &[&str]| {
        let arguments = [&["due", "--url", &replica.http.url], arguments].concat();
        tokio::task::block_in_place(|| program.run(&arguments))
    };
    let ran = run(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
    assert_eq!(replica.http.get("/api/features?due=true").await, json!({"features": []}));

    let now = time::now();
    let since = now - 14 * DAY;
    add(&storage, "checkout", Toggle::On { since }).await;
    add(&storage, "recent", Toggle::On { since: since + DAY }).await;
    let source = program.path("src");
    fs::create_dir_all(source.join("deep")).unwrap();
    fs::write(source.join("deep/cart.rs"), "fn x() {\n    if is_on(\"checkout\") {}\n}").unwrap();
    fs::write(source.join("other.rs"), "checkouts(); recent();").unwrap();
    crate::support::until("the change is in force", async || {
        replica.http.get("/api/features").await["features"].as_array().unwrap().len() == 2
    })
    .await;
    let due = replica.http.get("/api/features?due=true").await;
    assert_eq!(due["features"].as_array().unwrap().len(), 1);
    assert_eq!(due["features"][0]["name"], "checkout");
    assert_eq!(due["features"][0]["since"], time::rfc3339(since));
    let ran = run(&["--dir", text(&source)]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let day: String = time::rfc3339(since).chars().take(10).collect();
    let expected = format!(
        "checkout: on in production since {day}\n  {}:2\n",
        source.join("deep/cart.rs").display()
    );
    assert_eq!(ran.out, expected);
    let ran = run(&["--dir", "missing"]);
    assert!(ran.code == 2 && ran.err.contains("cannot read missing"), "{ran:?}");
    let closed = format!("http://127.0.0.1:{}", testing::free_port());
    let ran = tokio::task::block_in_place(|| program.run(&["due", "--url", &closed]));
    assert!(ran.code == 2 && ran.err.contains("error: the request to"), "{ran:?}");
    replica.running.shutdown().await;
}

#[tokio::test]
async fn a_database_is_left_as_it_is_where_migrations_are_skipped() {
    for program in on_each() {
        let skip = || program.run(&["token", "add", "x", "--role=dev", "--skip-migrations=true"]);
        let missing = skip();
        assert_eq!(missing.code, 1, "{missing:?}");
        let database = Database::parse(program.database(), None).unwrap();
        drop(Storage::open(database.clone(), &MIGRATIONS[..2]).await.unwrap());
        let old = skip();
        let expected = "the schema of the database has version 2, this program needs 3, and \
                        migrations are skipped: start it once without skipping them";
        assert!(old.code == 1 && old.err.contains(expected), "{old:?}");
        let version = async || database.inspect(|it| it.version(MIGRATIONS)).await.unwrap();
        assert_eq!(version().await, 2);
        assert_eq!(program.run(&["token", "add", "x", "--role=dev"]).code, 0);
        assert_eq!(version().await, 3);
        let new = skip();
        assert_eq!(new.code, 0, "{new:?}");
    }
}

#[test]
fn the_help_of_due_has_its_own_options_only() {
    let program = Program::new();
    for arguments in [["due", "--help"], ["help", "due"]] {
        let ran = program.run(&arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains("--url") && ran.out.contains("--dir"), "{ran:?}");
        assert!(!ran.out.contains("--listen") && !ran.out.contains("--config"), "{ran:?}");
    }
    let ran = program.run(&["due", "--url=http://localhost", "--listen=127.0.0.1:1"]);
    assert!(ran.code == 2 && ran.err.contains("--listen"), "{ran:?}");
    assert!(program.run(&["check", "--help"]).out.contains("--listen"));
}

#[test]
fn a_default_environment_that_does_not_exist_is_a_warning() {
    let program = Program::new();
    // The address is taken, so the server ends after it has read the database.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--listen={}", taken.local_addr().unwrap());
    let off = ["--flags-evaluation=off", "--flags-sync=off", "--flags-ofrep=off"];
    for (env, is_warned) in [("stage", true), ("Production", false)] {
        let env = format!("--flags-default-environment={env}");
        let ran = program.run(&[&["serve", &listen, &env], &off[..]].concat());
        assert!(ran.code == 1 && ran.err.contains("cannot serve at"), "{ran:?}");
        assert_eq!(ran.err.contains("there is no such environment"), is_warned, "{ran:?}");
    }
}
