//! Waits for a condition, never for a time, and within a bound whose failure names the condition.

use std::{
    fmt::Debug,
    future::Future,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    time::{self, sleep, timeout},
};

/// Long enough for a loaded machine; only a failing test takes this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The future's output; panics, naming `what`, when it takes longer than [`PATIENCE`].
pub async fn bounded<F: Future>(what: &str, future: F) -> F::Output {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// The future's output; panics, naming `what`, when it comes before `least` has passed, or not
/// within [`PATIENCE`]. A slow machine cannot break a lower bound.
pub async fn no_sooner<F: Future>(what: &str, least: Duration, future: F) -> F::Output {
    let start = time::Instant::now();
    let output = bounded(what, future).await;
    let passed = start.elapsed();
    assert!(passed >= least, "{what} came after {passed:?}, before {least:?}");
    output
}

/// Waits until `condition` holds, by polling; panics, naming `what`, if it never does.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    bounded(what, async {
        while !condition() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Waits until the asynchronous `condition` holds, by polling; panics, naming `what`, if it never
/// does.
pub async fn becomes_true(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    bounded(what, async {
        while !condition().await {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Like [`eventually`], for synchronous code.
pub fn block_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the watched state satisfies `condition`; panics with the state last seen.
pub async fn until<S: Debug>(
    watched: &watch::Sender<S>,
    what: &str,
    condition: impl FnMut(&S) -> bool,
) {
    let mut receiver = watched.subscribe();
    let satisfied = timeout(PATIENCE, receiver.wait_for(condition)).await.is_ok();
    assert!(satisfied, "waited {PATIENCE:?} for {what}; last seen: {:?}", watched.borrow());
}
