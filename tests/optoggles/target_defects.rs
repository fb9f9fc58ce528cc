//! Each defect of the original that concerns what is written, and that it is not here.

use std::time::Duration;

use flagstaff::optoggles::{Removal, ToggleTarget as _};
use serde_json::json;
use tracing::Level;

use crate::{
    engine::{cell, failure, in_step, resync, start, toggle},
    launchdarkly::{self, Fake},
    logs::Logs,
    policy::{Policy, users},
    rest::{Does, Service},
    support::wait::eventually,
};

#[tokio::test]
async fn one_permanently_failing_toggle_blocks_all_others() {
    let service = Service::start().await;
    service.does(|sent| Does::Status(if sent.path == "/toggles/us" { 422 } else { 200 }));
    let policy = Policy::new([("us", "bob"), ("eu", "al")]);
    let toggles = [toggle("us"), toggle("eu")];
    let running = start(&policy, service.target().build().unwrap(), toggles).await;
    assert_eq!(failure(&running, "us").await.kind, "permanent");
    in_step(&running, "eu").await;
    for user in ["eve", "joe", "kim"] {
        policy.set("eu", user);
        eventually("the other toggle", || service.users("eu") == Some(json!([user]))).await;
    }
    running.shutdown().await;
    let failing = service.sent("PATCH").iter().filter(|sent| sent.path == "/toggles/us").count();
    assert_eq!(failing, 1, "nor is it retried without need");
}

#[tokio::test]
async fn only_http_200_counts_as_success() {
    for status in [201, 202, 204] {
        let service = Service::start().await;
        service.does(move |_| Does::Status(status));
        let policy = Policy::new([("us", "bob")]);
        let running = start(&policy, service.target().build().unwrap(), [toggle("us")]).await;
        in_step(&running, "us").await;
        running.shutdown().await;
        assert_eq!(service.sent("").len(), 2, "{status}");
    }
}

#[tokio::test]
async fn a_creation_answered_with_409_ends_nothing() {
    let service = Service::start().await;
    service.does(|sent| Does::Status(if sent.method == "POST" { 409 } else { 200 }));
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, service.target().build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    running.shutdown().await;
}

#[tokio::test]
async fn tokens_headers_and_user_lists_are_logged() {
    let (logs, _guard) = Logs::listen();
    let (service, fake) = (Service::start().await, Fake::start().await);
    let rest = service.target().header("x-key", "hush-header").build().unwrap();
    let policy = Policy::new([("us", "bob-0815")]);
    let first = start(&policy, rest, [toggle("us")]).await;
    let second = start(&policy, fake.target().build().unwrap(), [launchdarkly::toggle("us")]).await;
    for running in [first, second] {
        in_step(&running, "us").await;
        running.shutdown().await;
    }
    for secret in ["hush-header", launchdarkly::TOKEN] {
        assert_eq!(logs.with(secret, Level::TRACE), [""; 0]);
    }
    assert_eq!(logs.with("bob-0815", Level::INFO), [""; 0]);
}

#[tokio::test]
async fn there_are_no_timeouts() {
    let service = Service::start().await;
    service.does(|sent| if sent.method == "POST" { Does::Never } else { Does::Status(200) });
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, service.target().build().unwrap(), [toggle("us")]).await;
    eventually("the request", || !service.sent("").is_empty()).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    assert!(failure(&running, "us").await.error.contains("did not respond within 10s"));
    service.does(|_| Does::Status(200));
    in_step(&running, "us").await;
    running.shutdown().await;
}

#[tokio::test]
async fn removed_toggles_stay() {
    let (service, fake) = (Service::start().await, Fake::start().await);
    let rest = service.target().build().unwrap();
    rest.remove(&toggle("us"), Removal::Delete).await.unwrap();
    assert_eq!(service.sent("DELETE")[0].path, "/toggles/us");
    rest.remove(&toggle("us"), Removal::SwitchOff).await.unwrap();
    assert_eq!(service.users("us"), Some(json!([])));
    let target = fake.target().build().unwrap();
    let toggle = launchdarkly::toggle("us");
    target.prepare(&toggle).await.unwrap();
    target.write(&toggle, &users("bob")).await.unwrap();
    target.remove(&toggle, Removal::SwitchOff).await.unwrap();
    assert!(!fake.serves("us", "test", "bob"));
    target.remove(&toggle, Removal::Delete).await.unwrap();
    assert!(fake.world().flags.is_empty());
}

#[tokio::test]
async fn it_writes_at_every_pulse_changed_or_not() {
    let (service, fake) = (Service::start().await, Fake::start().await);
    let policy = Policy::new([("us", "bob")]);
    let first = start(&policy, service.target().build().unwrap(), [toggle("us")]).await;
    let second = start(&policy, fake.target().build().unwrap(), [launchdarkly::toggle("us")]).await;
    for running in [&first, &second] {
        in_step(running, "us").await;
    }
    for _ in 0..3 {
        policy.set("us", "bob");
        for running in [&first, &second] {
            resync(running, "us").await;
        }
    }
    for running in [first, second] {
        running.shutdown().await;
    }
    assert_eq!(service.sent("").len(), 2);
    assert_eq!(fake.writes().len(), 2);
}

#[tokio::test]
async fn a_trailing_slash_in_endpoint_url_breaks_it() {
    let service = Service::start().await;
    for slashes in ["", "/", "//"] {
        let url = format!("{}{slashes}", service.url);
        let target = flagstaff::optoggles::RestTarget::builder(url).build().unwrap();
        target.prepare(&toggle("us")).await.unwrap();
        target.write(&toggle("us"), &users("bob")).await.unwrap();
    }
    assert!(service.sent("POST").iter().all(|sent| sent.path == "/toggles"));
    assert!(service.sent("PATCH").iter().all(|sent| sent.path == "/toggles/us"));
    assert_eq!(service.sent("").len(), 6);
}

#[tokio::test]
async fn users_in_the_spec_override_the_computed_ones() {
    let service = Service::start().await;
    let policy = Policy::new([("us", "bob")]);
    let toggle = toggle("us").with("users", json!(["mallory"]));
    let running = start(&policy, service.target().build().unwrap(), [toggle]).await;
    in_step(&running, "us").await;
    assert_eq!(service.users("us"), Some(json!(["bob"])));
    running.shutdown().await;
}

#[tokio::test]
async fn an_undefined_result_becomes_null_users() {
    let service = Service::start().await;
    let policy = Policy::new([("eu", "al")]);
    let toggles = [toggle("us"), toggle("eu")];
    let running = start(&policy, service.target().build().unwrap(), toggles).await;
    in_step(&running, "eu").await;
    assert!(cell(&running, "us").await.in_step.is_none());
    policy.set("eu", "");
    eventually("nobody", || service.users("eu") == Some(json!([]))).await;
    running.shutdown().await;
    assert_eq!(service.users("us"), None);
}

#[tokio::test]
async fn a_nested_spec_ends_it() {
    let service = Service::start().await;
    let policy = Policy::new([("us", "bob")]);
    let toggle = toggle("us").with("owner", json!({"team": {"name": "a", "on_call": [1, null]}}));
    let running = start(&policy, service.target().build().unwrap(), [toggle.clone()]).await;
    in_step(&running, "us").await;
    running.shutdown().await;
    for sent in service.sent("") {
        assert_eq!(sent.body["owner"], toggle.spec["owner"]);
    }
}
