//! The limit on removals where a service does not report whom it has.

use flagstaff::optoggles::{Config, Engine, Running};
use serde_json::json;
use tempfile::TempDir;

use super::Service;
use crate::{
    engine::{cell, in_step},
    policy::Opa,
    support::wait::{becomes_true, eventually},
};

struct Setting {
    service: Service,
    opa: Opa,
    directory: TempDir,
}

impl Setting {
    async fn new(names: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { service: Service::start().await, opa: Opa::start(names).await, directory }
    }

    /// Starts an engine that removes no more than half of the users in one sync.
    async fn run(&self, has_state: bool) -> Running {
        let state = has_state.then(|| self.directory.path().join("state.json"));
        let config = json!({
            "bind": "127.0.0.1:0", "managementBind": "127.0.0.1:0", "maxRemoved": 0.5,
            "state": state,
            "sources": [{"id": "opa", "sourceType": "opa", "url": self.opa.url}],
            "target": {"targetType": "restapi", "targetSpec": {"endpointUrl": self.service.url}},
            "toggles": [
                {"key": "us", "usersPolicy": {"source": "opa", "package": "app", "rule": "users"}},
            ],
        });
        // JSON is YAML.
        let config = Config::parse(&config.to_string()).unwrap();
        Engine::from(config).start().await.unwrap()
    }

    /// Runs an engine until the service has these users, and stops it.
    async fn write(&self, has_state: bool, names: &[&str]) {
        let running = self.run(has_state).await;
        in_step(&running, "us").await;
        running.shutdown().await;
        assert_eq!(self.service.users("us"), Some(json!(names)));
    }
}

#[tokio::test]
async fn the_first_write_after_a_start_is_limited_by_the_recorded_list() {
    let setting = Setting::new("a b c d").await;
    setting.write(true, &["a", "b", "c", "d"]).await;
    setting.opa.set("a");
    let running = setting.run(true).await;
    becomes_true("the change to be held back", async || {
        cell(&running, "us").await.held_back.is_some_and(|held| (held.removed, held.of) == (3, 4))
    })
    .await;
    assert_eq!(setting.service.users("us"), Some(json!(["a", "b", "c", "d"])));
    assert_eq!(running.confirm("us").await, Some(1));
    eventually("the change", || setting.service.users("us") == Some(json!(["a"]))).await;
    in_step(&running, "us").await;
    running.shutdown().await;
    // What was confirmed is what the next start is measured against.
    setting.write(true, &["a"]).await;
}

#[tokio::test]
async fn without_a_state_the_first_write_after_a_start_is_not_limited() {
    let setting = Setting::new("a b c d").await;
    setting.write(false, &["a", "b", "c", "d"]).await;
    setting.opa.set("a");
    setting.write(false, &["a"]).await;
}
