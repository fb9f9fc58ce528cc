//! Streams that reach their deadline, which is not a loss.

use std::time::Duration;

use flagstaff::{ProviderEvent, State};
use tonic::Status;

use super::{of, switches};
use crate::support::{
    clock::Clock,
    provider::{changed, expect, next, ready, value, watched},
    servers::sync_server::SyncServer,
    wait::{eventually, no_sooner},
};

/// docs/lifecycle.md, "Lost calls and connections": it is replaced before it ends; the state does
/// not change.
#[tokio::test]
async fn a_stream_is_replaced_before_its_deadline() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let (provider, mut events) = watched(of(&server).stream_deadline(Duration::from_secs(2))).await;
    server.wait_for_streams(3).await;
    server.set(&switches(&[("on", false)]));
    // Neither a loss nor a spurious change came before.
    expect(&mut events, [changed(&["on"])]).await;
    assert!(!value(&provider, "on").await.0);
    let stats = provider.stats();
    assert_eq!((stats.state, stats.reconnections), (State::Ready, 0));
    assert_eq!(server.seen().connections.accepted, 1, "all over one connection");
    eventually("the old streams to be closed", || server.open_streams() == 1).await;
}

#[tokio::test]
async fn no_update_is_lost_while_streams_are_replaced() {
    let server = SyncServer::start(&switches(&[("on", false)]));
    let options = of(&server).stream_deadline(Duration::from_millis(200));
    let (provider, mut events) = watched(options).await;
    let mut on = false;
    while server.seen().streams.len() < 12 {
        on = !on;
        server.set(&switches(&[("on", on)]));
        expect(&mut events, [changed(&["on"])]).await;
        assert_eq!(value(&provider, "on").await.0, on);
    }
}

/// If the server is busy, the old stream serves until its end and is then lost.
#[tokio::test]
async fn a_successor_that_does_not_open_leaves_the_old_stream_to_its_end() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let options = of(&server).stream_deadline(Duration::from_secs(1));
    let (provider, mut events) = watched(options).await;
    server.set_refusal(Some(Status::resource_exhausted("too many streams")));
    server.wait_for_streams(2).await;
    server.set(&switches(&[("on", false)]));
    expect(&mut events, [changed(&["on"])]).await;
    expect(&mut events, [ProviderEvent::Stale]).await;
    server.set_refusal(None);
    expect(&mut events, [ProviderEvent::Ready]).await;
    assert!(!value(&provider, "on").await.0);
}

/// flagd's own `--stream-deadline`.
#[tokio::test(start_paused = true)]
async fn a_ready_server_that_ends_streams_at_its_deadline_is_not_lost() {
    let clock = Clock::stopped();
    let server = SyncServer::start(&switches(&[("on", true)]));
    let (provider, mut events) = watched(of(&server)).await;
    let over = Status::deadline_exceeded("stream closed due to server-side timeout");
    for streams in 2..5 {
        // Younger than the shortest delay, it would count as ended at once.
        clock.pass(provider.options().retry_backoff()).await;
        server.end_streams(Some(&over));
        clock.still("the next stream", server.wait_for_streams(streams)).await;
        // With the change, the provider has the stream and measures its age.
        server.set(&switches(&[("on", streams % 2 == 1)]));
        assert_eq!(clock.still("an event", next(&mut events)).await, changed(&["on"]));
    }
}

/// docs/lifecycle.md, "Lost calls and connections": the delay between attempts.
#[tokio::test]
async fn a_server_that_ends_streams_at_once_is_retried_after_a_delay() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let backoff = Duration::from_millis(300);
    let options = of(&server).retry_backoff(backoff).retry_backoff_max(backoff);
    let provider = ready(options).await;
    let over = Status::deadline_exceeded("stream closed due to server-side timeout");
    let five_streams = eventually("five streams", || {
        server.end_streams(Some(&over));
        server.seen().streams.len() >= 5
    });
    // Jitter takes off up to a half of each delay.
    no_sooner("five streams", 4 * backoff / 2, five_streams).await;
    assert!(value(&provider, "on").await.0);
}
