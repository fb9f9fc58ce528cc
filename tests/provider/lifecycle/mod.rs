//! How the provider starts, loses flagd and reconnects: docs/lifecycle.md, "Transitions".

mod fatal;
mod shutdown;

use std::time::Duration;

use crate::support::{
    provider::{
        ALL_CHANGED, assert_contains, boolean, error, expect, expect_error, initialize, message,
        near, provider, ready, started, value, watched,
    },
    scripted::{ScriptedServer, StreamMode},
    servers::raw::{SilentPeer, closed_port},
    wait::{PATIENCE, bounded, no_sooner},
};
use flagstaff::{FlagdError, ProviderEvent, State};
use open_feature::{
    EvaluationErrorCode, EvaluationReason, OpenFeature,
    provider::{FeatureProvider, ProviderStatus},
};
use tonic::Status;

const NOT_READY: EvaluationErrorCode = EvaluationErrorCode::ProviderNotReady;
const MINUTE: Duration = Duration::from_secs(60);

/// Longer than any test waits: what happens sooner has another reason.
const NEVER: Duration = Duration::from_secs(600);

/// NOT_READY and no I/O at construction; READY in time; all over one connection.
#[tokio::test]
async fn initialization_makes_ready_over_one_connection() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let provider = provider(near(server.port()));
    assert_eq!(provider.state(), State::NotReady);
    assert_eq!(server.observed().connections.accepted, 0);

    initialize(&provider).await;
    assert_eq!((provider.state(), provider.is_fatal()), (State::Ready, false));
    assert!(matches!(provider.status(), ProviderStatus::Ready));
    for _ in 0..3 {
        assert!(boolean(&provider, "on").await.unwrap().value);
    }
    let seen = server.observed();
    assert_eq!((seen.connections.accepted, seen.streams_opened()), (1, 1));
}

/// docs/lifecycle.md, "Initialization": clones are one provider, even in the SDK.
#[tokio::test]
async fn the_sdk_initializes_the_provider() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let provider = provider(near(server.port()));
    let mut api = OpenFeature::default();
    bounded("set_provider", api.set_provider(provider.clone())).await;
    assert_eq!(provider.state(), State::Ready);
    let client = api.create_client();
    assert_eq!(client.get_bool_value("on", None, None).await.ok(), Some(true));
}

/// It fails with `PROVIDER_NOT_READY` and makes no call.
#[tokio::test]
async fn an_evaluation_before_initialization_is_not_ready() {
    let server = ScriptedServer::start();
    let provider = provider(near(server.port()));
    let error = error(&provider, "on").await;
    assert_contains(&message(&error, &NOT_READY), &["not initialized"]);
    assert_eq!(server.observed().connections.accepted, 0);
}

/// docs/lifecycle.md, "Initialization": it takes at most `deadlineMs`; an attempt may take longer.
async fn initialization_ends_at_the_deadline(port: u16) {
    let deadline = Duration::from_millis(100);
    let starting = started(near(port).deadline(deadline).retry_backoff_max(NEVER));
    let provider = no_sooner("initialization", deadline, starting).await;
    assert_eq!((provider.state(), provider.is_fatal()), (State::Error, false));
    let error = error(&provider, "on").await;
    assert_contains(error.message.as_deref().unwrap(), &["deadlineMs"]);
}

#[tokio::test]
async fn initialization_ends_at_the_deadline_with_a_peer_that_says_nothing() {
    initialization_ends_at_the_deadline(SilentPeer::start().port()).await;
}

#[tokio::test]
async fn initialization_ends_at_the_deadline_with_a_stream_that_says_nothing() {
    for mode in [StreamMode::Silent, StreamMode::Hang] {
        let server = ScriptedServer::builder().streams(mode).start();
        server.hang_all();
        initialization_ends_at_the_deadline(server.port()).await;
        assert_eq!(server.observed().streams_opened(), 1);
    }
}

/// docs/options.md: with `deadlineMs` 0, initialization ends after at most 500 ms.
#[tokio::test]
async fn without_a_deadline_initialization_ends_after_half_a_second() {
    let peer = SilentPeer::start();
    let options = near(peer.port()).deadline(Duration::ZERO).retry_backoff_max(NEVER);
    let half_a_second = Duration::from_millis(500);
    let provider = no_sooner("initialization", half_a_second, started(options)).await;
    assert_eq!(provider.state(), State::Error);
}

/// docs/lifecycle.md, "Transitions": the first attempt fails; with `deadlineMs` 0 too.
#[tokio::test]
async fn initialization_ends_at_once_when_the_port_is_closed() {
    for deadline in [MINUTE, Duration::ZERO] {
        // Well before the deadline, otherwise the bounded wait inside fails.
        let provider = started(near(closed_port()).deadline(deadline)).await;
        let error = error(&provider, "on").await;
        let text = message(&error, &NOT_READY);
        assert_contains(&text, &["127.0.0.1:", "cannot connect", "refused"]);
        assert_eq!(provider.state(), State::Error);
    }
}

/// docs/lifecycle.md, "Lost calls and connections": reconnection continues, with or without
/// traffic.
#[tokio::test]
async fn a_flagd_that_starts_later_is_found_without_traffic() {
    let server = ScriptedServer::builder().stopped();
    server.set("on", true);
    let provider = started(near(server.port())).await;
    let mut events = provider.events();
    expect_error(&mut events).await;
    server.restart();
    provider.wait_ready(PATIENCE).await.unwrap();
    expect(&mut events, [ProviderEvent::Ready, ALL_CHANGED]).await;
    assert_eq!(server.observed().unary(), 0);
    assert_eq!(value(&provider, "on").await, (true, EvaluationReason::Static));
}

/// Initialization is over, but the attempt that it began still counts.
#[tokio::test]
async fn a_ready_after_the_deadline_still_makes_ready() {
    let server = ScriptedServer::builder().streams(StreamMode::Silent).start();
    let options = near(server.port()).deadline(Duration::from_millis(50));
    let provider = started(options.retry_backoff_max(NEVER)).await;
    let mut events = provider.events();
    assert!(!expect_error(&mut events).await.1, "not fatal");
    server.wait_for_streams(1).await;
    server.send("provider_ready", None);
    expect(&mut events, [ProviderEvent::Ready, ALL_CHANGED]).await;
    assert_eq!(server.observed().streams_opened(), 1);
}

/// How a program waits for flagd: ready, or too late; fatal is in `fatal.rs`.
#[tokio::test]
async fn wait_ready_ends_with_the_state_or_the_time() {
    let server = ScriptedServer::builder().stopped();
    let provider = started(near(server.port())).await;
    let waited = Duration::from_millis(20);
    let error = provider.wait_ready(waited).await.unwrap_err();
    assert!(matches!(&error, FlagdError::NotReady { waited: w, .. } if *w == waited), "{error:?}");
    assert_contains(&error.to_string(), &["20ms", "refused"]);

    let waiting = tokio::spawn({
        let provider = provider.clone();
        async move { provider.wait_ready(PATIENCE).await }
    });
    server.restart();
    waiting.await.unwrap().unwrap();
    provider.wait_ready(Duration::ZERO).await.unwrap();
}

/// Not even one on a clone.
#[tokio::test]
async fn a_second_initialization_changes_nothing() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let (provider, mut events) = watched(near(server.port())).await;
    boolean(&provider, "on").await.unwrap();
    initialize(&provider.clone()).await;
    tokio::join!(initialize(&provider), initialize(&provider));

    assert_eq!(value(&provider, "on").await, (true, EvaluationReason::Cached));
    server.change(&["other"]);
    expect(&mut events, [crate::support::provider::changed(&["other"])]).await;
    let seen = server.observed();
    assert_eq!((seen.connections.accepted, seen.streams_opened()), (1, 1));
}

/// READY, stream ended: STALE; STALE, stream ready again: READY, then changed.
#[tokio::test]
async fn a_lost_stream_is_stale_until_the_next_is_ready() {
    let server = ScriptedServer::start();
    let (provider, mut events) = watched(near(server.port())).await;
    let since = provider.stats().state_since;
    server.streams(StreamMode::Fail(Status::unavailable("away")));
    server.end_streams(None);
    expect(&mut events, [ProviderEvent::Stale]).await;
    assert!(matches!(provider.status(), ProviderStatus::STALE));
    assert!(provider.stats().state_since >= since);
    server.streams(StreamMode::Ready);
    expect(&mut events, [ProviderEvent::Ready, ALL_CHANGED]).await;
    assert_eq!((provider.state(), provider.stats().reconnections), (State::Ready, 1));
}

/// `provider_shutdown` is a loss: STALE, and another connection.
#[tokio::test]
async fn an_announced_shutdown_is_a_loss() {
    let server = ScriptedServer::start();
    let (_provider, mut events) = watched(near(server.port())).await;
    server.send_json("provider_shutdown", &serde_json::json!({}));
    expect(&mut events, [ProviderEvent::Stale, ProviderEvent::Ready, ALL_CHANGED]).await;
    server.wait_until("the old connection to end", |seen| seen.connections.open == 1).await;
    assert_eq!(server.observed().connections.accepted, 2);
}

/// `retryGracePeriod` 0: READY, stream failed: ERROR, without STALE.
#[tokio::test]
async fn without_a_grace_period_a_lost_stream_is_an_error() {
    let server = ScriptedServer::start();
    let options = near(server.port()).retry_grace_period(Duration::ZERO);
    let (provider, mut events) = watched(options).await;
    server.streams(StreamMode::Fail(Status::unavailable("away")));
    server.end_streams(Status::unavailable("bye"));
    let (text, fatal) = expect_error(&mut events).await;
    assert_contains(&text, &["UNAVAILABLE", "bye", "127.0.0.1"]);
    assert_eq!((provider.state(), fatal), (State::Error, false));
}

/// `maxEventStreamRetries` attempts fail in a row: ERROR. The attempts continue all the same.
#[tokio::test]
async fn exhausted_retries_are_an_error_within_the_grace_period() {
    let server = ScriptedServer::start();
    let options = near(server.port()).max_event_stream_retries(3).retry_grace_period(NEVER);
    let (provider, mut events) = watched(options).await;
    let away = StreamMode::Fail(Status::unavailable("away"));
    // The loss of a young stream is the first of the three failures.
    server.next_streams([away.clone(), away.clone()]);
    server.streams(StreamMode::Hang);
    server.end_streams(None);
    expect(&mut events, [ProviderEvent::Stale]).await;
    expect_error(&mut events).await;
    let attempts = server.observed().streams_opened();
    assert!(attempts > 2, "{attempts} attempts before ERROR");

    // ERROR to ERROR emits nothing, however many attempts fail.
    server.streams(away);
    server.restart();
    server.wait_until("attempts in ERROR", |seen| seen.streams_opened() >= attempts + 4).await;
    server.streams(StreamMode::Ready);
    expect(&mut events, [ProviderEvent::Ready, ALL_CHANGED]).await;
    assert_eq!(provider.state(), State::Ready);
}

/// Nothing in a provider is global, neither its state nor its connection.
#[tokio::test]
async fn providers_do_not_share_their_state() {
    let server = ScriptedServer::start();
    let one = ready(near(server.port())).await;
    let other = started(near(closed_port())).await;
    assert_eq!((one.state(), other.state()), (State::Ready, State::Error));
}
