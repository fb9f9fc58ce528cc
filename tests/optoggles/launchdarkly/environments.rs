//! Several environments of one flag.

use flagstaff::optoggles::{FailureKind, ToggleTarget as _};

use super::{Fake, fake::Reply, toggle_in};
use crate::{
    engine::{failure, in_step, start},
    policy::{Policy, users},
    support::wait::eventually,
};

#[tokio::test]
async fn one_that_fails_keeps_none_of_the_others_from_being_written() {
    for (broken, other) in [("production", "test"), ("test", "production")] {
        let fake = Fake::start().await;
        fake.intercept(move |sent| {
            sent.patches(broken).then(|| Reply::error(503, "unavailable", "later"))
        });
        let policy = Policy::new([("us", "bob")]);
        let toggle = toggle_in("us", &["production", "test"]);
        let running = start(&policy, fake.target().build().unwrap(), [toggle]).await;
        assert_eq!(failure(&running, "us").await.kind, "temporary");
        assert!(fake.serves("us", other, "bob"));
        fake.recover();
        in_step(&running, "us").await;
        assert!(fake.serves("us", broken, "bob"));
        running.shutdown().await;
        let patches = fake.writes().iter().filter(|sent| sent.patches(other)).count();
        assert_eq!(patches, 1, "what was written is not written again");
    }
}

#[tokio::test]
async fn one_that_the_project_does_not_have_keeps_none_of_the_others_from_being_written() {
    let fake = Fake::start().await;
    let policy = Policy::new([("us", "bob")]);
    let toggle = toggle_in("us", &["staging", "test"]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle]).await;
    let failure = failure(&running, "us").await;
    assert_eq!(failure.kind, "permanent");
    assert!(failure.error.contains("no environment `staging`"), "{}", failure.error);
    assert!(fake.serves("us", "test", "bob"));
    policy.set("us", "al");
    eventually("the change", || fake.users("us", "test") == "al").await;
    running.shutdown().await;
}

#[tokio::test]
async fn what_can_pass_is_what_counts() {
    let fake = Fake::start().await;
    let target = fake.target().build().unwrap();
    let toggle = toggle_in("us", &["production", "test"]);
    target.prepare(&toggle).await.unwrap();
    for (first, second) in [(503, 403), (403, 503)] {
        fake.intercept(move |sent| {
            let status = if sent.patches("production") { first } else { second };
            (sent.method == "PATCH").then(|| Reply::error(status, "code", "message"))
        });
        let failure = target.write(&toggle, &users("bob")).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Temporary, "{first}, {second}");
    }
}

#[tokio::test]
async fn only_those_that_are_named_are_asked_for_and_written() {
    let fake = Fake::start().await;
    let target = fake.target().build().unwrap();
    let toggle = toggle_in("us", &["test", "test"]);
    target.prepare(&toggle).await.unwrap();
    target.write(&toggle, &users("bob")).await.unwrap();
    assert_eq!(fake.sent()[0].query, "env=test");
    assert_eq!(fake.writes().len(), 2);
    assert!(fake.users("us", "production").is_empty());
}

#[tokio::test]
async fn one_that_is_missing_is_reported_though_the_others_are_right() {
    let fake = Fake::start().await;
    let policy = Policy::new([("us", "bob")]);
    let right = toggle_in("us", &["test"]);
    let running = start(&policy, fake.target().build().unwrap(), [right]).await;
    in_step(&running, "us").await;
    running.shutdown().await;
    let toggle = toggle_in("us", &["staging", "test"]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle]).await;
    let failure = failure(&running, "us").await;
    assert!(failure.error.contains("no environment `staging`"), "{}", failure.error);
    running.shutdown().await;
}

#[tokio::test]
async fn a_creation_whose_response_lacks_them_is_followed_by_a_read() {
    let fake = Fake::start().await;
    fake.world().is_brief = true;
    let policy = Policy::new([("us", "bob")]);
    let toggle = toggle_in("us", &["production", "test"]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle]).await;
    in_step(&running, "us").await;
    running.shutdown().await;
    assert!(fake.serves("us", "production", "bob") && fake.serves("us", "test", "bob"));
    let methods: Vec<_> = fake.sent().into_iter().map(|sent| sent.method).collect();
    assert_eq!(methods, ["GET", "POST", "GET", "PATCH", "PATCH"]);
}
