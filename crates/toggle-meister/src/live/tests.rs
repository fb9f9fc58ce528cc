//! What waits for a change that is taken in, and what does not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use axum::http::Request;
use flagstaff::http::Client;
use service::settings::Values;
use tokio::{sync::oneshot, time::sleep};

use crate::{
    model::environment,
    serve,
    settings::{OPTIONS, Settings},
};

/// Only a failing test takes this long.
const LONG: Duration = Duration::from_secs(30);

/// The runtime has one thread, so whatever blocked it would block the request.
#[tokio::test]
async fn an_evaluation_does_not_wait_for_a_change_that_is_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("db").display().to_string();
    let free = "127.0.0.1:0".to_owned();
    let mut options = HashMap::from([("database", database), ("dev", "true".to_owned())]);
    for port in ["listen", "flags-evaluation", "flags-sync", "flags-ofrep"] {
        options.insert(port, free.clone());
    }
    let values = Values::read(OPTIONS, &options, None, |_| None).unwrap();
    let running = serve::start(&Settings::from_values(&values).unwrap()).await.unwrap();
    let store = running.store().clone();

    // Whoever reads the world keeps a change from being put into it.
    let (reads, is_read) = oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let live = store.live.clone();
    let reader = thread::spawn(move || {
        let _world = live.world();
        reads.send(()).unwrap();
        let _ = released.recv_timeout(LONG);
    });
    is_read.await.unwrap();
    let change = tokio::spawn({
        let store = store.clone();
        async move { store.write(|sql| environment::create(sql, "jane", "stage")).await }
    });
    // A reader cannot get in once somebody waits to write.
    let deadline = Instant::now() + LONG / 2;
    while store.live.0.world.try_read().is_ok() {
        assert!(Instant::now() < deadline, "nobody puts the change into the world");
        sleep(Duration::from_millis(1)).await;
    }
    let url = format!("http://{}/api/envs/production/toggles?feature=f", running.address());
    let client = Client::builder().without_proxy().build().unwrap();
    let response = client.send(Request::get(url).body("").unwrap()).await.unwrap();
    assert_eq!(response.into_body().bytes().await.unwrap(), &br#"{"f":false}"#[..]);
    assert!(!reader.is_finished() && !change.is_finished(), "the change waits, and it does not");

    release.send(()).unwrap();
    change.await.unwrap().unwrap();
    assert!(store.live.world().environments.contains("stage"));
    reader.join().unwrap();
    running.shutdown().await;
}
