//! An OPAL server and an OPAL client of the test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use http::Request;
use serde_json::{Value, json};

use crate::{
    data_source::DataSource,
    opa::{POLICY, by_country},
    peers,
    process::{Process, answers, send, starts},
    repository::Repository,
    support::ports::free_port,
};

/// An OPAL server with a repository and a source of data, and a client of it.
pub(crate) struct Opal {
    /// The base URL of the client.
    pub(crate) url: String,
    /// The base URL of OPA.
    pub(crate) opa: String,
    pub(crate) repository: Repository,
    pub(crate) data: DataSource,
    server_url: String,
    port: u16,
    options: Vec<(String, String)>,
    directory: tempfile::TempDir,
    client: Option<Process>,
    _server: Process,
    keys: Option<Keys>,
}

/// A key pair in PEM, and what the server gives tokens for.
pub(crate) struct Keys {
    private: PathBuf,
    public: String,
}

const MASTER: &str = "master-token-of-the-test";

/// Where the OPA of the client is.
pub(crate) enum Store<'a> {
    /// An OPA of its own, at this URL.
    External(&'a str),
    /// One that the client starts.
    Inline,
}

impl Opal {
    /// Starts both, and waits until OPA has policy and data.
    pub(crate) async fn start(
        store: Store<'_>,
        users: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> Self {
        Self::start_with(store, users, more, false).await
    }

    pub(crate) async fn start_with(
        store: Store<'_>,
        users: &[(&str, &str)],
        more: &[(&str, &str)],
        authenticates: bool,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (repository, data) = (Repository::new(POLICY), DataSource::start(users).await);
        let keys = authenticates.then(|| Keys::new(directory.path()));
        let (server_port, port) = (free_port(), free_port());
        let server_url = format!("http://127.0.0.1:{server_port}");
        let entries = json!({"config": {"entries": [
            {"url": data.url, "topics": ["policy_data"], "dst_path": "/users"}]}});
        let mut command = opal("opal-server", &directory.path().join("server"));
        command.arg("run").envs([
            ("OPAL_SERVER_HOST", "127.0.0.1"),
            ("OPAL_SERVER_PORT", &server_port.to_string()),
            ("OPAL_SERVER_WORKER_COUNT", "1"),
            ("OPAL_POLICY_REPO_URL", repository.path().to_str().unwrap()),
            ("OPAL_POLICY_REPO_MAIN_BRANCH", "master"),
            ("OPAL_POLICY_REPO_CLONE_PATH", directory.path().join("clone").to_str().unwrap()),
            ("OPAL_LEADER_LOCK_FILE_PATH", directory.path().join("lock").to_str().unwrap()),
            ("OPAL_POLICY_REPO_POLLING_INTERVAL", "1"),
            ("OPAL_DATA_CONFIG_SOURCES", &entries.to_string()),
        ]);
        if let Some(keys) = &keys {
            command.envs([
                ("OPAL_AUTH_PUBLIC_KEY", &*keys.public),
                ("OPAL_AUTH_PUBLIC_KEY_FORMAT", "pem"),
                ("OPAL_AUTH_PRIVATE_KEY", keys.private.to_str().unwrap()),
                ("OPAL_AUTH_MASTER_TOKEN", MASTER),
            ]);
        }
        let server = Process::start(&mut command, directory.path().join("server.log"));
        answers(&format!("{server_url}/healthcheck")).await;
        let opa = match store {
            Store::External(url) => url.to_owned(),
            Store::Inline => format!("http://127.0.0.1:{}", free_port()),
        };
        let mut options: Vec<_> =
            more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut set = |name: &str, value: String| options.push((name.to_owned(), value));
        if matches!(store, Store::Inline) {
            let address = opa.strip_prefix("http://").unwrap();
            set("OPAL_INLINE_OPA_CONFIG", json!({"addr": address}).to_string());
        } else {
            set("OPAL_INLINE_OPA_ENABLED", "false".to_owned());
        }
        set("OPAL_POLICY_STORE_URL", opa.clone());
        if let Some(keys) = &keys {
            set("OPAL_AUTH_PUBLIC_KEY", keys.public.clone());
            set("OPAL_AUTH_PUBLIC_KEY_FORMAT", "pem".to_owned());
            set("OPAL_CLIENT_TOKEN", token(&server_url, "client"));
        }
        let mut opal = Self {
            url: format!("http://127.0.0.1:{port}"),
            opa,
            repository,
            data,
            server_url,
            port,
            options,
            directory,
            client: None,
            _server: server,
            keys,
        };
        opal.restart_client().await;
        opal
    }

    /// Starts the client anew: it has forgotten all callbacks.
    pub(crate) async fn restart_client(&mut self) {
        self.client = None;
        let mut command = opal("opal-client", &self.directory.path().join("client"));
        command.arg("run").envs([
            ("OPAL_SERVER_URL", &*self.server_url),
            ("OPAL_CLIENT_API_SERVER_HOST", "127.0.0.1"),
            ("OPAL_CLIENT_API_SERVER_PORT", &self.port.to_string()),
            ("OPAL_SHOULD_REPORT_ON_DATA_UPDATES", "true"),
        ]);
        command.envs(self.options.iter().map(|(name, value)| (name, value)));
        self.client = Some(Process::start(&mut command, self.directory.path().join("client.log")));
        answers(&format!("{}/ready", self.url)).await;
        self.loaded().await;
    }

    pub(crate) fn stop_client(&mut self) {
        self.client = None;
    }

    /// Waits until OPA has policy and data.
    pub(crate) async fn loaded(&self) {
        starts("OPAL to load policy and data", async || {
            self.evaluates("users").await && self.evaluates("app/rbac/us_users").await
        })
        .await;
    }

    /// Whether a document is defined.
    async fn evaluates(&self, path: &str) -> bool {
        let mut request = Request::get(format!("{}/v1/data/{path}", self.opa));
        if let Some((_, token)) =
            self.options.iter().find(|(name, _)| name == "OPAL_POLICY_STORE_AUTH_TOKEN")
        {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = send(request.body(Vec::new()).unwrap()).await;
        answer.is_some_and(|(_, body)| body.contains("\"result\""))
    }

    /// Pushes users through the server.
    pub(crate) async fn push(&self, users: &[(&str, &str)]) {
        let entry = json!({"url": "", "topics": ["policy_data"], "dst_path": "/users",
            "save_method": "PUT", "data": by_country(users)});
        let body = json!({"id": "u", "reason": "test", "entries": [entry]});
        let mut request = Request::post(format!("{}/data/config", self.server_url))
            .header("content-type", "application/json");
        if self.keys.is_some() {
            let token = token(&self.server_url, "datasource");
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let sent = send(request.body(body.to_string().into_bytes()).unwrap()).await;
        let (status, body) = sent.unwrap();
        assert_eq!(status, 200, "{body}");
    }

    /// The callbacks of engines that the client knows; it has one of its own.
    pub(crate) async fn callbacks(&self) -> Vec<Value> {
        let mut request = Request::get(format!("{}/callbacks", self.url));
        if self.keys.is_some() {
            request = request.header("authorization", format!("Bearer {}", self.listener()));
        }
        let (status, body) = send(request.body(Vec::new()).unwrap()).await.unwrap();
        assert_eq!(status, 200, "{body}");
        let mut callbacks: Vec<Value> = serde_json::from_str(&body).unwrap();
        callbacks
            .retain(|entry| entry["key"].as_str().is_some_and(|key| key.starts_with("optoggles")));
        callbacks
    }

    /// The process of an OPA that the client has started.
    pub(crate) fn inline(&self) -> Option<u32> {
        let address = self.opa.strip_prefix("http://")?;
        let processes = fs::read_dir("/proc").ok()?;
        let mut ids =
            processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.find(|id: &u32| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains("run --server --v0-compatible") && line.contains(address)
        })
    }

    /// A token for a listener.
    pub(crate) fn listener(&self) -> String {
        token(&self.server_url, "listener")
    }
}

/// An OPA that the client has started outlives it.
impl Drop for Opal {
    fn drop(&mut self) {
        self.client = None;
        if let Some(id) = self.inline() {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
        }
    }
}

/// A command of OPAL in a directory of its own, where it writes what it likes.
fn opal(program: &str, directory: &Path) -> Command {
    fs::create_dir_all(directory).unwrap();
    let programs = peers::opal().unwrap();
    let mut command = Command::new(programs.join(program));
    let opa = peers::opa().unwrap();
    let mut path = std::ffi::OsString::from(opa.parent().unwrap());
    for more in [Some(programs.into_os_string()), std::env::var_os("PATH")].into_iter().flatten() {
        path.push(":");
        path.push(more);
    }
    command
        .current_dir(directory)
        .env("PATH", path)
        .env("OPAL_STATISTICS_ENABLED", "false")
        .env("OPAL_LOG_COLORIZE", "false");
    command
}

fn token(server: &str, kind: &str) -> String {
    let mut command = Command::new(peers::opal().unwrap().join("opal-client"));
    let arguments =
        ["obtain-token", MASTER, "--server-url", server, "--type", kind, "--just-the-token"];
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Keys {
    fn new(directory: &Path) -> Self {
        let (private, public) = (directory.join("key.pem"), directory.join("key.pub"));
        let run = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        let (key, out) = (private.to_str().unwrap(), public.to_str().unwrap());
        run(&["genrsa", "-out", key, "2048"]);
        run(&["rsa", "-in", key, "-pubout", "-out", out]);
        let public = fs::read_to_string(public).unwrap();
        Self { private, public }
    }
}
