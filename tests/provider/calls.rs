//! The unary call itself: its deadline, its headers, its retries, and which calls are made while
//! flagd is unreachable or hangs (docs/lifecycle.md, "Lost calls and connections").

use std::{error::Error, sync::Arc, time::Duration};

use crate::support::{
    clock::Clock,
    provider::{
        ALL_CHANGED, assert_contains, boolean, connected, error, expect, message, near, ready,
        started, swift, value,
    },
    proxy::gate::TcpGate,
    scripted::{Call, Flag, ScriptedServer, StreamMode, Versions},
    servers::raw::PlainHttp,
    servers::resetting::ResettingServer,
    wait::{PATIENCE, bounded, eventually, no_sooner},
};
use flagstaff::{
    ContextSource, FlagdProvider, ProviderEvent, State, Subject, async_trait,
    flagd::FlagdOptionsBuilder,
};
use h2::Reason as Reset;
use open_feature::{EvaluationErrorCode as Code, EvaluationReason as Reason};
use serde_json::{Map, Value};
use tokio::task::JoinSet;
use tonic::Status;

fn general() -> Code {
    Code::General("GENERAL".to_owned())
}

/// The time that the call's header grants the server.
fn granted(call: &Call) -> Duration {
    let header = call.header("grpc-timeout").unwrap();
    let (count, unit) = header.split_at(header.len() - 1);
    let count: u64 = count.parse().unwrap();
    match unit {
        "n" => Duration::from_nanos(count),
        "u" => Duration::from_micros(count),
        "m" => Duration::from_millis(count),
        "S" => Duration::from_secs(count),
        _ => panic!("{header}"),
    }
}

/// The deadline bounds the whole call on every transport, and is sent as `grpc-timeout`.
/// docs/flagd.md, "Status codes": the message names the status, the target and the deadline.
async fn the_deadline_bounds_a_call(
    server: &ScriptedServer,
    options: FlagdOptionsBuilder,
    to: &str,
) {
    let deadline = Duration::from_secs(1);
    server.hang("hangs");
    server.set("on", true);
    let provider = connected(options.deadline(deadline)).await;
    let late = no_sooner("the deadline", deadline, error(&provider, "hangs")).await;
    let text = message(&late, &general());
    assert_contains(&text, &["DEADLINE_EXCEEDED", to, "1s", "deadlineMs"]);
    assert!(boolean(&provider, "on").await.unwrap().value, "flagd is not to blame");
    for call in server.calls().iter().filter(|call| !call.flag_key.is_empty()) {
        let granted = granted(call);
        assert!(granted <= deadline && granted > Duration::ZERO, "{granted:?}");
    }
}

#[tokio::test]
async fn the_deadline_bounds_a_call_over_tcp() {
    for versions in [Versions::V1, Versions::V2] {
        let server = ScriptedServer::builder().versions(versions).start();
        let target = format!("127.0.0.1:{}", server.port());
        the_deadline_bounds_a_call(&server, near(server.port()), &target).await;
    }
}

#[tokio::test]
async fn the_deadline_bounds_a_call_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flagd.sock");
    let server = ScriptedServer::builder().socket(&path).start();
    the_deadline_bounds_a_call(&server, swift().socket_path(&path), path.to_str().unwrap()).await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn the_deadline_bounds_a_call_over_tls() {
    let certificates = crate::support::certs::Certificates::new();
    let server = ScriptedServer::builder().tls(certificates.server_config()).start();
    let target = format!("localhost:{}", server.port());
    let options = near(server.port()).host("localhost").tls(true).cert_path(certificates.ca());
    the_deadline_bounds_a_call(&server, options, &target).await;
}

/// A network that withholds bytes counts like a server that does.
#[tokio::test]
async fn the_deadline_bounds_a_call_over_a_network_that_swallows_it() {
    let server = ScriptedServer::start();
    let network = TcpGate::to_port(server.port());
    let provider = connected(near(network.port()).deadline(Duration::from_secs(1))).await;
    network.swallow();
    let late = error(&provider, "on").await;
    assert_contains(&message(&late, &general()), &["DEADLINE_EXCEEDED", "1s"]);
    assert_eq!(server.observed().unary(), 0);
}

/// A context source that takes its time, and adds nothing.
struct Slow(Duration);

#[async_trait]
impl ContextSource for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    async fn fields(
        &self,
        _: Subject<'_>,
    ) -> Result<Arc<Map<String, Value>>, Box<dyn Error + Send + Sync>> {
        // It stands for a slow system, and waits for nothing.
        tokio::time::sleep(self.0).await;
        Ok(Arc::default())
    }
}

/// docs/resolvers.md, "Fields from elsewhere": what the source takes is not left for the call.
#[tokio::test]
async fn a_context_source_and_the_call_share_the_deadline() {
    let server = ScriptedServer::start();
    server.hang("hangs");
    let (deadline, slow) = (Duration::from_secs(3), Duration::from_secs(1));
    let options = near(server.port()).deadline(deadline).build_with_env(|_| None).unwrap();
    let provider = FlagdProvider::new(options).with_context_source(Slow(slow));
    provider.start().await;
    provider.wait_ready(PATIENCE).await.unwrap();
    let late = no_sooner("the deadline", deadline, error(&provider, "hangs")).await;
    assert_contains(&message(&late, &general()), &["DEADLINE_EXCEEDED"]);
    let calls = server.calls();
    let call = calls.iter().find(|call| call.flag_key == "hangs").unwrap();
    let granted = granted(call);
    assert!(granted <= deadline - slow && granted > Duration::ZERO, "{granted:?}");
}

/// docs/options.md: with `deadlineMs` 0 calls are unbounded; `clock.rs` shows that no default
/// applies either.
#[tokio::test]
async fn without_a_deadline_no_timeout_is_sent() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let provider = connected(near(server.port()).deadline(Duration::ZERO)).await;
    boolean(&provider, "on").await.unwrap();
    for call in server.calls() {
        assert_eq!(call.header("grpc-timeout"), None, "{call:?}");
    }
    server.fail("on", Status::aborted("why"));
    server.change(&["on"]);
    eventually("the change", || provider.stats().cache_entries == 0).await;
    assert_contains(&message(&error(&provider, "on").await, &general()), &["without a deadline"]);
}

/// docs/flagd.md, "Selectors"; and the options `headers` and `authority`.
#[tokio::test]
async fn headers_and_authority_go_on_every_call_and_on_the_stream() {
    for versions in [Versions::V1, Versions::V2] {
        let server = ScriptedServer::builder().versions(versions).start();
        server.set("on", true);
        let options = near(server.port())
            .selector("flagSetId=shop")
            .header("authorization", "Bearer secret".to_owned())
            .header("X-Tenant", "blue".to_owned())
            .authority("flags.example:81");
        let provider = ready(options).await;
        assert!(!format!("{provider:?}").contains("secret"));
        boolean(&provider, "on").await.unwrap();
        error(&provider, "missing").await;
        let calls = server.calls();
        assert_eq!(calls.len(), 3, "a stream and two calls");
        for call in calls {
            assert_eq!(call.header("flagd-selector"), Some("flagSetId=shop"));
            assert_eq!(call.header("authorization"), Some("Bearer secret"));
            assert_eq!(call.header("x-tenant"), Some("blue"));
            assert_eq!(call.authority.unwrap().as_str(), "flags.example:81");
        }
    }
}

/// Without these options there are no such headers, and the authority is host and port.
#[tokio::test]
async fn nothing_is_sent_without_its_option() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    error(&provider, "missing").await;
    for call in server.calls() {
        assert_eq!(call.header("flagd-selector"), None);
        assert_eq!(call.authority.unwrap().as_str(), format!("127.0.0.1:{}", server.port()));
    }
}

/// A provider behind a network, with a call for `on` under way that flagd withholds.
struct Withheld {
    server: ScriptedServer,
    network: TcpGate,
    gate: crate::support::scripted::Gate,
    asked: tokio::task::JoinHandle<Result<bool, open_feature::EvaluationError>>,
}

async fn withheld() -> (FlagdProvider, Withheld) {
    withheld_for(PATIENCE).await
}

async fn withheld_for(deadline: Duration) -> (FlagdProvider, Withheld) {
    let server = ScriptedServer::start();
    server.set("on", true);
    let network = TcpGate::to_port(server.port());
    let provider = connected(near(network.port()).deadline(deadline)).await;
    let gate = server.gate("on");
    let asked = tokio::spawn({
        let provider = provider.clone();
        async move { boolean(&provider, "on").await.map(|details| details.value) }
    });
    gate.wait_for(1).await;
    (provider, Withheld { server, network, gate, asked })
}

/// docs/lifecycle.md, "Lost calls and connections": it is retried until its deadline.
#[tokio::test]
async fn a_call_lost_with_its_connection_is_retried() {
    let (_provider, Withheld { server, network, gate, asked }) = withheld().await;
    network.cut();
    server.wait_until("the second attempt", |seen| seen.unary() == 2).await;
    gate.wait_for(1).await;
    gate.release();
    assert!(asked.await.unwrap().unwrap());
    assert_eq!(server.observed().unary(), 2);
}

/// The next connection can be retired as well, and so can the one after it.
#[tokio::test]
async fn a_call_lost_repeatedly_is_retried_each_time() {
    const LOSSES: usize = 5;
    let (_provider, Withheld { server, network, gate, asked }) = withheld().await;
    for lost in 1..=LOSSES {
        network.cut();
        server.wait_until("the next attempt", |seen| seen.unary() == lost + 1).await;
        gate.wait_for(1).await;
    }
    gate.release();
    assert!(asked.await.unwrap().unwrap());
    assert_eq!(server.observed().unary(), LOSSES + 1);
}

/// Also over a network that is down for a moment, as while a server restarts.
#[tokio::test]
async fn a_lost_call_waits_for_a_server_that_restarts() {
    let (_provider, Withheld { server, network, gate, asked }) = withheld().await;
    network.close();
    server.wait_until("the end of the connections", |seen| seen.connections.open == 0).await;
    network.open();
    server.wait_until("the second attempt", |seen| seen.unary() == 2).await;
    gate.wait_for(1).await;
    gate.release();
    assert!(asked.await.unwrap().unwrap());
}

/// The error is that of a lost connection: `PROVIDER_NOT_READY`.
#[tokio::test(start_paused = true)]
async fn a_lost_call_ends_with_its_deadline() {
    let deadline = Duration::from_secs(1);
    let clock = Clock::stopped();
    let withheld = clock.still("the call", withheld_for(deadline)).await;
    let (_provider, Withheld { network, asked, .. }) = withheld;
    network.close();
    // Connections fail immediately, so time passes only in the delays between the attempts.
    drop(clock);
    let lost = no_sooner("the error", deadline / 2, asked).await.unwrap().unwrap_err();
    let target = format!("127.0.0.1:{}", network.port());
    assert_contains(&message(&lost, &Code::ProviderNotReady), &["connect", &target]);
}

/// A call that the server rejects before processing it (REFUSED_STREAM) is retried like a lost one.
#[tokio::test]
async fn a_refused_stream_is_retried() {
    let server = ResettingServer::start();
    let provider = ready(near(server.port())).await;
    server.reset([Reset::REFUSED_STREAM; 5]);
    assert!(boolean(&provider, "on").await.unwrap().value);
    assert_eq!((server.calls(), provider.state()), (6, State::Ready));
}

/// A server that resets a call for another reason is likely to do so again: it is retried once.
#[tokio::test]
async fn a_call_that_is_reset_is_retried_once() {
    let server = ResettingServer::start();
    let provider = ready(near(server.port())).await;
    for reason in [Reset::INTERNAL_ERROR, Reset::CANCEL, Reset::PROTOCOL_ERROR] {
        server.reset([reason]);
        assert!(boolean(&provider, "on").await.unwrap().value);
        assert_eq!(server.calls(), 2);
        server.reset([reason; 100]);
        let error = error(&provider, "on").await;
        assert_contains(&message(&error, &Code::ProviderNotReady), &["aborted", "127.0.0.1:"]);
        assert_eq!((server.calls(), provider.state()), (2, State::Ready), "{reason:?}");
    }
}

/// A proxy without a server for a moment responds with an HTTP error page: the call waits, as it
/// does without a connection. Another status is final.
#[tokio::test]
async fn a_call_waits_for_a_proxy_to_find_a_server() {
    let server = ScriptedServer::start();
    server.set("on", Flag::new(true).reason("TARGETING_MATCH"));
    let network = TcpGate::to_port(server.port());
    let provider = ready(near(network.port())).await;
    for status in [502, 503, 504, 500] {
        let proxy = PlainHttp::start(status);
        network.lead_to(proxy.port());
        network.cut();
        eventually("STALE", || provider.state() == State::Stale).await;
        let mut asked = tokio::spawn({
            let provider = provider.clone();
            async move { boolean(&provider, "on").await }
        });
        if status == 500 {
            // Not the status of a proxy that waits for a server.
            bounded("the failure", &mut asked).await.unwrap().unwrap_err();
        } else {
            proxy.wait_for_calls(2).await;
            assert!(!asked.is_finished(), "HTTP {status}");
        }
        network.lead_to(server.port());
        network.cut();
        if status != 500 {
            assert!(asked.await.unwrap().unwrap().value, "HTTP {status}");
        }
        provider.wait_ready(PATIENCE).await.unwrap();
    }
}

/// The second attempt has only the remaining time.
#[tokio::test]
async fn a_retry_has_the_rest_of_the_deadline() {
    let (_provider, Withheld { server, network, gate, asked }) = withheld().await;
    let first = granted(server.calls().last().unwrap());
    network.cut();
    server.wait_until("the second attempt", |seen| seen.unary() == 2).await;
    let second = granted(server.calls().iter().rfind(|call| call.flag_key == "on").unwrap());
    assert!(second < first, "{second:?} of {first:?}");
    gate.release();
    assert!(asked.await.unwrap().unwrap());
}

/// A provider in ERROR whose flagd rejects streams and may respond to calls.
async fn without_stream(server: &ScriptedServer) -> FlagdProvider {
    server.streams(StreamMode::Fail(Status::unavailable("no stream")));
    let provider = started(near(server.port())).await;
    assert_eq!(provider.state(), State::Error);
    provider
}

/// docs/lifecycle.md, "States": in ERROR one call at a time is let through and the others fail
/// immediately, as long as calls get no response.
#[tokio::test]
async fn in_error_one_call_probes_and_its_success_admits_the_others() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let provider = without_stream(&server).await;
    let gate = server.gate("on");
    let ask = |calls: usize| {
        let mut asked = JoinSet::new();
        for _ in 0..calls {
            let provider = provider.clone();
            asked.spawn(async move { boolean(&provider, "on").await });
        }
        asked
    };
    let mut asked = ask(50);
    gate.wait_for(1).await;
    for _ in 0..49 {
        let refused = asked.join_next().await.unwrap().unwrap().unwrap_err();
        let text = message(&refused, &Code::ProviderNotReady);
        assert_contains(&text, &["not called again yet", "no stream"]);
    }
    assert_eq!((server.observed().unary(), gate.waiting()), (1, 1), "49 have not waited for one");

    gate.release_one();
    assert!(asked.join_next().await.unwrap().unwrap().unwrap().value);
    let mut asked = ask(50);
    gate.wait_for(50).await;
    gate.release();
    while let Some(answer) = asked.join_next().await {
        assert_eq!(answer.unwrap().unwrap().reason, Some(Reason::Static));
    }
    assert_eq!((server.observed().unary(), provider.state()), (51, State::Error));
}

/// A call without a connection or without a response in time blocks the others again; other
/// failures do not.
#[tokio::test]
async fn in_error_only_an_unreachable_flagd_blocks_calls() {
    let server = ScriptedServer::start();
    let provider = without_stream(&server).await;
    let (one, two) = ("one", "two");
    let gate = server.gate(one);
    for (status, open) in [
        (Status::not_found("text"), true),
        (Status::unknown("text"), true),
        (Status::permission_denied("text"), true),
        (Status::unavailable("text"), false),
        (Status::deadline_exceeded("text"), false),
    ] {
        server.fail(two, status.clone());
        error(&provider, two).await;
        let before = server.observed().unary();
        let probe = tokio::spawn({
            let provider = provider.clone();
            async move { error(&provider, one).await }
        });
        gate.wait_for(1).await;
        error(&provider, two).await;
        let asked = server.observed().unary() - before - 1;
        assert_eq!(asked == 1, open, "{status}");
        gate.release_one();
        assert_eq!(probe.await.unwrap().code, Code::FlagNotFound);
    }
}

/// A probe whose request is cancelled leaves its place to the next.
#[tokio::test]
async fn a_cancelled_probe_makes_room_for_another() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let provider = without_stream(&server).await;
    let gate = server.gate("on");
    tokio::select! {
        _ = boolean(&provider, "on") => panic!("it is withheld"),
        () = gate.wait_for(1) => {}
    }
    gate.release();
    assert_eq!(value(&provider, "on").await, (true, Reason::Static));
}

/// In STALE every call is made: flagd was available a moment ago, and the cache holds what is
/// requested most.
#[tokio::test]
async fn in_stale_every_call_is_made() {
    let server = ScriptedServer::start();
    server.set("on", Flag::new(true).reason("TARGETING_MATCH"));
    let provider = ready(near(server.port())).await;
    let mut events = provider.events();
    server.fail("down", Status::unavailable("down"));
    server.streams(StreamMode::Fail(Status::unavailable("no stream")));
    server.end_streams(None);
    eventually("STALE", || provider.state() == State::Stale).await;
    error(&provider, "down").await;
    let gate = server.gate("on");
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move { boolean(&provider, "on").await })
        })
        .collect();
    gate.wait_for(10).await;
    gate.release();
    for answer in asked {
        assert!(answer.await.unwrap().unwrap().value);
    }
    server.streams(StreamMode::Ready);
    let told = [ProviderEvent::Ready, ProviderEvent::Stale, ProviderEvent::Ready, ALL_CHANGED];
    expect(&mut events, told).await;
}

/// The deadline of calls that never get a response; streams do.
const UNANSWERED: Duration = Duration::from_millis(100);

/// A provider whose flagd stopped responding to calls, after this many of them in a row.
async fn hung(
    options: FlagdOptionsBuilder,
    server: &ScriptedServer,
    calls: usize,
) -> FlagdProvider {
    server.set("on", true);
    let provider = connected(options.deadline(UNANSWERED)).await;
    server.hang_all();
    for _ in 0..calls {
        assert_contains(
            &message(&error(&provider, "on").await, &general()),
            &["DEADLINE_EXCEEDED"],
        );
    }
    provider
}

/// docs/lifecycle.md, "Lost calls and connections": the circuit breaker.
#[tokio::test]
async fn calls_without_a_response_open_the_circuit() {
    let server = ScriptedServer::start();
    let provider = hung(near(server.port()), &server, 5).await;
    server.wait_until("another stream", |seen| seen.streams_opened() == 2).await;
    server.wait_until("another connection", |seen| seen.connections.accepted == 2).await;
    let mut asked = JoinSet::new();
    for _ in 0..50 {
        let provider = provider.clone();
        asked.spawn(async move { error(&provider, "on").await });
    }
    let asked = asked.join_all().await;
    let probes = asked.iter().filter(|error| error.code == general()).count();
    assert_eq!(probes, 1, "{asked:?}");
    let refused = asked.iter().find(|error| error.code == Code::ProviderNotReady).unwrap();
    assert_contains(
        refused.message.as_ref().unwrap(),
        &["not called again yet", "maxUnansweredCalls"],
    );

    server.recover_all();
    assert_eq!(value(&provider, "on").await, (true, Reason::Static), "the probe succeeds");
    let gate = server.gate("other");
    let calling: Vec<_> = (0..10)
        .map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move { boolean(&provider, "other").await })
        })
        .collect();
    gate.wait_for(10).await;
    gate.release();
    for call in calling {
        assert_eq!(call.await.unwrap().unwrap_err().code, Code::FlagNotFound, "all may call again");
    }
}

/// The state follows as for a lost stream, and the cache is read meanwhile.
#[tokio::test]
async fn a_circuit_that_opens_is_a_lost_stream() {
    let server = ScriptedServer::start();
    server.set("cached", true);
    let provider = connected(near(server.port()).deadline(UNANSWERED)).await;
    boolean(&provider, "cached").await.unwrap();
    let mut events = provider.events();
    expect(&mut events, [ProviderEvent::Ready]).await;
    server.streams(StreamMode::Hang);
    server.hang_all();
    for _ in 0..5 {
        error(&provider, "on").await;
    }
    expect(&mut events, [ProviderEvent::Stale]).await;
    assert_eq!(value(&provider, "cached").await, (true, Reason::Cached));
    server.streams(StreamMode::Ready);
    server.recover_all();
    expect(&mut events, [ProviderEvent::Ready, ALL_CHANGED]).await;
}

/// Fewer calls, a response among them, or the option set to 0 change nothing.
#[tokio::test]
async fn a_circuit_that_has_no_reason_to_open_stays_closed() {
    let server = ScriptedServer::start();
    let provider = hung(near(server.port()), &server, 4).await;
    server.recover_all();
    error(&provider, "missing").await;
    server.hang_all();
    for _ in 0..4 {
        error(&provider, "on").await;
    }
    let off = hung(near(server.port()).max_unanswered_calls(0), &server, 8).await;
    for provider in [provider, off] {
        assert_eq!((provider.state(), provider.stats().reconnections), (State::Ready, 0));
    }
}

/// Makes calls and drops each after this time, until the circuit opens or so many were made.
async fn give_up(provider: &FlagdProvider, calls: usize, after: Duration) {
    for _ in 0..calls {
        if provider.state() != State::Ready {
            return;
        }
        let _ = tokio::time::timeout(after, boolean(provider, "on")).await;
    }
}

/// Callers with a timeout of their own, shorter than the deadline, reveal a flagd that hangs, too.
#[tokio::test]
async fn cancelled_calls_open_the_circuit() {
    let deadline = Duration::from_millis(500);
    let server = ScriptedServer::start();
    server.set("on", Flag::new(true).reason("TARGETING_MATCH"));
    for after in [200, 400] {
        let provider = ready(near(server.port()).deadline(deadline)).await;
        server.streams(StreamMode::Hang);
        server.hang_all();
        give_up(&provider, 30, Duration::from_millis(after)).await;
        assert_eq!(provider.state(), State::Stale, "{after} ms");
        server.streams(StreamMode::Ready);
        server.recover_all();
        provider.wait_ready(PATIENCE).await.unwrap();
        assert!(boolean(&provider, "on").await.unwrap().value);
    }
}

/// A caller that waits only briefly proves nothing about flagd, and neither does one that gets a
/// response now and then.
#[tokio::test]
async fn calls_that_are_cancelled_early_do_not_open_the_circuit() {
    let deadline = Duration::from_millis(500);
    let server = ScriptedServer::start();
    server.set("on", Flag::new(true).reason("TARGETING_MATCH"));
    server.set("other", Flag::new(true).reason("TARGETING_MATCH"));
    let provider = ready(near(server.port()).deadline(deadline)).await;
    server.hang("on");
    give_up(&provider, 60, Duration::from_millis(20)).await;
    for _ in 0..3 {
        give_up(&provider, 4, Duration::from_millis(300)).await;
        assert!(boolean(&provider, "other").await.unwrap().value);
    }
    assert_eq!((provider.state(), provider.stats().reconnections), (State::Ready, 0));
}
