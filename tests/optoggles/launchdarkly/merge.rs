//! Lists that others edit too.

use std::path::Path;

use flagstaff::optoggles::{
    Engine, PlannedAction, Record, Removal, Running, Toggle, ToggleTarget as _,
};
use tempfile::TempDir;

use super::{
    Fake,
    fake::{Reply, flag},
    toggle,
};
use crate::{
    engine::{in_step, resync, start},
    policy::{Policy, users},
    support::wait::eventually,
};

/// A flag with a user added by hand, one served `false` by hand, and one of another kind.
async fn edited() -> (Fake, TempDir) {
    let fake = Fake::start().await;
    fake.world().flags.insert("us".to_owned(), flag("us", "The flag us", [true, false]));
    let targets = [("user", true, "hand"), ("user", false, "barred"), ("org", true, "acme")];
    fake.edit_targets("us", "test", &targets);
    (fake, tempfile::tempdir().unwrap())
}

fn record(directory: &Path) -> Record {
    Record::open(directory.join("state.json"), "default").unwrap()
}

async fn run(fake: &Fake, directory: &Path, policy: &Policy) -> Running {
    let target = fake.target().merge("target", record(directory)).build().unwrap();
    let running = start(policy, target, [toggle("us")]).await;
    in_step(&running, "us").await;
    running
}

#[tokio::test]
async fn only_users_whom_this_program_has_added_are_removed() {
    let (fake, directory) = edited().await;
    let policy = Policy::new([("us", "bob hand barred")]);
    let running = run(&fake, directory.path(), &policy).await;
    assert_eq!(fake.users("us", "test"), "bob hand");
    policy.set("us", "eve");
    eventually("bob to leave", || fake.users("us", "test") == "eve hand").await;
    policy.set("us", "");
    eventually("eve to leave", || fake.users("us", "test") == "hand").await;
    running.shutdown().await;
    assert!(!fake.serves("us", "test", "barred"));
    assert_eq!(fake.targeted("us", "test", "user", false), "barred");
    assert_eq!(fake.targeted("us", "test", "org", true), "acme");
}

#[tokio::test]
async fn the_state_file_tells_after_a_restart_who_was_added() {
    let (fake, directory) = edited().await;
    let policy = Policy::new([("us", "bob")]);
    run(&fake, directory.path(), &policy).await.shutdown().await;
    policy.set("us", "");
    let running = run(&fake, directory.path(), &policy).await;
    assert_eq!(fake.users("us", "test"), "hand");
    running.shutdown().await;
}

#[tokio::test]
async fn without_the_state_file_all_count_as_added_by_hand() {
    let (fake, directory) = edited().await;
    let policy = Policy::new([("us", "bob")]);
    run(&fake, directory.path(), &policy).await.shutdown().await;
    policy.set("us", "");
    let elsewhere = tempfile::tempdir().unwrap();
    let running = run(&fake, elsewhere.path(), &policy).await;
    assert_eq!(fake.users("us", "test"), "bob hand");
    running.shutdown().await;
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changed() {
    let (fake, directory) = edited().await;
    // One is on the list by hand, and one is served `false` by hand.
    let policy = Policy::new([("us", "bob hand barred")]);
    let running = run(&fake, directory.path(), &policy).await;
    let writes = fake.writes().len();
    resync(&running, "us").await;
    running.shutdown().await;
    let running = run(&fake, directory.path(), &policy).await;
    resync(&running, "us").await;
    running.shutdown().await;
    assert_eq!(fake.writes().len(), writes);
}

#[tokio::test]
async fn a_user_taken_off_by_hand_is_put_back_and_one_added_by_hand_stays() {
    let (fake, directory) = edited().await;
    let policy = Policy::new([("us", "bob")]);
    let running = run(&fake, directory.path(), &policy).await;
    fake.edit_targets("us", "test", &[("user", true, "hand second")]);
    resync(&running, "us").await;
    assert_eq!(fake.users("us", "test"), "bob hand second");
    policy.set("us", "");
    eventually("bob to leave", || fake.users("us", "test") == "hand second").await;
    running.shutdown().await;
}

#[tokio::test]
async fn a_user_whom_the_policy_dropped_while_off_the_list_can_be_added_by_hand() {
    let (fake, directory) = edited().await;
    let policy = Policy::new([("us", "bob")]);
    let running = run(&fake, directory.path(), &policy).await;
    fake.edit_targets("us", "test", &[("user", true, "hand")]);
    let writes = fake.writes().len();
    policy.set("us", "");
    resync(&running, "us").await;
    let state = directory.path().join("state.json");
    let is_forgotten = || {
        let text = std::fs::read_to_string(&state).unwrap();
        !text.lines().last().unwrap_or_default().contains("bob")
    };
    eventually("bob to be forgotten", is_forgotten).await;
    assert_eq!(fake.writes().len(), writes, "the list is right already");
    fake.edit_targets("us", "test", &[("user", true, "bob hand")]);
    resync(&running, "us").await;
    running.shutdown().await;
    assert_eq!(fake.users("us", "test"), "bob hand");
}

#[tokio::test]
async fn the_plan_is_what_is_done() {
    let (fake, directory) = edited().await;
    let plan = async |policy: &Policy, toggle: Toggle| {
        let target = fake.target().merge("target", record(directory.path())).build().unwrap();
        let engine = Engine::builder().source("policy", policy.source()).target("target", target);
        let plan = engine.toggle("policy", toggle).build().unwrap().plan().await.unwrap();
        plan.changes.into_iter().next().unwrap().action
    };
    let policy = Policy::new([("us", "bob hand barred")]);
    let change = |added: &[&str], removed: &[&str]| PlannedAction::Change {
        added: added.iter().map(ToString::to_string).collect(),
        removed: removed.iter().map(ToString::to_string).collect(),
        held_back: false,
    };
    assert_eq!(plan(&policy, toggle("us")).await, change(&["bob"], &[]));
    assert!(fake.writes().is_empty());
    run(&fake, directory.path(), &policy).await.shutdown().await;
    assert_eq!(plan(&policy, toggle("us")).await, PlannedAction::Nothing);
    policy.set("us", "hand");
    assert_eq!(plan(&policy, toggle("us")).await, change(&[], &["bob"]));
}

#[tokio::test]
async fn a_flag_that_is_deleted_is_forgotten() {
    let (fake, directory) = edited().await;
    let record = record(directory.path());
    let target = fake.target().merge("target", record.clone()).build().unwrap();
    target.prepare(&toggle("us")).await.unwrap();
    target.write(&toggle("us"), &users("bob")).await.unwrap();
    target.remove(&toggle("us"), Removal::Delete).await.unwrap();
    // The new flag has him by hand.
    target.prepare(&toggle("us")).await.unwrap();
    fake.edit_targets("us", "test", &[("user", true, "bob")]);
    target.write(&toggle("us"), &users("al")).await.unwrap();
    assert_eq!(fake.users("us", "test"), "al bob");
}

#[tokio::test]
async fn who_was_added_is_known_after_a_crash_in_the_middle_of_a_write() {
    let (fake, directory) = edited().await;
    let target = || fake.target().merge("target", record(directory.path())).build().unwrap();
    target().prepare(&toggle("us")).await.unwrap();
    fake.intercept(|sent| sent.patches("test").then(|| Reply::error(502, "bad_gateway", "lost")));
    target().write(&toggle("us"), &users("bob")).await.unwrap_err();
    // It took effect, and nobody was there to see it.
    fake.recover();
    fake.edit_targets("us", "test", &[("user", true, "bob hand")]);
    target().write(&toggle("us"), &users("al")).await.unwrap();
    assert_eq!(fake.users("us", "test"), "al hand");
}
