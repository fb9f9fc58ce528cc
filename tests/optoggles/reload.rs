//! A configuration that is read again.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use flagstaff::optoggles::{Engine, Running};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tracing::Level;

use crate::{
    engine::{get, in_step},
    flagd::is_on,
    logs::Logs,
    policy::Opa,
    rest::{Does, Service},
    support::{
        ports::free_port,
        provider::{near, ready},
        wait::{becomes_true, eventually},
    },
};

/// A file with a configuration, and an OPA whose rules have `bob` alone.
struct Setting {
    directory: TempDir,
    opa: Opa,
}

impl Setting {
    async fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), opa: Opa::start("bob").await }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("config.yaml")
    }

    /// Writes a configuration with this target and these toggles.
    fn write(&self, target: &Value, keys: &[&str]) {
        let toggle = |key: &&str| {
            let policy = json!({"source": "opa", "package": "app", "rule": "users"});
            json!({"key": key, "usersPolicy": policy})
        };
        let config = json!({
            "bind": "127.0.0.1:0", "managementBind": "127.0.0.1:0",
            "sources": [{"id": "opa", "sourceType": "opa", "url": self.opa.url}],
            "target": target,
            "toggles": keys.iter().map(toggle).collect::<Vec<_>>(),
        });
        // JSON is YAML.
        fs::write(self.path(), config.to_string()).unwrap();
    }

    async fn run(&self, target: &Value, keys: &[&str]) -> Running {
        self.write(target, keys);
        Engine::from_config(self.path()).unwrap().start().await.unwrap()
    }
}

/// A flagd target that serves at this port, and writes to a file if one is named.
fn served(port: u16, file: Option<&Path>) -> Value {
    let spec = json!({"evaluationBind": format!("127.0.0.1:{port}"), "file": file});
    json!({"targetType": "flagd", "targetSpec": spec})
}

async fn toggles(running: &Running) -> usize {
    running.status().await.unwrap().toggles.len()
}

#[tokio::test]
async fn health_does_not_wait_for_a_write_that_hangs() {
    let (logs, _guard) = Logs::listen();
    let (setting, service) = (Setting::new().await, Service::start().await);
    let hangs = Arc::new(AtomicBool::new(true));
    let does = hangs.clone();
    service.does(move |sent| match &*sent.method {
        "PATCH" if does.load(Ordering::Relaxed) => Does::Never,
        _ => Does::Status(200),
    });
    let target = json!({"targetType": "restapi", "targetSpec": {"endpointUrl": service.url}});
    let running = setting.run(&target, &["a"]).await;
    eventually("the write", || !service.sent("PATCH").is_empty()).await;
    hangs.store(false, Ordering::Relaxed);
    setting.write(&target, &["a", "b"]);
    running.reload();
    let is_read = || !logs.with("the configuration was read again", Level::INFO).is_empty();
    eventually("the configuration to be read", is_read).await;
    let health = format!("http://{}/health", running.address().unwrap());
    assert_eq!(get(&health).await.0, 503, "not everything was tried");
    let details = format!("http://{}/details", running.management_address().unwrap());
    assert!(get(&details).await.1.contains(r#""key":"a""#));
    assert_eq!(toggles(&running).await, 1, "the write is still given time");
    becomes_true("the reload to end", async || toggles(&running).await == 2).await;
    in_step(&running, "b").await;
    running.shutdown().await;
}

#[tokio::test]
async fn flags_are_served_at_another_address() {
    let setting = Setting::new().await;
    let [former, next] = [free_port(), free_port()];
    let running = setting.run(&served(former, None), &["a"]).await;
    let provider = ready(near(former)).await;
    becomes_true("the flag", async || is_on(&provider, "a", "bob").await == Some(true)).await;
    setting.write(&served(next, None), &["a"]);
    running.reload();
    becomes_true("the other address", async || {
        TcpStream::connect(("127.0.0.1", next)).await.is_ok()
    })
    .await;
    let provider = ready(near(next)).await;
    becomes_true("the flag", async || is_on(&provider, "a", "bob").await == Some(true)).await;
    becomes_true("the former address to be free", async || {
        TcpListener::bind(("127.0.0.1", former)).await.is_ok()
    })
    .await;
    running.shutdown().await;
}

#[tokio::test]
async fn flags_are_served_at_the_same_address_without_a_break() {
    let setting = Setting::new().await;
    let port = free_port();
    let running = setting.run(&served(port, None), &["a"]).await;
    let provider = ready(near(port)).await;
    becomes_true("the flag", async || is_on(&provider, "a", "bob").await == Some(true)).await;
    setting.write(&served(port, None), &["a", "b"]);
    running.reload();
    becomes_true("the other flag", async || {
        assert_eq!(is_on(&provider, "a", "bob").await, Some(true));
        is_on(&provider, "b", "bob").await == Some(true)
    })
    .await;
    running.shutdown().await;
}

#[tokio::test]
async fn a_target_that_is_changed_and_keeps_its_address_leaves_the_configuration_in_force() {
    let (logs, _guard) = Logs::listen();
    let setting = Setting::new().await;
    let port = free_port();
    let running = setting.run(&served(port, None), &["a"]).await;
    in_step(&running, "a").await;
    let file = setting.directory.path().join("flags.json");
    setting.write(&served(port, Some(&file)), &["a", "b"]);
    running.reload();
    let reason = || !logs.with("give it another, or restart", Level::ERROR).is_empty();
    eventually("the reason", reason).await;
    assert_eq!(toggles(&running).await, 1);
    let provider = ready(near(port)).await;
    assert_eq!(is_on(&provider, "a", "bob").await, Some(true));
    assert!(!file.exists());
    running.shutdown().await;
}
