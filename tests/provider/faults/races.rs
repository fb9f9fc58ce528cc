//! Results that arrive after their flag has changed: no stale value enters the cache
//! (docs/resolvers.md, "The cache").

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::support::{
    provider::{ALL_CHANGED, changed, expect, near, value, watched},
    scripted::{Gate, ScriptedServer, StreamMode},
    wait::bounded,
};
use flagstaff::{FlagdProvider, ProviderEvent, flagd::Events};
use open_feature::{EvaluationContext, EvaluationReason as Reason, provider::FeatureProvider};
use tokio::task::JoinHandle;
use tonic::Status;

/// An evaluation in flight.
fn asking(provider: &FlagdProvider, key: &'static str) -> JoinHandle<(bool, Reason)> {
    let provider = provider.clone();
    tokio::spawn(async move { value(&provider, key).await })
}

/// A call whose response, `true`, is computed and withheld by the gate.
struct InFlight {
    server: ScriptedServer,
    provider: FlagdProvider,
    events: Events,
    gate: Gate,
    asked: JoinHandle<(bool, Reason)>,
}

async fn in_flight() -> InFlight {
    let server = ScriptedServer::start();
    server.set("on", true);
    let (provider, events) = watched(near(server.port())).await;
    let gate = server.gate("on");
    let asked = asking(&provider, "on");
    gate.wait_for(1).await;
    server.recover("on");
    InFlight { server, provider, events, gate, asked }
}

/// "An evaluation that was in flight when its flag was invalidated must not put the old value
/// back".
#[tokio::test]
async fn a_response_from_before_a_change_is_not_cached() {
    let InFlight { server, provider, mut events, gate, asked } = in_flight().await;
    server.update("on", false);
    expect(&mut events, [changed(&["on"])]).await;
    gate.release();
    assert_eq!(asked.await.unwrap(), (true, Reason::Static), "its caller gets what flagd said");
    assert_eq!(provider.stats().cache_entries, 0);
    assert_eq!(value(&provider, "on").await, (false, Reason::Static));
    assert_eq!(value(&provider, "on").await, (false, Reason::Cached));
    assert_eq!(server.observed().unary(), 2);
}

/// The same race with a reconnection in place of the change: whatever happened meanwhile was not
/// reported. Only the stream is lost; the call's connection stays open.
#[tokio::test]
async fn a_response_from_before_a_reconnection_is_not_cached() {
    let InFlight { server, provider, mut events, gate, asked } = in_flight().await;
    server.set("on", false);
    server.end_streams(None);
    expect(&mut events, [ProviderEvent::Stale, ProviderEvent::Ready, ALL_CHANGED]).await;
    gate.release();
    assert_eq!(asked.await.unwrap(), (true, Reason::Static));
    assert_eq!(provider.stats().cache_entries, 0);
    assert_eq!(value(&provider, "on").await, (false, Reason::Static));
}

/// A response to a call that began in READY and ends in STALE: no invalidation would arrive.
#[tokio::test]
async fn a_response_that_arrives_in_stale_is_not_cached() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let (provider, mut events) = watched(near(server.port())).await;
    server.streams(StreamMode::Fail(Status::unavailable("away")));
    let gate = server.gate("on");
    let asked = asking(&provider, "on");
    gate.wait_for(1).await;
    server.end_streams(None);
    expect(&mut events, [ProviderEvent::Stale]).await;
    gate.release();
    assert_eq!(asked.await.unwrap(), (true, Reason::Static));
    assert_eq!(provider.stats().cache_entries, 0);
}

/// Evaluations from many tasks at once, while the flag changes: no evaluation returns a value older
/// than a reported change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_never_read_after_its_change_was_reported() {
    let server = ScriptedServer::start();
    server.set("number", 0);
    let (provider, mut events) = watched(near(server.port())).await;
    let read = async |provider: &FlagdProvider| {
        let context = EvaluationContext::default();
        bounded("a number", provider.resolve_int_value("number", &context)).await.unwrap().value
    };
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (provider, done) = (provider.clone(), done.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    read(&provider).await;
                    tokio::task::yield_now().await; // a cached answer never waits
                }
            })
        })
        .collect();
    for number in 1..=200 {
        server.update("number", number);
        expect(&mut events, [changed(&["number"])]).await;
        assert_eq!(read(&provider).await, number);
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}
