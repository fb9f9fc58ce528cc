//! The loss of the server: the states of docs/lifecycle.md, with stored rules that are still
//! evaluated.

use std::time::Duration;

use flagstaff::{FlagdError, FlagdOptions, FlagdProvider, ProviderEvent, State, flagd::Resolver};
use open_feature::{EvaluationErrorCode, EvaluationReason};
use tonic::Status;

use super::{of, switches};
use crate::support::{
    clock::Clock,
    provider::{
        assert_contains, error, expect, expect_error, initialize, message, near, started, value,
        watched,
    },
    servers::raw::{SilentPeer, closed_port},
    servers::sync_server::SyncServer,
    wait::{PATIENCE, bounded, no_sooner},
};

#[tokio::test]
async fn rules_are_evaluated_in_stale_and_error() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let grace = Duration::from_secs(1);
    let (provider, mut events) = watched(of(&server).retry_grace_period(grace)).await;
    let lost = async {
        server.stop();
        expect(&mut events, [ProviderEvent::Stale]).await;
        assert_eq!(value(&provider, "on").await, (true, EvaluationReason::Static));
        expect_error(&mut events).await
    };
    let (message, fatal) = no_sooner("ERROR", grace, lost).await;
    assert!(!fatal);
    assert_contains(&message, &[&format!("flagd at 127.0.0.1:{}", server.port())]);
    assert_eq!(provider.state(), State::Error);
    assert_eq!(value(&provider, "on").await, (true, EvaluationReason::Static));
    server.restart();
    expect(&mut events, [ProviderEvent::Ready]).await;
}

/// docs/lifecycle.md, "Transitions": with `retryGracePeriod` 0, the loss leads to ERROR.
#[tokio::test]
async fn without_a_grace_period_the_loss_is_an_error() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let (provider, mut events) = watched(of(&server).retry_grace_period(Duration::ZERO)).await;
    server.stop();
    expect_error(&mut events).await;
    assert!(value(&provider, "on").await.0);
}

#[tokio::test]
async fn a_stream_that_is_closed_is_lost_and_opened_again() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let (_provider, mut events) = watched(of(&server)).await;
    for status in [None, Some(Status::unavailable("going")), Some(Status::internal("bug"))] {
        server.end_streams(status.as_ref());
        expect(&mut events, [ProviderEvent::Stale, ProviderEvent::Ready]).await;
    }
    assert_eq!(server.seen().connections.accepted, 4, "each on a new connection");
}

/// docs/lifecycle.md, "Initialization": it takes at most `deadlineMs`.
#[tokio::test]
async fn silence_ends_initialization_at_the_deadline() {
    let peer = SilentPeer::start();
    let deadline = Duration::from_millis(100);
    let options = near(peer.port()).resolver(Resolver::InProcess).deadline(deadline);
    let options = options.retry_backoff_max(PATIENCE);
    let provider = started(options).await;
    assert_eq!(provider.state(), State::Error);
    let text = message(&error(&provider, "on").await, &EvaluationErrorCode::ProviderNotReady);
    assert_contains(&text, &["100ms", "deadlineMs"]);
}

#[tokio::test]
async fn a_server_that_sends_no_flags_is_called_again() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    server.set_silent(true);
    let provider = started(of(&server).deadline(Duration::from_millis(100))).await;
    assert_eq!(provider.state(), State::Error);
    server.set_silent(false);
    provider.wait_ready(PATIENCE).await.unwrap();
    assert!(value(&provider, "on").await.0);
}

#[tokio::test]
async fn a_missing_flagd_ends_initialization_at_once() {
    let options = near(closed_port()).resolver(Resolver::InProcess);
    let provider = Clock::in_no_time("initialization", started(options)).await;
    assert_eq!(provider.state(), State::Error);
}

/// docs/lifecycle.md, "Transitions": a status in `fatalStatusCodes`, if never ready before.
#[tokio::test]
async fn a_fatal_status_makes_the_provider_fatal() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    server.set_refusal(Some(Status::permission_denied("not you")));
    let provider = started(of(&server).fatal_status_codes(["PERMISSION_DENIED"])).await;
    assert!(provider.is_fatal());
    let result = bounded("wait_ready", provider.wait_ready(PATIENCE)).await;
    assert!(matches!(result, Err(FlagdError::Fatal { .. })), "{result:?}");
    let text = message(&error(&provider, "on").await, &EvaluationErrorCode::ProviderNotReady);
    assert_contains(&text, &["fatal: ", "PERMISSION_DENIED", "not you"]);
    server.set_refusal(None);
    initialize(&provider).await;
    assert!(provider.is_fatal());
    assert_eq!(server.seen().streams.len(), 1);
}

#[tokio::test]
async fn a_fatal_status_later_is_a_loss() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let (provider, mut events) =
        watched(of(&server).fatal_status_codes(["PERMISSION_DENIED"])).await;
    let denied = Status::permission_denied("not now");
    server.set_refusal(Some(denied.clone()));
    server.end_streams(Some(&denied));
    expect(&mut events, [ProviderEvent::Stale]).await;
    server.wait_for_streams(3).await;
    server.set_refusal(None);
    expect(&mut events, [ProviderEvent::Ready]).await;
    assert!(value(&provider, "on").await.0);
}

#[tokio::test]
async fn another_status_is_not_fatal() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    server.set_refusal(Some(Status::permission_denied("not yet")));
    let provider = started(of(&server).fatal_status_codes(["UNAUTHENTICATED"])).await;
    assert_eq!(provider.state(), State::Error);
    server.set_refusal(None);
    provider.wait_ready(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn unusable_options_are_fatal() {
    let builder = || FlagdOptions::builder().resolver(Resolver::InProcess);
    for (options, name) in [
        (builder().target_uri("http://flags"), "targetUri"),
        (builder().fatal_status_codes(["NO_SUCH_CODE"]), "fatalStatusCodes"),
        (builder().socket_path(env!("CARGO_MANIFEST_DIR")), "socketPath"),
    ] {
        let provider = FlagdProvider::new(options.build_with_env(|_| None).unwrap());
        initialize(&provider).await;
        assert!(provider.is_fatal(), "{name}");
        let error = error(&provider, "on").await;
        assert_contains(&error.message.unwrap(), &["fatal: ", name]);
    }
}
