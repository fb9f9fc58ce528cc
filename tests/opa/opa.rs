//! An OPA of the test.

use std::{path::Path, process::Command};

use http::Request;
use serde_json::{Value, json};

use crate::{
    peers,
    process::{Process, answers, send},
    support::ports::free_port,
};

/// The package `app.rbac`: who lives in the United States.
pub(crate) const POLICY: &str = r#"package app.rbac

import rego.v1

us_users contains user if {
    some user, info in data.users
    info.location.country == "US"
}

# Whoever is called so.
long_names contains user if {
    some user, _ in data.users
    count(user) > 3
}

not_a_set := "alice"

numbers contains 1
"#;

/// An OPA on loopback.
pub(crate) struct Opa {
    pub(crate) url: String,
    port: u16,
    process: Option<Process>,
    directory: tempfile::TempDir,
    options: Vec<String>,
}

impl Opa {
    /// An OPA without policy and data.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let port = free_port();
        let mut opa = Self {
            url: format!("http://127.0.0.1:{port}"),
            port,
            process: None,
            directory: tempfile::tempdir().unwrap(),
            options: options.iter().map(ToString::to_string).collect(),
        };
        opa.restart().await;
        opa
    }

    /// An OPA that has the policy and these users by country.
    pub(crate) async fn with(users: &[(&str, &str)]) -> Self {
        let opa = Self::start(&[]).await;
        opa.put_policy(POLICY).await;
        opa.put_users(users).await;
        opa
    }

    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Starts again on the same port, without policy and data.
    pub(crate) async fn restart(&mut self) {
        self.stop();
        let mut command = Command::new(peers::opa().unwrap());
        command.args(["run", "--server", "--disable-telemetry", "--addr"]);
        command.arg(format!("127.0.0.1:{}", self.port)).args(&self.options);
        self.process = Some(Process::start(&mut command, self.directory.path().join("opa.log")));
        answers(&format!("{}/health", self.url)).await;
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) async fn put_policy(&self, policy: &str) {
        let request = Request::put(format!("{}/v1/policies/rbac", self.url));
        let (status, body) = send(request.body(policy.into()).unwrap()).await.unwrap();
        assert_eq!(status, 200, "{body}");
    }

    pub(crate) async fn put_users(&self, users: &[(&str, &str)]) {
        let request = Request::put(format!("{}/v1/data/users", self.url));
        let body = by_country(users).to_string().into_bytes();
        let (status, body) = send(request.body(body).unwrap()).await.unwrap();
        assert_eq!(status, 204, "{body}");
    }
}

/// Users by country, as the policy takes them.
pub(crate) fn by_country(users: &[(&str, &str)]) -> Value {
    let users = users
        .iter()
        .map(|(name, country)| ((*name).to_owned(), json!({"location": {"country": country}})));
    Value::Object(users.collect())
}
