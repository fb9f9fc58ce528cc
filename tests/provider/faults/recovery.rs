//! After an outage, READY means that calls are made: the circuit breaker closes when the stream is
//! ready again, except if only calls hang while streams work.

use std::time::{Duration, Instant};

use crate::support::{
    provider::{boolean, error, near, ready},
    proxy::gate::TcpGate,
    scripted::{Flag, ScriptedServer, StreamMode},
    wait::{PATIENCE, eventually},
};
use flagstaff::{FlagdProvider, State, flagd::FlagdOptionsBuilder};
use open_feature::{EvaluationError, EvaluationErrorCode as Code};
use tokio::task::JoinSet;

/// The deadline of calls, which is short because they are to miss it.
const DEADLINE: Duration = Duration::from_millis(200);

/// A server whose flag is never cached, and a network before it.
fn server() -> (ScriptedServer, TcpGate) {
    let server = ScriptedServer::start();
    server.set("on", Flag::new(true).reason("TARGETING_MATCH"));
    let network = TcpGate::to_port(server.port());
    (server, network)
}

/// Options with which ERROR follows the loss of the stream.
fn impatient(network: &TcpGate) -> FlagdOptionsBuilder {
    near(network.port()).deadline(DEADLINE).retry_grace_period(Duration::from_millis(20))
}

/// Calls, one after the other, of which none gets a response: 20, and over several deadlines.
async fn calls_fail(provider: &FlagdProvider) {
    let start = Instant::now();
    let mut calls = 0;
    // A slow machine only makes fewer calls in this time, never fewer than 20.
    while calls < 20 || start.elapsed() < DEADLINE * 4 {
        error(provider, "on").await;
        calls += 1;
    }
}

/// The errors of 50 concurrent calls.
async fn burst(provider: &FlagdProvider) -> Vec<EvaluationError> {
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let provider = provider.clone();
        calls.spawn(async move { boolean(&provider, "on").await });
    }
    calls.join_all().await.into_iter().filter_map(Result::err).collect()
}

/// Calls that the circuit breaker rejected.
async fn rejected(provider: &FlagdProvider) -> usize {
    let is_rejected = |error: &EvaluationError| {
        error.code == Code::ProviderNotReady
            && error.message.as_ref().is_some_and(|text| text.contains("maxUnansweredCalls"))
    };
    burst(provider).await.iter().filter(|error| is_rejected(error)).count()
}

/// READY, and no call fails as unavailable, whatever the outcome of earlier ones.
async fn all_is_well(provider: &FlagdProvider) {
    provider.wait_ready(PATIENCE).await.unwrap();
    let mut errors = burst(provider).await;
    errors.retain(|error| error.code == Code::ProviderNotReady);
    assert!(errors.is_empty(), "{} of 50 calls: {:?}", errors.len(), errors.first());
}

/// A proxy accepts connections and closes them, since its flagd is down. Several times, since one
/// recovery must not prevent the next.
#[tokio::test]
async fn a_burst_after_a_proxy_had_nobody_behind_it() {
    let (server, network) = server();
    let provider = ready(impatient(&network)).await;
    for _ in 0..3 {
        server.stop();
        calls_fail(&provider).await;
        eventually("ERROR", || provider.state() == State::Error).await;
        server.restart();
        all_is_well(&provider).await;
    }
}

/// flagd keeps its connections and does not respond; the same without a call between two outages.
#[tokio::test]
async fn a_burst_after_flagd_hung() {
    let (server, network) = server();
    let provider = ready(impatient(&network)).await;
    for bursts in [true, false, true] {
        server.hang_all();
        server.streams(StreamMode::Hang);
        calls_fail(&provider).await;
        assert_ne!(provider.state(), State::Ready, "the circuit breaker is open");
        server.recover_all();
        server.streams(StreamMode::Ready);
        provider.wait_ready(PATIENCE).await.unwrap();
        if bursts {
            all_is_well(&provider).await;
        }
    }
}

/// The network swallows everything, and earlier connections never recover.
#[tokio::test]
async fn a_burst_after_the_network_swallowed_everything() {
    let (_server, network) = server();
    let provider = ready(impatient(&network)).await;
    network.swallow();
    calls_fail(&provider).await;
    assert_ne!(provider.state(), State::Ready, "the circuit breaker is open");
    network.open();
    all_is_well(&provider).await;
}

/// Where streams work and only calls hang, a stream that is ready proves nothing: the circuit stays
/// open, and the stream is not opened again and again.
#[tokio::test]
async fn streams_that_work_do_not_close_the_circuit_of_calls_that_hang() {
    let (server, network) = server();
    let provider = ready(impatient(&network).deadline(DEADLINE * 2)).await;
    server.hang_all();
    for _ in 0..5 {
        error(&provider, "on").await;
    }
    server.wait_until("another stream", |seen| seen.streams_opened() == 2).await;
    provider.wait_ready(PATIENCE).await.unwrap();
    for _ in 0..6 {
        assert_eq!(rejected(&provider).await, 49, "one call probes");
    }
    assert_eq!((provider.stats().reconnections, provider.state()), (1, State::Ready));
    server.recover_all();
    boolean(&provider, "on").await.unwrap();
    all_is_well(&provider).await;
}

/// A connection that is closed during a call in ERROR takes no time, so it is not a sign of a hang.
#[tokio::test]
async fn calls_that_are_lost_at_once_do_not_open_the_circuit() {
    let (server, network) = server();
    let provider = ready(impatient(&network)).await;
    server.stop();
    eventually("ERROR", || provider.state() == State::Error).await;
    calls_fail(&provider).await;
    let message = error(&provider, "on").await.message.unwrap();
    assert!(!message.contains("maxUnansweredCalls"), "{message}");
    assert_eq!(rejected(&provider).await, 0);
}
