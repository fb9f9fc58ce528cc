//! Engines of sources and targets that a program has made.

use std::{
    error::Error,
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use flagstaff::{
    http::Client,
    optoggles::{
        Engine, Failure, FlagdTarget, Held, Prepared, Removal, Toggle, ToggleTarget, Users,
    },
};
use tracing::Level;

use crate::{
    engine::{failure, get, in_step, start, toggle},
    logs::Logs,
    policy::Policy,
    support::wait::eventually,
};

#[tokio::test]
async fn management_has_no_confirmations_which_nobody_could_give() {
    let engine = Engine::builder()
        .target("target", FlagdTarget::builder().build())
        .management(([127, 0, 0, 1], 0))
        .build()
        .unwrap();
    let running = engine.start().await.unwrap();
    let url = format!("http://{}", running.management_address().unwrap());
    assert_eq!(get(&format!("{url}/details")).await.0, 200);
    let request = http::Request::post(format!("{url}/confirm/a")).body(Vec::new()).unwrap();
    let response = Client::builder().without_proxy().build().unwrap().send(request).await.unwrap();
    assert_eq!(response.status(), 404);
    running.shutdown().await;
}

/// An error that cannot be shown.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words for it")
    }
}

impl Error for Unspeakable {}

/// A target that does something wrong at its first write.
struct Wrong(fn() -> Failure, AtomicUsize);

#[async_trait]
impl ToggleTarget for Wrong {
    async fn prepare(&self, _: &Toggle) -> Result<Prepared, Failure> {
        Ok(Prepared::found(Held::Unknown))
    }

    async fn write(&self, _: &Toggle, _: &Users) -> Result<(), Failure> {
        if self.1.fetch_add(1, Ordering::Relaxed) == 0 { Err((self.0)()) } else { Ok(()) }
    }

    async fn read(&self, _: &Toggle) -> Result<Held, Failure> {
        Ok(Held::Unknown)
    }

    async fn remove(&self, _: &Toggle, _: Removal) -> Result<(), Failure> {
        Ok(())
    }

    async fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_of_the_engine_is_logged_with_its_message() {
    let (logs, _guard) = Logs::listen();
    let wrong = Wrong(|| Failure::permanent(Unspeakable), AtomicUsize::new(0));
    let running = start(&Policy::new([("a", "bob")]), wrong, [toggle("a")]).await;
    eventually("the message", || !logs.with("no words for it", Level::ERROR).is_empty()).await;
    assert_eq!(running.status().await, None);
    running.shutdown().await;
}

#[tokio::test]
async fn a_target_that_panics_is_tried_again() {
    let wrong = Wrong(|| panic!("out of order: bob"), AtomicUsize::new(0));
    let running = start(&Policy::new([("a", "bob")]), wrong, [toggle("a")]).await;
    let failure = failure(&running, "a").await;
    assert!(failure.error.contains("panicked") && !failure.error.contains("bob"));
    in_step(&running, "a").await;
    running.shutdown().await;
}
