//! What does not pass by itself.

use std::time::Duration;

use flagstaff::optoggles::ToggleTarget as _;
use serde_json::json;

use super::{Fake, fake::Reply, toggle};
use crate::{
    engine::{cell, failure, in_step, start},
    policy::Policy,
    support::wait::eventually,
};

fn refuse(fake: &Fake, status: u16) {
    fake.intercept(move |sent| {
        let reply =
            || Reply::error(status, "code", "a custom role of the Enterprise plan is needed");
        (sent.method == "PATCH").then(reply)
    });
}

#[tokio::test]
async fn it_is_reported_and_tried_again_at_the_next_change() {
    for status in [401, 403, 404, 422] {
        let fake = Fake::start().await;
        refuse(&fake, status);
        let policy = Policy::new([("us", "bob"), ("eu", "al")]);
        let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
        let found = failure(&running, "us").await;
        assert_eq!(found.kind, "permanent");
        assert!(found.error.contains(&status.to_string()), "{}", found.error);
        assert!(found.error.contains("the Enterprise plan is needed"), "{}", found.error);
        let status = running.status().await.unwrap();
        assert!(!status.healthy && status.targets[0].failing == 1);
        fake.recover();
        // Something else changes: nothing to do with this toggle.
        policy.set("eu", "");
        running.started().await;
        assert!(cell(&running, "us").await.failure.is_some());
        policy.set("us", "bob al");
        in_step(&running, "us").await;
        eventually("the users", || fake.users("us", "test") == "al bob").await;
        running.shutdown().await;
    }
}

#[tokio::test]
async fn it_is_tried_again_at_the_resync() {
    let fake = Fake::start().await;
    refuse(&fake, 403);
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    failure(&running, "us").await;
    fake.recover();
    running.resync().await;
    in_step(&running, "us").await;
    running.shutdown().await;
}

#[tokio::test]
async fn it_is_tried_again_every_five_minutes() {
    let fake = Fake::start().await;
    refuse(&fake, 403);
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    let first = failure(&running, "us").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(301)).await;
    tokio::time::resume();
    let patches = || fake.sent().iter().filter(|sent| sent.method == "PATCH").count();
    eventually("a second attempt", || patches() == 2).await;
    let second = failure(&running, "us").await;
    assert!(second.seconds > first.seconds + 300.0, "it fails since the first attempt: {second:?}");
    fake.recover();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(301)).await;
    tokio::time::resume();
    in_step(&running, "us").await;
    running.shutdown().await;
}

#[tokio::test]
async fn a_spec_that_lacks_something_is_an_error_of_its_toggle_alone() {
    let fake = Fake::start().await;
    let policy = Policy::new([("us", "bob"), ("eu", "al")]);
    let broken = crate::engine::toggle("us").with("environments", json!(["test"]));
    let toggles = [broken, toggle("eu")];
    let running = start(&policy, fake.target().build().unwrap(), toggles).await;
    let found = failure(&running, "us").await;
    assert_eq!(found.kind, "permanent");
    assert!(found.error.contains("toggle `us`: its spec"), "{}", found.error);
    assert!(found.error.contains("missing field `projKey`"), "{}", found.error);
    in_step(&running, "eu").await;
    running.shutdown().await;
}

#[tokio::test]
async fn the_base_uri_and_the_token_are_checked() {
    let fake = Fake::start().await;
    fake.target().build().unwrap().check().await.unwrap();
    let slash = fake.target().base_uri(format!("http://{}//", fake.address));
    slash.build().unwrap().check().await.unwrap();
    assert!(fake.sent().iter().all(|sent| sent.path == "/api/v2/caller-identity"));
    fake.intercept(|_| Some(Reply::error(401, "unauthorized", "Invalid access token")));
    let failure = fake.target().build().unwrap().check().await.unwrap_err().to_string();
    assert!(failure.ends_with("answered 401 Unauthorized: Invalid access token"), "{failure}");
    let invalid = fake.target().base_uri("app.launchdarkly.us").build().unwrap_err().to_string();
    assert!(invalid.contains("`app.launchdarkly.us` is not a valid URL"), "{invalid}");
}
