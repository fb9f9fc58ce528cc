//! `flagops-store check`.

use std::fs;

use flagops_store::secret::Keys;
use secrecy::ExposeSecret as _;

use crate::program::Program;

#[tokio::test]
async fn an_intact_store_passes() {
    for program in Program::on_each() {
        let server = program.serve();
        server.set("/api/secret/acme/password", "hunter2").await;
        // While the server runs, too.
        let ran = program.run(&["check"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        for line in
            ["options: valid", "schema: version", "integrity: ok", "1 sealed with the key \"1\""]
        {
            assert!(ran.out.contains(line), "{line}: {ran:?}");
        }
        assert!(!ran.out.contains("PROBLEM"), "{ran:?}");
    }
}

#[tokio::test]
async fn secrets_whose_key_is_missing_or_has_changed_are_counted() {
    for program in Program::on_each() {
        let server = program.serve();
        server.set("/api/secret/acme/password", "hunter2").await;
        server.set("/api/secret/acme/user", "alice").await;
        drop(server);
        let key = |id: &str| Keys::generate(id).unwrap().expose_secret().to_owned();
        let program = program.with("FLAGOPS_SECRETS_KEYS", &key("2"));
        let ran = program.run(&["check"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        let line = "PROBLEM secrets: 2 sealed with the key \"1\", which is not among the keys";
        assert!(ran.out.contains(line), "{ran:?}");
        let program = program.with("FLAGOPS_SECRETS_KEYS", &key("1"));
        let ran = program.run(&["check"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.out.contains("which has changed and does not open them"), "{ran:?}");
        let program = program.with("FLAGOPS_SECRETS_KEYS", "");
        assert_eq!(program.run(&["check"]).code, 1, "without keys");
    }
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_not_made() {
    let program = Program::new();
    let ran = program.run(&["check"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("PROBLEM database: cannot open"), "{ran:?}");
    assert!(!program.database().exists());
    let url = format!("postgres://u:hunter2@127.0.0.1:{}/x", testing::free_port());
    let ran = program.with("FLAGOPS_DATABASE", &url).run(&["check"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("PROBLEM database: the database is unreachable"), "{ran:?}");
    assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{ran:?}");
}

#[tokio::test]
async fn a_damaged_file_is_noticed() {
    let program = Program::new();
    let server = program.serve();
    for number in 0..50 {
        server.set(&format!("/api/fact/acme/{number}"), &"x".repeat(1_000)).await;
    }
    drop(server);
    assert_eq!(program.run(&["backup", "copy.db"]).code, 0);
    let copy = program.path("copy.db");
    let mut bytes = fs::read(&copy).unwrap();
    let length = bytes.len();
    bytes[length / 2..length * 3 / 4].fill(0x5a);
    fs::write(&copy, bytes).unwrap();
    let ran = program.with("FLAGOPS_DATABASE", "copy.db").run(&["check"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("PROBLEM integrity:"), "{ran:?}");
}

#[test]
fn an_invalid_option_is_named() {
    let ran = Program::new().with("FLAGOPS_DEV", "maybe").run(&["check"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("option dev (FLAGOPS_DEV): expected true or false"), "{ran:?}");
}

#[tokio::test]
async fn a_sign_in_with_which_no_server_starts_is_a_problem() {
    for (name, value, reason) in [
        ("FLAGOPS_GITHUB_USERS", "octo", "set the option session-key"),
        (
            "FLAGOPS_SESSION_KEY",
            "session-key-session-key-session-key",
            "everybody with an account at GitHub could sign in",
        ),
    ] {
        let program = Program::new()
            .with("FLAGOPS_GITHUB_CLIENT_ID", "client")
            .with("FLAGOPS_GITHUB_CLIENT_SECRET", "hunter2")
            .with("FLAGOPS_PUBLIC_URL", "https://facts.example")
            .with(name, value);
        let ran = program.run(&["check"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.out.contains("PROBLEM options: ") && ran.out.contains(reason), "{ran:?}");
        assert!(!ran.out.contains("options: valid") && !ran.out.contains("hunter2"), "{ran:?}");
    }
}
