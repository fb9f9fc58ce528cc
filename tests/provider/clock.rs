//! What depends on time, with the defaults of docs/options.md, to the millisecond: the clock
//! advances only when a test says so.

use std::time::Duration;

use crate::support::{
    clock::Clock,
    provider::{
        ALL_CHANGED, assert_contains, boolean, changed, error, expect, expect_error, initialize,
        message, provider, ready, started, watched,
    },
    scripted::{ScriptedServer, StreamMode},
    servers::raw::SilentPeer,
};
use flagstaff::{
    FlagdOptions, FlagdProvider, ProviderEvent, State,
    flagd::{Events, FlagdOptionsBuilder},
};
use open_feature::{EvaluationContext, EvaluationErrorCode as Code, provider::FeatureProvider};
use tokio::task::yield_now;
use tonic::Status;

/// Timers may fire late by this much.
const TICK: Duration = Duration::from_millis(2);
const HOUR: Duration = Duration::from_secs(3600);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// All options but the address have their defaults.
fn defaults(port: u16) -> FlagdOptionsBuilder {
    FlagdOptions::builder().host("127.0.0.1").port(port)
}

/// Waits until whatever is due has reached the server: after a connection and a call of our own.
async fn settle(clock: &Clock, server: &ScriptedServer) {
    use crate::support::proto::{V2, connect, v2::ResolveBooleanRequest};
    let request = ResolveBooleanRequest { flag_key: "round trip".to_owned(), context: None };
    clock
        .still("a round trip", async {
            let mut client = V2::new(connect(server.uri()).await);
            client.resolve_boolean(request).await.unwrap_err();
        })
        .await;
}

/// Streams that are rejected with numbered messages, so that a test sees when the provider has
/// processed each and waits for the next attempt.
fn refuse(server: &ScriptedServer) {
    let refusal = |n| StreamMode::Fail(Status::unavailable(format!("refusal {n}.")));
    server.next_streams((1..=30).map(refusal));
}

async fn refused(clock: &Clock, provider: &FlagdProvider, number: usize) {
    let text = format!("refusal {number}.");
    let noted = async || match provider.events().next().await {
        Some(ProviderEvent::Error { message, .. }) => message.contains(&text),
        _ => false,
    };
    clock
        .still(&text, async {
            while !noted().await {
                yield_now().await;
            }
        })
        .await;
}

/// Whether the next attempt comes after at least half of `full`, and after `full` at the latest.
async fn attempt_within(clock: &Clock, server: &ScriptedServer, full: Duration) {
    let before = server.observed().streams_opened();
    clock.pass(full / 2 - TICK).await;
    settle(clock, server).await;
    assert_eq!(server.observed().streams_opened(), before, "before half of {full:?}");
    clock.pass(full / 2 + TICK * 2).await;
    let attempt = "the next attempt";
    clock.still(attempt, server.wait_until(attempt, |seen| seen.streams_opened() > before)).await;
    assert_eq!(server.observed().streams_opened(), before + 1);
}

/// Collects the events from STALE on, up to this one.
async fn wait_for(clock: &Clock, events: &mut Events, expected: &[ProviderEvent]) {
    clock.still("events", expect(events, expected.iter().cloned())).await;
}

/// `deadlineMs`, 500: initialization ends then and not before; 0 has the same bound.
#[tokio::test(start_paused = true)]
async fn initialization_ends_at_the_deadline() {
    let clock = Clock::stopped();
    let peer = SilentPeer::start();
    let default = defaults(peer.port());
    for options in [default.clone(), default.deadline(Duration::ZERO)] {
        let provider = provider(options);
        let handle = provider.clone();
        let initializing = tokio::spawn(async move { initialize(&handle).await });
        clock.still("a connection", peer.wait_until("it", |seen| seen.open == 1)).await;
        clock.pass(ms(500) - TICK).await;
        yield_now().await;
        assert!(!initializing.is_finished());
        assert_eq!(provider.state(), State::NotReady);
        clock.pass(TICK * 2).await;
        clock.still("the end", initializing).await.unwrap();
        assert_eq!(provider.state(), State::Error);
        clock.still("the shutdown", provider.shutdown()).await;
        clock.still("its end", peer.wait_until("it", |seen| seen.open == 0)).await;
    }
}

/// `deadlineMs` bounds a call; 0 does not, not even in an hour.
#[tokio::test(start_paused = true)]
async fn a_call_ends_at_the_deadline_if_there_is_one() {
    let clock = Clock::stopped();
    let server = ScriptedServer::start();
    server.set("on", true);
    for (deadline, bounded) in [(None, true), (Some(Duration::ZERO), false)] {
        let options = defaults(server.port()).stream_deadline(Duration::ZERO);
        let options = match deadline {
            None => options,
            Some(deadline) => options.deadline(deadline),
        };
        let provider = clock.still("READY", ready(options)).await;
        let gate = server.gate("on");
        let asked = tokio::spawn(async move {
            provider.resolve_bool_value("on", &EvaluationContext::default()).await
        });
        clock.still("the call", gate.wait_for(1)).await;
        clock.pass(ms(500) - TICK).await;
        settle(&clock, &server).await;
        assert!(!asked.is_finished());
        clock.pass(if bounded { TICK * 2 } else { HOUR }).await;
        if !bounded {
            settle(&clock, &server).await;
            gate.release();
        }
        match clock.still("the answer", asked).await.unwrap() {
            Ok(details) => assert!(details.value && !bounded),
            Err(error) => {
                assert!(bounded, "{error:?}");
                let text = message(&error, &Code::General("GENERAL".to_owned()));
                assert_contains(&text, &["DEADLINE_EXCEEDED", "500ms"]);
            }
        }
    }
}

/// docs/lifecycle.md, "Lost calls and connections": the delay doubles from `retryBackoffMs`, 1 s,
/// to `retryBackoffMaxMs`, 5 s, jitter takes off up to half of it, and reconnection continues
/// forever.
#[tokio::test(start_paused = true)]
async fn the_delays_of_reconnection() {
    let clock = Clock::stopped();
    let server = ScriptedServer::start();
    refuse(&server);
    let provider = clock.still("ERROR", started(defaults(server.port()))).await;
    for (number, seconds) in [1, 2, 4, 5, 5, 5, 5, 5, 5, 5].into_iter().enumerate() {
        refused(&clock, &provider, number + 1).await;
        attempt_within(&clock, &server, Duration::from_secs(seconds)).await;
    }
}

/// docs/lifecycle.md, "Lost calls and connections": delay and number of failures are reset once a
/// stream was ready for `retryBackoffMaxMs` and at least 5 s, and not sooner.
#[tokio::test(start_paused = true)]
async fn a_stream_that_stayed_ready_resets_the_delay() {
    let clock = Clock::stopped();
    for (age, seconds) in [(ms(4_900), 5), (ms(5_000), 1)] {
        let server = ScriptedServer::start();
        refuse(&server);
        let options = defaults(server.port()).retry_grace_period(Duration::ZERO);
        let provider = clock.still("ERROR", started(options)).await;
        for (number, seconds) in [1, 2, 4].into_iter().enumerate() {
            refused(&clock, &provider, number + 1).await;
            if seconds == 4 {
                server.next_streams([StreamMode::Ready]);
                refuse_after(&server);
            }
            attempt_within(&clock, &server, Duration::from_secs(seconds)).await;
        }
        clock.still("READY", provider.wait_ready(HOUR)).await.unwrap();
        clock.pass(age).await;
        server.end_streams(Status::unavailable("refusal 0."));
        clock
            .still("the loss", async {
                while provider.state() == State::Ready {
                    yield_now().await;
                }
            })
            .await;
        refused(&clock, &provider, 0).await;
        attempt_within(&clock, &server, Duration::from_secs(seconds)).await;
    }
}

/// After these streams, all are rejected.
fn refuse_after(server: &ScriptedServer) {
    server.streams(StreamMode::Fail(Status::unavailable("refusal after.")));
}

/// docs/lifecycle.md, "Lost calls and connections": in ERROR, a call that succeeds starts the next
/// attempt (`retryBackoffMs` after the last attempt at the earliest); one that fails does not.
#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_wakes_the_reconnection() {
    let clock = Clock::stopped();
    let server = ScriptedServer::start();
    server.set("on", true);
    server.fail("down", Status::unavailable("down"));
    refuse(&server);
    let options = defaults(server.port()).retry_backoff(ms(100)).retry_backoff_max(HOUR);
    let provider = clock.still("ERROR", started(options)).await;
    for number in 1..=11 {
        refused(&clock, &provider, number).await;
        clock.pass(HOUR).await;
    }
    refused(&clock, &provider, 12).await;
    // The next attempt is due in 102 s at the earliest.
    server.next_streams([]);
    clock.still("an error", error(&provider, "down")).await;
    clock.pass(ms(100) + TICK).await;
    settle(&clock, &server).await;
    assert_eq!((provider.state(), server.observed().streams_opened()), (State::Error, 12));

    clock.still("an answer", boolean(&provider, "on")).await.unwrap();
    clock.still("READY", provider.wait_ready(HOUR)).await.unwrap();
    assert_eq!(server.observed().streams_opened(), 13);
}

/// It triggers the next attempt, but not one after a later loss, where the backoff applies.
#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_during_an_attempt_leaves_nothing_behind() {
    let clock = Clock::stopped();
    let server = ScriptedServer::start();
    server.set("on", true);
    refuse(&server);
    let provider = clock.still("ERROR", started(defaults(server.port()))).await;
    refused(&clock, &provider, 1).await;
    server.next_streams([StreamMode::Silent]);
    clock.pass(ms(1000) + TICK).await;
    clock.still("the attempt", server.wait_for_streams(1)).await;
    clock.still("an answer", boolean(&provider, "on")).await.unwrap();
    assert_eq!(provider.state(), State::Error, "the attempt is under way");

    server.send("provider_ready", None);
    clock.still("READY", provider.wait_ready(HOUR)).await.unwrap();
    let mut events = provider.events();
    clock.pass(ms(3000)).await;
    server.end_streams(None);
    wait_for(&clock, &mut events, &[ProviderEvent::Ready, ProviderEvent::Stale]).await;
    clock.pass(ms(900)).await; // the second delay is from 1 to 2 s
    settle(&clock, &server).await;
    assert_eq!((provider.state(), server.observed().streams_opened()), (State::Stale, 2));
}

/// `retryGracePeriod`, 10 s: STALE comes before ERROR.
#[tokio::test(start_paused = true)]
async fn stale_lasts_for_the_grace_period() {
    let clock = Clock::stopped();
    let server = ScriptedServer::start();
    server.set("on", true);
    let options = defaults(server.port()).max_event_stream_retries(None);
    let (provider, mut events) = clock.still("READY", watched(options)).await;
    clock.still("a value", boolean(&provider, "on")).await.unwrap();
    server.streams(StreamMode::Fail(Status::unavailable("away")));
    server.end_streams(None);
    wait_for(&clock, &mut events, &[ProviderEvent::Stale]).await;
    for _ in 0..9 {
        clock.pass(Duration::from_secs(1)).await;
        settle(&clock, &server).await;
    }
    clock.pass(Duration::from_secs(1) - TICK).await;
    settle(&clock, &server).await;
    assert_eq!((provider.state(), provider.stats().cache_entries), (State::Stale, 1));
    clock.pass(TICK * 2).await;
    let (text, fatal) = clock.still("ERROR", expect_error(&mut events)).await;
    assert!(!fatal && text.contains("away"), "{text}");
    assert_eq!(provider.stats().cache_entries, 0);
}

/// Otherwise ERROR would follow a recovery.
#[tokio::test(start_paused = true)]
async fn a_recovery_cancels_the_grace_period() {
    let clock = Clock::stopped();
    let server = ScriptedServer::start();
    let (provider, mut events) = clock.still("READY", watched(defaults(server.port()))).await;
    server.end_streams(None);
    wait_for(&clock, &mut events, &[ProviderEvent::Stale]).await;
    clock.pass(Duration::from_secs(1)).await;
    wait_for(&clock, &mut events, &[ProviderEvent::Ready, ALL_CHANGED]).await;
    clock.pass(Duration::from_secs(30)).await;
    settle(&clock, &server).await;
    server.change(&["on"]);
    wait_for(&clock, &mut events, &[changed(&["on"])]).await;
    assert_eq!(provider.state(), State::Ready);
}

/// An attempt that a server accepts without responding ends after `retryBackoffMaxMs`.
#[tokio::test(start_paused = true)]
async fn an_attempt_without_a_response_ends() {
    let clock = Clock::stopped();
    let server = ScriptedServer::builder().streams(StreamMode::Hang).start();
    let provider = provider(defaults(server.port()));
    let handle = provider.clone();
    let initializing = tokio::spawn(async move { initialize(&handle).await });
    clock.still("it", server.wait_until("it", |seen| seen.streams_opened() == 1)).await;
    clock.pass(ms(500) + TICK).await;
    clock.still("the deadline", initializing).await.unwrap();
    clock.pass(ms(4_500) - TICK * 2).await;
    settle(&clock, &server).await;
    assert_eq!(server.observed().streams_opened(), 1);
    let mut events = provider.events();
    assert!(!expect_error(&mut events).await.0.contains("within 5s"));
    clock.pass(TICK * 2).await;
    let told = async {
        while !expect_error(&mut provider.events()).await.0.contains("within 5s") {
            yield_now().await;
        }
    };
    clock.still("the end of the attempt", told).await;
    server.streams(StreamMode::Ready);
    attempt_within(&clock, &server, Duration::from_secs(1)).await;
    clock.still("READY", provider.wait_ready(HOUR)).await.unwrap();
}

/// `provider_shutdown`: another replica may be available, so the first attempt is immediate and the
/// next ones back off.
#[tokio::test(start_paused = true)]
async fn an_announced_shutdown_is_followed_by_an_attempt_at_once() {
    let clock = Clock::stopped();
    let server = ScriptedServer::start();
    let options = defaults(server.port()).max_event_stream_retries(None);
    let (provider, mut events) = clock.still("READY", watched(options)).await;
    clock.pass(ms(1000)).await;
    server.send("provider_shutdown", None);
    let recovered = [ProviderEvent::Stale, ProviderEvent::Ready, ALL_CHANGED];
    wait_for(&clock, &mut events, &recovered).await;
    assert_eq!(provider.stats().reconnections, 1);

    // The stream has just been opened: no tight loop.
    server.send("provider_shutdown", None);
    wait_for(&clock, &mut events, &[ProviderEvent::Stale]).await;
    settle(&clock, &server).await;
    attempt_within(&clock, &server, ms(2000)).await;
    wait_for(&clock, &mut events, &recovered[1..]).await;

    // Neither without another replica.
    clock.pass(ms(6000)).await;
    refuse(&server);
    server.send("provider_shutdown", None);
    wait_for(&clock, &mut events, &[ProviderEvent::Stale]).await;
    clock.still("the attempt", server.wait_until("it", |seen| seen.streams_opened() == 4)).await;
    settle(&clock, &server).await;
    attempt_within(&clock, &server, ms(2000)).await;
}
