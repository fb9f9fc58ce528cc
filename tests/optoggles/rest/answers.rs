//! What a REST service answers.

use std::time::Duration;

use flagstaff::optoggles::{FailureKind, ToggleTarget as _};
use serde_json::json;
use tokio::time::Instant;
use tracing::Level;

use super::{Does, Service};
use crate::{
    engine::{cell, failure, in_step, start, toggle},
    logs::Logs,
    policy::{Policy, users},
    support::wait::{bounded, eventually},
};

#[tokio::test]
async fn every_2xx_is_a_success_and_409_for_a_creation_too() {
    let service = Service::start().await;
    let target = service.target().build().unwrap();
    for (status, created) in [(200, true), (201, true), (204, true), (409, false)] {
        service.does(move |_| Does::Status(status));
        assert_eq!(target.prepare(&toggle("us")).await.unwrap().created, created, "{status}");
    }
    for status in [200, 201, 202, 204] {
        service.does(move |_| Does::Status(status));
        target.write(&toggle("us"), &users("bob")).await.unwrap();
    }
}

#[tokio::test]
async fn what_can_pass_is_told_from_what_lasts() {
    let service = Service::start().await;
    let target = service.target().build().unwrap();
    for (does, kind, delay) in [
        (Does::Status(500), FailureKind::Temporary, None),
        (Does::RetryAfter(503, 7), FailureKind::Temporary, Some(7)),
        (Does::RetryAfter(429, 2), FailureKind::Temporary, Some(2)),
        (Does::Status(409), FailureKind::Temporary, None),
        (Does::Cut, FailureKind::Temporary, None),
        (Does::Status(308), FailureKind::Permanent, None),
        (Does::Status(401), FailureKind::Permanent, None),
        (Does::Status(403), FailureKind::Permanent, None),
        (Does::Status(404), FailureKind::Permanent, None),
        (Does::Status(415), FailureKind::Permanent, None),
        (Does::Status(422), FailureKind::Permanent, None),
    ] {
        service.does(move |_| does);
        let failure = target.write(&toggle("us"), &users("bob")).await.unwrap_err();
        assert_eq!(failure.kind(), kind, "{does:?}");
        assert_eq!(failure.delay(), delay.map(Duration::from_secs), "{does:?}");
        let named = format!("PATCH {}/us", service.url);
        let text = format!("{failure}");
        assert!(text.contains(&named) || matches!(does, Does::Cut), "{text}");
        assert!(!text.contains("bob"), "{text}");
    }
}

#[tokio::test]
async fn a_service_that_recovers_is_written_once() {
    for does in [Does::Status(500), Does::Cut] {
        let service = Service::start().await;
        service.does(move |sent| if sent.method == "POST" { Does::Status(409) } else { does });
        let policy = Policy::new([("us", "bob")]);
        let running = start(&policy, service.target().build().unwrap(), [toggle("us")]).await;
        assert_eq!(failure(&running, "us").await.kind, "temporary");
        policy.set("us", "al");
        policy.set("us", "al eve");
        service.does(|_| Does::Status(204));
        let failed = service.sent("PATCH").len();
        in_step(&running, "us").await;
        eventually("the users", || service.users("us") == Some(json!(["al", "eve"]))).await;
        running.shutdown().await;
        let written = service.sent("PATCH").len() - failed;
        assert!(written <= 2, "{does:?}: {written} writes");
    }
}

#[tokio::test]
async fn a_service_that_never_answers_is_given_up_after_ten_seconds() {
    let service = Service::start().await;
    let target = service.target().build().unwrap();
    service.does(|_| Does::Never);
    let write = tokio::spawn(async move { target.write(&toggle("us"), &users("bob")).await });
    eventually("the request", || !service.sent("").is_empty()).await;
    // There is nothing to wait for but the timer.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let failure = write.await.unwrap().unwrap_err();
    // Of the paused clock.
    assert!(begun.elapsed() <= Duration::from_secs(11), "{:?}", begun.elapsed());
    assert_eq!(failure.kind(), FailureKind::Temporary);
    let expected = format!("{}/us did not respond within 10s", service.url);
    assert_eq!(failure.to_string(), expected);
}

#[tokio::test]
async fn a_toggle_whose_request_hangs_keeps_no_other_waiting() {
    let service = Service::start().await;
    service.does(|sent| match &*sent.path {
        "/toggles/us" => Does::Never,
        _ => Does::Status(200),
    });
    let policy = Policy::new([("us", "bob"), ("eu", "al")]);
    let toggles = [toggle("us"), toggle("eu")];
    let running = start(&policy, service.target().build().unwrap(), toggles).await;
    in_step(&running, "eu").await;
    policy.set("eu", "eve");
    eventually("the change", || service.users("eu") == Some(json!(["eve"]))).await;
    assert!(cell(&running, "us").await.in_step.is_none());
    // What is under way is given a while, but not for ever.
    eventually("the request", || service.users("us").is_some()).await;
    let begun = Instant::now();
    let shutdown = tokio::spawn(running.shutdown());
    tokio::time::pause();
    bounded("the shutdown", shutdown).await.unwrap();
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(5) && took <= Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn a_slow_service_keeps_no_other_toggle_waiting_and_its_write_is_finished_at_the_end() {
    let service = Service::start().await;
    service.does(|sent| match &*sent.path {
        "/toggles/us" => Does::Late(Duration::from_secs(2)),
        _ => Does::Status(200),
    });
    let policy = Policy::new([("us", "bob"), ("eu", "al")]);
    let toggles = [toggle("us"), toggle("eu")];
    let running = start(&policy, service.target().build().unwrap(), toggles).await;
    in_step(&running, "eu").await;
    eventually("the request", || service.users("us").is_some()).await;
    assert_eq!(service.late(), 0);
    running.shutdown().await;
    assert_eq!(service.late(), 1);
}

#[tokio::test]
async fn a_header_and_the_users_are_in_no_log() {
    let (logs, _guard) = Logs::listen();
    let service = Service::start().await;
    let builder = service.target().header("x-api-key", "hush-4711");
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(!shown.contains("hush-4711"), "{shown}");
    let policy = Policy::new([("us", "bob-4711")]);
    let running = start(&policy, builder.build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    for status in [400, 500] {
        // It echoes headers and body.
        service.does(move |_| Does::Status(status));
        policy.set("us", &format!("bob-4711 eve-{status}"));
        let error = failure(&running, "us").await.error;
        assert!(!error.contains("4711") && !error.contains("eve-"), "{error}");
        service.does(|_| Does::Status(200));
        running.resync().await;
        in_step(&running, "us").await;
    }
    let shown = format!("{:?}", running.status().await);
    running.shutdown().await;
    assert!(!shown.contains("4711"), "{shown}");
    assert_eq!(logs.with("hush-4711", Level::TRACE), [""; 0]);
    assert_eq!(logs.with("bob-4711", Level::INFO), [""; 0]);
    assert!(!logs.with("wrote the toggle", Level::INFO).is_empty(), "the logs are listened to");
}

#[tokio::test]
async fn debug_shows_no_password() {
    let builder = flagstaff::optoggles::RestTarget::builder("http://ann:hush@host/a");
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(shown.contains("http://host/a") && !shown.contains("hush"), "{shown}");
}

#[tokio::test]
async fn a_check_needs_an_answer_that_accepts_the_headers() {
    let service = Service::start().await;
    let target = service.target().build().unwrap();
    for (status, is_good) in [(200, true), (404, true), (405, true), (401, false), (500, false)] {
        service.does(move |_| Does::Status(status));
        assert_eq!(target.check().await.is_ok(), is_good, "{status}");
    }
}
