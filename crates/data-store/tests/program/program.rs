//! The program on a database, and a client of its server.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use flagops_store::secret::Keys;
use reqwest::{Method, RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tempfile::TempDir;
use testing::{Postgres, Process};

use crate::http::{Events, client};

/// The program with its options.
pub(crate) struct Program {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Program {
    /// On a file that does not exist yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("store.db").display().to_string();
        let keys = Keys::generate("1").unwrap().expose_secret().to_owned();
        Self { folder, variables: Vec::new() }
            .with("FLAGOPS_DATABASE", &database)
            .with("FLAGOPS_SECRETS_KEYS", &keys)
    }

    /// In an empty folder, without options.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// The value of a variable that was set.
    pub(crate) fn variable(&self, name: &str) -> &str {
        &self.variables.iter().find(|it| it.0 == name).unwrap().1
    }

    /// On each database that is installed.
    pub(crate) fn on_each() -> Vec<Self> {
        let mut programs = vec![Self::new()];
        match Postgres::database() {
            Some(url) => programs.push(Self::new().with("FLAGOPS_DATABASE", &url)),
            None => testing::skip("PostgreSQL"),
        }
        programs
    }

    /// With a variable of the environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(it, _)| it != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where the file of the database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.path("store.db")
    }

    /// A path that is deleted with the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_under(&[], arguments)
    }

    /// The program under another one, such as a tracer.
    pub(crate) fn command_under(&self, tracer: &[&str], arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_flagops-store");
        let mut words = tracer.iter().chain([&program]).chain(arguments);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(self.folder.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Makes a token that may do everything.
    pub(crate) fn token(&self) -> String {
        let ran = self.run(&["token", "add", "test", "--permission", "admin"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out.trim().to_owned()
    }

    /// Starts the server.
    pub(crate) fn serve(&self) -> Server {
        self.serve_under(&[], &self.token())
    }

    pub(crate) fn serve_under(&self, tracer: &[&str], token: &str) -> Server {
        let port = testing::free_port();
        let listen = format!("--listen=127.0.0.1:{port}");
        let mut process = Process::start(&self.command_under(tracer, &["serve", &listen]));
        process.wait_for_port(port);
        Server { process, url: format!("http://127.0.0.1:{port}"), token: token.to_owned() }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// A server, killed when it is dropped.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Server {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        client().request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// The JSON of a response that has to be a success.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn put(&self, path: &str, value: &str) -> Response {
        let body = serde_json::json!({ "value": value });
        self.request(Method::PUT, path).json(&body).send().await.unwrap()
    }

    /// Writes, which has to succeed.
    pub(crate) async fn set(&self, path: &str, value: &str) {
        let response = self.put(path, value).await;
        let status = response.status();
        assert_eq!(status, 200, "{path}: {}", response.text().await.unwrap());
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    pub(crate) async fn stream(&self, last: Option<i64>) -> Events {
        let mut request = self.request(Method::GET, "/api/changes");
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        Events::new(request.send().await.unwrap())
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
