//! What the provider does when flagd or the network misbehaves: docs/lifecycle.md, "Lost calls and
//! connections". After each fault: no stale value, no panic, no tight loop.

mod races;
mod recovery;

use std::{future::Future, time::Duration};

use crate::support::{
    clock::Clock,
    provider::{
        ALL_CHANGED, boolean, changed, expect, expect_error, near, provider, ready, started, tasks,
        value, watched,
    },
    proxy::gate::TcpGate,
    scripted::{ScriptedServer, StreamMode},
    servers::raw::SilentPeer,
    wait::{PATIENCE, bounded, eventually, no_sooner},
};
use flagstaff::{
    FlagdProvider, ProviderEvent, State,
    flagd::{Events, FlagdOptionsBuilder},
};
use open_feature::EvaluationReason as Reason;
use serde_json::json;
use tonic::Status;

const LOST_AND_FOUND: [ProviderEvent; 3] =
    [ProviderEvent::Stale, ProviderEvent::Ready, ALL_CHANGED];

const BACKOFF: Duration = Duration::from_millis(100);

/// Delays of 100, 200, 250, 250... ms, each at least half of it.
fn steady(port: u16) -> FlagdOptionsBuilder {
    near(port).retry_backoff(BACKOFF).retry_backoff_max(BACKOFF * 5 / 2)
}

/// A provider behind a network, with `on` in its cache as true, while flagd has it as false.
async fn outdated(
    options: impl Fn(FlagdOptionsBuilder) -> FlagdOptionsBuilder,
) -> (ScriptedServer, TcpGate, FlagdProvider, Events) {
    let server = ScriptedServer::start();
    let network = TcpGate::to_port(server.port());
    server.set("on", true);
    let (provider, events) = watched(options(near(network.port()))).await;
    boolean(&provider, "on").await.unwrap();
    server.set("on", false);
    (server, network, provider, events)
}

/// No stale value is served after the reconnection.
async fn nothing_is_outdated(provider: &FlagdProvider) {
    assert_eq!(value(provider, "on").await, (false, Reason::Static));
    assert_eq!(value(provider, "on").await, (false, Reason::Cached));
}

/// There are as many tasks as before the provider existed.
async fn nothing_is_left(provider: FlagdProvider, before: usize) {
    drop(provider);
    eventually("the tasks to end", || tasks() == before).await;
}

/// Like a proxy that cuts connections.
#[tokio::test]
async fn a_network_that_cuts() {
    let before = tasks();
    let (_server, network, provider, mut events) = outdated(|options| options).await;
    network.cut();
    expect(&mut events, LOST_AND_FOUND).await;
    nothing_is_outdated(&provider).await;
    assert_eq!(network.connections().accepted, 2);
    nothing_is_left(provider, before).await;
}

/// A slow connection is not lost.
#[tokio::test]
async fn a_network_that_delays() {
    let (server, network, provider, mut events) = outdated(|options| options).await;
    network.delay(Duration::from_millis(50));
    server.change(&["on"]);
    expect(&mut events, [changed(&["on"])]).await;
    nothing_is_outdated(&provider).await;
    assert_eq!((provider.state(), network.connections().accepted), (State::Ready, 1));
}

/// A proxy that discards bytes without closing the connection is noticed after `streamIdleMs`, once
/// a `keep_alive` was seen.
#[tokio::test]
async fn silence_reveals_a_network_that_swallows_bytes() {
    let before = tasks();
    let idle = Duration::from_millis(300);
    let (server, network, provider, mut events) = outdated(|it| it.stream_idle(idle)).await;
    server.send("keep_alive", None);
    server.change(&["other"]);
    expect(&mut events, [changed(&["other"])]).await;
    network.swallow();
    expect(&mut events, [ProviderEvent::Stale]).await;
    assert_eq!(value(&provider, "on").await.1, Reason::Cached, "STALE reads the cache");
    network.open();
    // Attempts that were swallowed stay deaf; the next one is not affected.
    network.cut();
    expect(&mut events, [ProviderEvent::Ready, ALL_CHANGED]).await;
    nothing_is_outdated(&provider).await;
    nothing_is_left(provider, before).await;
}

/// It accepts connections and sends nothing; a flagd that takes its place is found without a
/// restart.
#[tokio::test]
async fn a_peer_that_says_nothing_is_replaced() {
    let before = tasks();
    let server = ScriptedServer::start();
    server.set("on", true);
    let silent = SilentPeer::start();
    let network = TcpGate::to_port(silent.port());
    let provider = started(near(network.port()).deadline(Duration::from_millis(200))).await;
    assert_eq!(provider.state(), State::Error);
    silent.wait_until("more attempts", |seen| seen.accepted >= 3).await;
    network.lead_to(server.port());
    provider.wait_ready(PATIENCE).await.unwrap();
    assert!(boolean(&provider, "on").await.unwrap().value);
    nothing_is_left(provider, before).await;
}

/// Attempts come no faster than the backoff allows: after N failures in a row, at least half of
/// each of the N-1 delays between them has passed.
async fn no_tight_loop<T>(server: &ScriptedServer, starting: impl Future<Output = T>) -> T {
    const ATTEMPTS: usize = 6;
    let attempts = async {
        let started = starting.await;
        server.wait_until("attempts", |seen| seen.streams_opened() >= ATTEMPTS).await;
        started
    };
    let least = BACKOFF / 2 * u32::try_from(ATTEMPTS - 1).unwrap();
    no_sooner("the last attempt", least, attempts).await
}

/// It is never ready. No tight loop: the attempts are counted.
#[tokio::test]
async fn a_server_that_closes_each_stream_at_once() {
    for mode in [StreamMode::CloseAtOnce, StreamMode::Fail(Status::deadline_exceeded("at once"))] {
        let server = ScriptedServer::builder().streams(mode).start();
        server.set("on", true);
        let provider = no_tight_loop(&server, started(steady(server.port()))).await;
        assert_eq!((provider.state(), provider.is_fatal()), (State::Error, false));
        server.streams(StreamMode::Ready);
        provider.wait_ready(PATIENCE).await.unwrap();
    }
}

/// Like a proxy: each of these streams was ready, and the end of each is a loss.
#[tokio::test]
async fn a_server_that_says_ready_and_closes_each_stream() {
    let server = ScriptedServer::builder().streams(StreamMode::ReadyThenClose).start();
    let provider = provider(steady(server.port()));
    let mut events = provider.events();
    no_tight_loop(&server, crate::support::provider::initialize(&provider)).await;
    expect(&mut events, [ProviderEvent::Ready]).await;
    expect(&mut events, LOST_AND_FOUND).await;
    let reconnections = provider.stats().reconnections;
    assert!(reconnections >= 4, "{reconnections}");
}

/// docs/lifecycle.md, "Lost calls and connections": a stream that flagd ends with
/// `DEADLINE_EXCEEDED` (its `--stream-deadline`) is replaced immediately, without STALE. The two do
/// not overlap, so the cache is cleared when the new one is ready.
#[tokio::test]
async fn a_server_with_a_stream_deadline_of_its_own() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let (provider, mut events) = watched(near(server.port())).await;
    for rotation in 1..=3 {
        boolean(&provider, "on").await.unwrap();
        // The stream must be older than `retryBackoffMs`, or the server counts as broken.
        Clock::skip(Duration::from_millis(40)).await;
        server.set("on", rotation % 2 == 0);
        server.end_streams(Status::deadline_exceeded("stream closed due to server-side timeout"));
        expect(&mut events, [ALL_CHANGED]).await;
        assert_eq!(provider.state(), State::Ready);
        assert_eq!(value(&provider, "on").await, (rotation % 2 == 0, Reason::Static));
        assert_eq!(server.observed().streams_opened(), rotation + 1);
    }
    assert_eq!(server.observed().connections.accepted, 1);
}

/// flagd sends GOAWAY when it stops; calls in flight may end, the next one needs another
/// connection.
#[tokio::test]
async fn a_server_that_sends_goaway() {
    let before = tasks();
    let server = ScriptedServer::start();
    server.set("on", true);
    let (provider, mut events) = watched(near(server.port())).await;
    let gate = server.gate("on");
    let asked = tokio::spawn({
        let provider = provider.clone();
        async move { value(&provider, "on").await }
    });
    gate.wait_for(1).await;
    server.goaway();
    gate.release();
    assert_eq!(asked.await.unwrap(), (true, Reason::Static), "the call in flight is finished");
    server.set("on", false);
    bounded("the shutdown", server.shutdown()).await;
    expect(&mut events, [ProviderEvent::Stale]).await;
    server.restart();
    expect(&mut events, [ProviderEvent::Ready, ALL_CHANGED]).await;
    assert_eq!(value(&provider, "on").await, (false, Reason::Static));
    nothing_is_left(provider, before).await;
}

/// docs/flagd.md, "Event stream": events with an empty or unknown type are ignored.
#[tokio::test]
async fn unknown_events_are_ignored() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let (provider, mut events) = watched(near(server.port())).await;
    boolean(&provider, "on").await.unwrap();
    for kind in ["", "unknown", "CONFIGURATION_CHANGE", "provider_ready", "keep_alive"] {
        server.send(kind, None);
        server.send_json(kind, &json!({ "flags": { "on": { "type": "update" } } }));
    }
    server.change(&["last"]);
    expect(&mut events, [changed(&["last"])]).await;
    assert_eq!(value(&provider, "on").await, (true, Reason::Cached));
    assert_eq!((provider.state(), server.observed().streams_opened()), (State::Ready, 1));
}

/// Other events may come before `provider_ready`.
#[tokio::test]
async fn nothing_counts_as_connected_before_ready() {
    let server = ScriptedServer::builder().streams(StreamMode::Silent).start();
    let provider = provider(near(server.port()));
    let mut events = provider.events();
    let handle = provider.clone();
    let initializing =
        tokio::spawn(async move { crate::support::provider::initialize(&handle).await });
    server.wait_for_streams(1).await;
    server.change(&["on"]);
    server.send("keep_alive", None);
    server.send("provider_shutdown", None);
    // The shutdown has been read, and so has what came before it.
    let (_, fatal) = expect_error(&mut events).await;
    assert!(!fatal);
    initializing.await.unwrap();
}

/// As long as flagd responds, no evaluation fails while streams come and go: a new connection
/// replaces the old one at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_streams_costs_no_evaluation() {
    let server = ScriptedServer::start();
    server.set("on", crate::support::scripted::Flag::new(true).reason("TARGETING_MATCH"));
    let provider = ready(near(server.port()).retry_backoff_max(Duration::from_millis(20))).await;
    let mut events = provider.events();
    expect(&mut events, [ProviderEvent::Ready]).await;
    let asking = tokio::spawn({
        let provider = provider.clone();
        async move {
            while provider.stats().reconnections < 50 {
                assert!(boolean(&provider, "on").await.unwrap().value);
            }
        }
    });
    for _ in 0..50 {
        server.wait_for_streams(1).await;
        server.end_streams(None);
        expect(&mut events, LOST_AND_FOUND).await;
    }
    asking.await.unwrap();
}
