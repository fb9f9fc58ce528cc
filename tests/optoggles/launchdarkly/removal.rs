//! Toggles that have left the configuration.

use std::{fs, path::Path, sync::Arc};

use axum::{Router, routing::get};
use flagstaff::optoggles::{Engine, PlannedAction, Removal, Running, ToggleTarget as _};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{
    Fake,
    fake::{Reply, TOKEN, flag},
    toggle, toggle_in,
};
use crate::{
    engine::in_step,
    policy::users,
    support::wait::{becomes_true, eventually},
};

#[tokio::test]
async fn a_flag_that_is_switched_off_serves_nobody() {
    let fake = Fake::start().await;
    let target = fake.target().build().unwrap();
    let toggle = toggle_in("us", &["production", "test"]);
    target.prepare(&toggle).await.unwrap();
    target.write(&toggle, &users("bob")).await.unwrap();
    fake.edit("us", |flag| flag["environments"]["test"]["offVariation"] = json!(0));
    target.remove(&toggle, Removal::SwitchOff).await.unwrap();
    for environment in ["production", "test"] {
        assert!(!fake.serves("us", environment, "bob") && !fake.serves("us", environment, "eve"));
    }
    let writes = fake.writes().len();
    target.remove(&toggle, Removal::SwitchOff).await.unwrap();
    assert_eq!(fake.writes().len(), writes, "it is off already");
    fake.edit("us", |flag| flag["environments"]["test"]["offVariation"] = json!(0));
    target.remove(&toggle, Removal::SwitchOff).await.unwrap();
    assert!(!fake.serves("us", "test", "bob"), "off is not `true` for everybody");
}

#[tokio::test]
async fn an_environment_that_fails_keeps_none_of_the_others_on() {
    let fake = Fake::start().await;
    let target = fake.target().build().unwrap();
    let toggle = toggle_in("us", &["production", "test"]);
    target.prepare(&toggle).await.unwrap();
    target.write(&toggle, &users("bob")).await.unwrap();
    fake.intercept(|sent| {
        sent.patches("production").then(|| Reply::error(403, "forbidden", "not here"))
    });
    target.remove(&toggle, Removal::SwitchOff).await.unwrap_err();
    assert!(!fake.serves("us", "test", "bob"));
}

#[tokio::test]
async fn a_flag_that_does_not_exist_is_gone() {
    let fake = Fake::start().await;
    let target = fake.target().build().unwrap();
    for removal in [Removal::SwitchOff, Removal::Delete] {
        target.remove(&toggle("us"), removal).await.unwrap();
    }
}

/// An OPA whose every rule has one user.
async fn opa() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(get(async || r#"{"result":["bob"]}"#));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// What a configuration needs to be written.
struct Setting {
    directory: TempDir,
    opa: String,
    fake: Arc<Fake>,
}

impl Setting {
    async fn new() -> Self {
        let (directory, fake) = (tempfile::tempdir().unwrap(), Arc::new(Fake::start().await));
        Self { directory, opa: opa().await, fake }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("config.yaml")
    }

    /// Writes a configuration with these toggles.
    fn write(&self, removed: &str, state: &Path, keys: &[&str]) {
        let toggle = |key: &&str| {
            json!({
                "key": key,
                "usersPolicy": {"source": "opa", "package": "app", "rule": "users"},
                "spec": {"name": key, "projKey": "p", "environments": ["test"]},
            })
        };
        let base = format!("http://{}", self.fake.address);
        let config = json!({
            "bind": "127.0.0.1:0", "managementBind": "127.0.0.1:0",
            "state": state, "removedToggles": removed,
            "sources": [{"id": "opa", "sourceType": "opa", "url": self.opa}],
            "target": {
                "targetType": "launchdarkly",
                "targetSpec": {"launchdarklyToken": TOKEN, "baseUri": base},
            },
            "toggles": keys.iter().map(toggle).collect::<Vec<_>>(),
        });
        // JSON is YAML.
        fs::write(self.path(), config.to_string()).unwrap();
    }

    async fn run(&self, removed: &str, keys: &[&str]) -> Running {
        self.write(removed, &self.directory.path().join("state.json"), keys);
        let running = Engine::from_config(self.path()).unwrap().start().await.unwrap();
        for key in keys {
            in_step(&running, key).await;
        }
        running
    }
}

#[tokio::test]
async fn only_a_flag_that_this_program_has_created_is_deleted() {
    let setting = Setting::new().await;
    let fake = &setting.fake;
    fake.world().flags.insert("found".to_owned(), flag("found", "found", [true, false]));
    let running = setting.run("delete", &["created", "found", "kept"]).await;
    running.shutdown().await;
    let running = setting.run("delete", &["kept"]).await;
    eventually("the flag to be deleted", || !fake.world().flags.contains_key("created")).await;
    running.shutdown().await;
    assert!(fake.serves("found", "test", "bob") && fake.serves("kept", "test", "bob"));
    let deletions = || fake.writes().iter().filter(|sent| sent.method == "DELETE").count();
    assert_eq!(deletions(), 1);
    // It is forgotten: one of the same key that somebody makes is not deleted.
    fake.world().flags.insert("created".to_owned(), flag("created", "created", [true, false]));
    let running = setting.run("delete", &["kept"]).await;
    running.shutdown().await;
    assert_eq!(deletions(), 1);
}

#[tokio::test]
async fn a_flag_is_switched_off_while_the_configuration_is_read_again() {
    let setting = Setting::new().await;
    let fake = &setting.fake;
    let running = setting.run("off", &["a", "b"]).await;
    setting.write("off", &setting.directory.path().join("state.json"), &["b"]);
    running.reload();
    eventually("the flag to be switched off", || !fake.serves("a", "test", "bob")).await;
    assert!(fake.serves("b", "test", "bob"));
    becomes_true("the toggle to leave", async || {
        running.status().await.is_some_and(|status| status.toggles.len() == 1)
    })
    .await;
    running.shutdown().await;
}

#[tokio::test]
async fn a_flag_is_left_alone_unless_the_configuration_says_otherwise() {
    let setting = Setting::new().await;
    setting.run("leave", &["a", "b"]).await.shutdown().await;
    setting.run("leave", &["b"]).await.shutdown().await;
    assert!(setting.fake.serves("a", "test", "bob"));
}

#[tokio::test]
async fn the_plan_says_what_would_be_removed() {
    for (removed, action) in [
        ("delete", Some(PlannedAction::Delete)),
        ("off", Some(PlannedAction::SwitchOff)),
        ("leave", None),
    ] {
        let setting = Setting::new().await;
        setting.run(removed, &["a", "b"]).await.shutdown().await;
        setting.write(removed, &setting.directory.path().join("state.json"), &["b"]);
        let plan = Engine::from_config(setting.path()).unwrap().plan().await.unwrap();
        assert_eq!(plan.changes[0].action, PlannedAction::Nothing);
        let removal = plan.changes.get(1).map(|change| (&*change.toggle, change.action.clone()));
        assert_eq!(removal, action.clone().map(|action| ("a", action)));
        assert_eq!(plan.changes_anything(), action.is_some());
        assert!(setting.fake.serves("a", "test", "bob"), "nothing is done");
    }
}
