//! Toggles that have left the configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use flagstaff::optoggles::{Engine, PlannedAction, Removal, Running, ToggleTarget as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Fake,
    fake::{Reply, TOKEN, flag},
    toggle, toggle_in,
};
use crate::{
    engine::{failure, get, in_step},
    policy::{Opa, users},
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

/// What a configuration needs to be written.
struct Setting {
    directory: TempDir,
    opa: Opa,
    fake: Arc<Fake>,
}

impl Setting {
    async fn new() -> Self {
        let (directory, fake) = (tempfile::tempdir().unwrap(), Arc::new(Fake::start().await));
        Self { directory, opa: Opa::start("bob").await, fake }
    }

    fn path(&self) -> PathBuf {
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
            "sources": [{"id": "opa", "sourceType": "opa", "url": self.opa.url}],
            "target": {
                "targetType": "launchdarkly",
                "targetSpec": {"launchdarklyToken": TOKEN, "baseUri": base},
            },
            "toggles": keys.iter().map(toggle).collect::<Vec<_>>(),
        });
        // JSON is YAML.
        fs::write(self.path(), config.to_string()).unwrap();
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state.json")
    }

    /// Starts an engine whose toggles need not be in step.
    async fn begin(&self, removed: &str, keys: &[&str]) -> Running {
        self.write(removed, &self.state(), keys);
        Engine::from_config(self.path()).unwrap().start().await.unwrap()
    }

    async fn run(&self, removed: &str, keys: &[&str]) -> Running {
        let running = self.begin(removed, keys).await;
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
    setting.write("off", &setting.state(), &["b"]);
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

/// What the state file records of a toggle, after all its changes.
fn recorded(state: &Path, toggle: &str) -> Value {
    let text = fs::read_to_string(state).unwrap();
    let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let found = |value: Value| {
        let targets = value.get("targets").unwrap_or(&value);
        targets["target"].get(toggle).cloned()
    };
    values.map_while(Result::ok).filter_map(found).last().unwrap_or_default()
}

/// Makes of each creation in the state file an intent, as a kill leaves it between the creation of a
/// flag and its record.
fn forget_that_they_were_created(state: &Path) {
    let text = fs::read_to_string(state).unwrap();
    assert!(text.contains(r#""created""#), "{text}");
    fs::write(state, text.replace(r#""created""#, r#""intended""#)).unwrap();
}

#[tokio::test]
async fn the_intent_to_create_a_flag_is_recorded_before_the_request() {
    let setting = Setting::new().await;
    let state = setting.state();
    let is_recorded = Arc::new(AtomicBool::new(false));
    let seen = is_recorded.clone();
    setting.fake.intercept(move |sent| {
        if sent.method == "POST" {
            let text = fs::read_to_string(&state).unwrap_or_default();
            let id = sent.body["description"].as_str().unwrap().to_owned();
            let id = id.split(['(', '/']).nth(1).unwrap().to_owned();
            let is_there = text.contains(r#""a":{"intended":{"#) && text.contains(&id);
            seen.store(is_there, Ordering::Relaxed);
        }
        None
    });
    setting.run("delete", &["a"]).await.shutdown().await;
    assert!(is_recorded.load(Ordering::Relaxed));
    let recorded = recorded(&setting.state(), "a");
    assert!(recorded["created"].is_object() && recorded.get("intended").is_none(), "{recorded}");
}

#[tokio::test]
async fn a_flag_that_was_created_just_before_a_kill_is_still_this_programs_own() {
    for is_still_configured in [true, false] {
        let setting = Setting::new().await;
        let fake = &setting.fake;
        setting.run("delete", &["a", "kept"]).await.shutdown().await;
        forget_that_they_were_created(&setting.state());
        if is_still_configured {
            setting.run("delete", &["a", "kept"]).await.shutdown().await;
        }
        let running = setting.run("delete", &["kept"]).await;
        eventually("the flag to be deleted", || !fake.world().flags.contains_key("a")).await;
        running.shutdown().await;
    }
}

#[tokio::test]
async fn a_flag_that_somebody_made_after_a_kill_is_not_taken_for_this_programs_own() {
    let setting = Setting::new().await;
    let fake = &setting.fake;
    setting.run("delete", &["a", "b"]).await.shutdown().await;
    forget_that_they_were_created(&setting.state());
    // One is made anew, the other is a clone of this program's.
    let clone = fake.world().flags["b"]["description"].clone();
    fake.world().flags.insert("a".to_owned(), flag("a", "a", [true, false]));
    fake.edit("a", |flag| flag["description"] = clone);
    setting.run("delete", &["a"]).await.shutdown().await;
    let running = setting.run("delete", &[]).await;
    let is_forgotten =
        || ["a", "b"].iter().all(|key| recorded(&setting.state(), key).get("intended").is_none());
    eventually("the intent to be forgotten", is_forgotten).await;
    running.shutdown().await;
    assert!(fake.world().flags.contains_key("a"));
    assert!(!fake.world().flags.contains_key("b"));
}

#[tokio::test]
async fn a_state_file_that_cannot_be_written_right_after_a_creation_is_written_later() {
    let setting = Setting::new().await;
    let state = setting.state();
    setting.fake.intercept(move |sent| {
        if sent.method == "POST" {
            fs::remove_file(&state).unwrap();
            fs::create_dir(&state).unwrap();
        }
        None
    });
    let running = setting.begin("delete", &["a"]).await;
    let failure = failure(&running, "a").await;
    assert!(failure.error.starts_with("cannot write the state in "), "{}", failure.error);
    assert!(setting.fake.world().flags.contains_key("a"));
    fs::remove_dir(setting.state()).unwrap();
    in_step(&running, "a").await;
    running.shutdown().await;
    assert!(recorded(&setting.state(), "a")["created"].is_object());
}

#[tokio::test]
async fn nothing_is_created_while_the_intent_cannot_be_recorded() {
    let setting = Setting::new().await;
    let state = setting.directory.path().join("missing/state.json");
    setting.write("delete", &state, &["a"]);
    let running = Engine::from_config(setting.path()).unwrap().start().await.unwrap();
    let failure = failure(&running, "a").await;
    assert!(failure.error.starts_with("cannot write the state in "), "{}", failure.error);
    assert!(setting.fake.writes().is_empty());
    fs::create_dir(state.parent().unwrap()).unwrap();
    in_step(&running, "a").await;
    running.shutdown().await;
}

#[tokio::test]
async fn a_toggle_that_cannot_be_removed_is_shown_until_it_is() {
    let setting = Setting::new().await;
    let fake = &setting.fake;
    setting.run("delete", &["a", "b"]).await.shutdown().await;
    fake.intercept(|sent| {
        (sent.method == "DELETE").then(|| Reply::error(503, "unavailable", "try later"))
    });
    let running = setting.run("delete", &["b"]).await;
    becomes_true("the failure to be shown", async || {
        let status = running.status().await.unwrap();
        let shown = status.removals.iter().any(|removal| {
            removal.toggle == "a"
                && removal.target == "target"
                && removal.failure.error.contains("503")
        });
        shown && !status.healthy && status.targets[0].failing == 1
    })
    .await;
    let health = format!("http://{}/health", running.address().unwrap());
    assert_eq!(get(&health).await.0, 500);
    let metrics = format!("http://{}/metrics", running.management_address().unwrap());
    let (_, text) = get(&metrics).await;
    assert!(text.contains(r#"flagstaff_optoggles_target_up{target="target"} 0"#), "{text}");
    let failures =
        r#"flagstaff_optoggles_failures_total{part="target",id="target",kind="temporary"}"#;
    assert!(text.contains(failures), "{text}");
    fake.recover();
    becomes_true("the removal", async || {
        let status = running.status().await.unwrap();
        status.removals.is_empty() && status.healthy
    })
    .await;
    assert!(!fake.world().flags.contains_key("a"));
    running.shutdown().await;
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
