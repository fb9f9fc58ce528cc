//! Environments in which somebody has to approve each change.

use flagstaff::optoggles::Running;
use serde_json::json;

use super::{Fake, fake::Reply, toggle_in};
use crate::{
    engine::{failure, in_step, start},
    policy::Policy,
    support::wait::{becomes_true, eventually},
};

/// A toggle for bob whose environment is `test`, after its request for approval was filed.
async fn with_a_request() -> (Fake, Policy, Running) {
    let fake = Fake::start().await;
    fake.world().needs_approval.insert("test".to_owned());
    let policy = Policy::new([("us", "bob")]);
    let toggle = toggle_in("us", &["test"]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle]).await;
    failure(&running, "us").await;
    (fake, policy, running)
}

#[tokio::test]
async fn one_request_is_open_at_most_and_takes_effect_once_it_is_applied() {
    let fake = Fake::start().await;
    fake.world().needs_approval.insert("production".to_owned());
    let policy = Policy::new([("us", "bob")]);
    let toggle = toggle_in("us", &["production", "test"]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle]).await;
    let found = failure(&running, "us").await;
    assert_eq!(found.kind, "permanent");
    assert!(found.error.contains("requires approval"), "{}", found.error);
    assert!(found.error.contains("`production`: a request was filed"), "{}", found.error);
    assert!(fake.serves("us", "test", "bob"), "elsewhere nobody has to approve");
    // Each resync is an attempt.
    for attempt in 2..5 {
        running.resync().await;
        let attempts = || fake.sent().iter().filter(|sent| sent.patches("production")).count();
        eventually("another attempt", || attempts() == attempt).await;
        becomes_true("the open request to be seen", async || {
            failure(&running, "us").await.error.contains("a request is open")
        })
        .await;
    }
    assert_eq!(fake.world().approvals.len(), 1);
    fake.world().approve(0);
    running.resync().await;
    in_step(&running, "us").await;
    assert!(fake.serves("us", "production", "bob"));
    // What is applied is no longer open.
    policy.set("us", "al");
    eventually("another request", || fake.world().approvals.len() == 2).await;
    running.shutdown().await;
}

#[tokio::test]
async fn a_request_that_was_declined_is_not_filed_again() {
    let (fake, _policy, running) = with_a_request().await;
    fake.world().approvals[0].shown["reviewStatus"] = json!("declined");
    running.resync().await;
    becomes_true("the declined request to be seen", async || {
        failure(&running, "us").await.error.contains("a request was declined")
    })
    .await;
    running.shutdown().await;
    assert_eq!(fake.world().approvals.len(), 1);
}

#[tokio::test]
async fn a_request_of_somebody_else_is_not_taken_for_this_programs() {
    let (fake, _policy, running) = with_a_request().await;
    fake.world().approvals[0].shown["description"] = json!("Please turn it on");
    running.resync().await;
    eventually("a request of this program", || fake.world().approvals.len() == 2).await;
    running.shutdown().await;
}

#[tokio::test]
async fn an_open_request_that_is_out_of_date_is_replaced() {
    let (fake, policy, running) = with_a_request().await;
    for (round, user) in ["al", "eve"].into_iter().enumerate() {
        policy.set("us", user);
        becomes_true("the request to be replaced", async || {
            let is_replaced =
                failure(&running, "us").await.error.contains("a request was replaced");
            is_replaced && fake.world().filed == round + 2
        })
        .await;
        let world = fake.world();
        assert_eq!(world.approvals.len(), 1);
        let values = &world.approvals[0].shown["instructions"][3]["targets"][0]["values"];
        assert_eq!(values, &json!([user]));
    }
    fake.world().approve(0);
    running.resync().await;
    in_step(&running, "us").await;
    assert!(fake.serves("us", "test", "eve") && !fake.serves("us", "test", "bob"));
    running.shutdown().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_withdrawn_stays_the_only_one() {
    let (fake, policy, running) = with_a_request().await;
    fake.intercept(|sent| {
        (sent.method == "DELETE").then(|| Reply::error(403, "forbidden", "no role for that"))
    });
    policy.set("us", "al");
    becomes_true("the reason to be shown", async || {
        let error = failure(&running, "us").await.error;
        error.contains("out of date and cannot be deleted") && error.contains("no role for that")
    })
    .await;
    running.shutdown().await;
    assert_eq!(fake.world().approvals.len(), 1);
}
