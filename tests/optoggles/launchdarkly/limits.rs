//! The rate limit of an account.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flagstaff::optoggles::{FailureKind, ToggleTarget as _};

use super::{
    Fake,
    fake::{Reply, Sent},
    toggle,
};
use crate::{
    engine::{in_step, start},
    policy::{Policy, users},
};

/// Answers the first patch of `us` with 429.
fn limit_once(fake: &Fake, name: &'static str, value: impl Fn() -> String + Send + 'static) {
    let mut patches = 0;
    fake.intercept(move |sent| {
        let counts = sent.method == "PATCH" && sent.path.ends_with("/us");
        patches += usize::from(counts);
        let reply = || Reply::error(429, "rate_limited", "slow down").header(name, value());
        (counts && patches == 1).then(reply)
    });
}

/// The pause between the patch that met the limit and the next request.
fn pause(sent: &[Sent]) -> Duration {
    let limited = sent.iter().position(|sent| sent.method == "PATCH").unwrap();
    sent[limited + 1].at - sent[limited].at
}

#[tokio::test]
async fn retry_after_stops_the_whole_account() {
    let fake = Fake::start().await;
    let target = fake.target().build().unwrap();
    for key in ["us", "eu"] {
        target.prepare(&toggle(key)).await.unwrap();
    }
    limit_once(&fake, "retry-after", || "1".to_owned());
    let failure = target.write(&toggle("us"), &users("bob")).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Temporary);
    assert_eq!(failure.delay(), Some(Duration::from_secs(1)));
    assert!(failure.to_string().contains("429 Too Many Requests: slow down"), "{failure}");
    // Another flag, and at once.
    target.write(&toggle("eu"), &users("al")).await.unwrap();
    assert!(pause(&fake.sent()) >= Duration::from_secs(1));
    assert!(fake.serves("eu", "test", "al"));
}

#[tokio::test]
async fn the_time_of_the_reset_is_waited_for() {
    let fake = Fake::start().await;
    let target = fake.target().build().unwrap();
    for key in ["us", "eu"] {
        target.prepare(&toggle(key)).await.unwrap();
    }
    limit_once(&fake, "x-ratelimit-reset", || {
        let reset = SystemTime::now() + Duration::from_millis(800);
        reset.duration_since(UNIX_EPOCH).unwrap().as_millis().to_string()
    });
    let begun = Instant::now();
    let failure = target.write(&toggle("us"), &users("bob")).await.unwrap_err();
    let delay = failure.delay().unwrap();
    assert!(delay > Duration::from_millis(400) && delay <= Duration::from_millis(800), "{delay:?}");
    target.write(&toggle("eu"), &users("al")).await.unwrap();
    // A slow machine cannot break a lower bound.
    assert!(begun.elapsed() >= delay);
    assert!(pause(&fake.sent()) >= Duration::from_millis(400));
}

#[tokio::test]
async fn the_engine_writes_when_the_pause_is_over() {
    let fake = Fake::start().await;
    limit_once(&fake, "retry-after", || "1".to_owned());
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    assert!(fake.serves("us", "test", "bob"));
    running.shutdown().await;
    assert!(pause(&fake.sent()) >= Duration::from_secs(1));
}
