//! What must not be shown to anybody: the token, and to most the names of users.

use std::fs;

use flagstaff::optoggles::{FailureKind, LaunchDarklyTarget, Secret, ToggleTarget as _};
use tracing::Level;

use super::{
    Fake,
    fake::{Reply, TOKEN},
    toggle,
};
use crate::{
    engine::{failure, in_step, start},
    logs::Logs,
    policy::{Policy, users},
};

#[tokio::test]
async fn the_token_and_the_users_are_in_no_log() {
    let (logs, _guard) = Logs::listen();
    let fake = Fake::start().await;
    let policy = Policy::new([("us", "bob-4711")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    for status in [400, 401, 403, 404, 409, 422, 429, 500] {
        fake.intercept(move |sent| {
            let said = format!("{TOKEN} must not write {}", sent.body);
            (sent.method == "PATCH")
                .then(|| Reply::error(status, TOKEN, &said).header("retry-after", "0"))
        });
        policy.set("us", &format!("eve-0815 eve-{status}"));
        let error = failure(&running, "us").await.error;
        assert!(!error.contains(TOKEN) && !error.contains("eve-0815"), "{error}");
        fake.recover();
        running.resync().await;
        in_step(&running, "us").await;
    }
    let shown = format!("{:?}", running.status().await);
    running.shutdown().await;
    assert!(!shown.contains(TOKEN) && !shown.contains("eve-0815"), "{shown}");
    assert_eq!(logs.with(TOKEN, Level::TRACE), [""; 0]);
    assert_eq!(logs.with("bob-4711", Level::INFO), [""; 0]);
    assert_eq!(logs.with("eve-0815", Level::INFO), [""; 0]);
    assert!(!logs.with("wrote the toggle", Level::INFO).is_empty(), "the logs are listened to");
}

#[tokio::test]
async fn a_token_in_a_file_is_read_for_each_request() {
    let fake = Fake::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let token = Secret::file(file.path());
    let base = format!("http://{}", fake.address);
    let target = LaunchDarklyTarget::builder(token).base_uri(base).build().unwrap();
    fs::write(file.path(), "api-expired").unwrap();
    let failure = target.check().await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Permanent);
    fs::write(file.path(), format!("{TOKEN}\n")).unwrap();
    target.check().await.unwrap();
    fs::remove_file(file.path()).unwrap();
    let failure = target.check().await.unwrap_err();
    assert!(failure.to_string().starts_with("cannot read the secret in "), "{failure}");
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let builder = Fake::start().await.target().base_uri("https://ann:hush-pw@ld.example");
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(shown.contains("https://ld.example"), "{shown}");
    assert!(!shown.contains(TOKEN) && !shown.contains("hush-pw"), "{shown}");
}

#[tokio::test]
async fn a_message_that_quotes_a_user_gives_way_to_its_code() {
    let fake = Fake::start().await;
    let target = fake.target().build().unwrap();
    target.prepare(&toggle("us")).await.unwrap();
    for (message, expected) in [
        ("no such context: eve", "400 Bad Request: invalid_request"),
        ("too many targets", "400 Bad Request: too many targets"),
    ] {
        fake.intercept(move |sent| {
            sent.patches("test").then(|| Reply::error(400, "invalid_request", message))
        });
        let failure = target.write(&toggle("us"), &users("eve")).await.unwrap_err().to_string();
        assert!(failure.ends_with(expected), "{failure}");
    }
}
