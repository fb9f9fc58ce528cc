//! How the program starts: a first look, and what its log says.

use std::fs;

use reqwest::Method;
use testing::{Postgres, Process};

use crate::{
    http::client,
    program::{Program, Server, text},
};

/// Starts a server that writes what it prints into files of its folder.
fn serve(program: &Program, arguments: &[&str]) -> Server {
    let port = testing::free_port();
    let listen = format!("--listen=127.0.0.1:{port}");
    let script = "out=$1 log=$2; shift 2; exec \"$@\" >\"$out\" 2>\"$log\"";
    let (out, log) = (program.path("out"), program.path("log"));
    let under = ["sh", "-c", script, "sh", text(&out), text(&log)];
    let arguments = [arguments, &[&listen]].concat();
    let mut process = Process::start(&program.command_under(&under, &arguments));
    process.wait_for_port(port);
    Server { process, url: format!("http://127.0.0.1:{port}"), token: String::new() }
}

#[tokio::test]
async fn d38_a_first_look_needs_no_file_and_no_variable() {
    let program = Program::empty();
    let mut server = serve(&program, &["--dev"]);
    let out = program.path("out");
    let printed = || fs::read_to_string(&out).unwrap();
    server.process.wait_until(|| printed().contains("curl"));
    let out = printed();
    let token = out.lines().find_map(|line| line.strip_prefix("token: ")).unwrap();
    token.clone_into(&mut server.token);
    server.set("/api/fact/acme-prod/tier", "gold").await;
    assert_eq!(server.json("/api/fact/acme-prod").await["tier"], "gold");
    server.set("/api/secret/acme-prod/password", "v").await;
    let ready = client().get(format!("{}/health/ready", server.url)).send().await.unwrap();
    assert_eq!(ready.status(), 200);
}

#[tokio::test]
async fn d5_no_secret_is_in_the_log() {
    let Some(database) = Postgres::database() else { return testing::skip("PostgreSQL") };
    let database = database.replace("postgres@", "postgres:database-password@");
    let program = Program::new()
        .with("RUST_LOG", "trace")
        .with("FLAGOPS_DATABASE", &database)
        .with("FLAGOPS_PUBLIC_URL", "https://facts.example")
        .with("FLAGOPS_SESSION_KEY", "session-key-session-key-session-key")
        .with("FLAGOPS_GITHUB_CLIENT_ID", "client")
        .with("FLAGOPS_GITHUB_CLIENT_SECRET", "github-secret")
        .with("FLAGOPS_GITHUB_USERS", "octo");
    let token = program.token();
    let mut server = serve(&program, &["serve"]);
    server.token = token;
    server.set("/api/secret/acme/password", "hunter2").await;
    let read = server.request(Method::GET, "/api/secret/acme/password").send().await.unwrap();
    assert!(read.text().await.unwrap().contains("hunter2"));
    server.process.kill();
    let log = fs::read_to_string(program.path("log")).unwrap();
    assert!(log.contains("serving"), "{log}");
    let keys = program.variable("FLAGOPS_SECRETS_KEYS");
    let key = keys.split_once(':').unwrap().1;
    for secret in
        ["database-password", "session-key-", "github-secret", "hunter2", key, &server.token]
    {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn an_error_in_the_log_has_its_cause() {
    let Some(mut database) = Postgres::start() else { return testing::skip("PostgreSQL") };
    let program = Program::new().with("FLAGOPS_DATABASE", &database.url());
    let token = program.token();
    let mut server = serve(&program, &["serve"]);
    server.token = token;
    server.set("/api/fact/acme/tier", "gold").await;
    database.kill();
    let failed = server.request(Method::GET, "/api/fact/acme").send().await.unwrap();
    assert_eq!(failed.status(), 503);
    let log = program.path("log");
    server.process.wait_until(|| fs::read_to_string(&log).unwrap().contains("the storage failed"));
    let log = fs::read_to_string(&log).unwrap();
    let line = log.lines().find(|it| it.contains("the storage failed")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let error = line["fields"]["error"].as_str().unwrap();
    let cause = error.strip_prefix("the database is unreachable: ");
    assert!(cause.is_some_and(|it| it.len() > 10), "{error}");
}
