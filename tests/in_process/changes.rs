//! Changes of flags: which keys are reported, and when none are.

use flagstaff::{ProviderEvent, State};
use open_feature::EvaluationReason;
use serde_json::json;

use super::{of, switch, switches};
use crate::support::{
    provider::{
        assert_contains, changed, expect, expect_error, next, provider, ready, started, value,
        watched,
    },
    servers::sync_server::SyncServer,
    wait::PATIENCE,
};

#[tokio::test]
async fn the_keys_of_a_change_are_the_difference() {
    let server = SyncServer::start(&switches(&[("a", true), ("b", true), ("c", true)]));
    let (provider, mut events) = watched(of(&server)).await;
    let mut definition = switches(&[("b", false), ("c", true), ("d", true)]);
    server.set(&definition);
    expect(&mut events, [changed(&["a", "b", "d"])]).await;
    assert_eq!(value(&provider, "b").await, (false, EvaluationReason::Static));
    assert_eq!(value(&provider, "d").await, (true, EvaluationReason::Static));
    definition["flags"]["c"]["metadata"] = json!({"version": 2});
    server.set(&definition);
    expect(&mut events, [changed(&["c"])]).await;
}

/// No event reports that nothing has happened.
#[tokio::test]
async fn the_same_flags_written_differently_are_not_a_change() {
    let definition = switches(&[("a", true)]);
    let server = SyncServer::start(&definition);
    let (provider, mut events) = watched(of(&server)).await;
    server.set(&definition);
    server.send(&format!(" {definition} "));
    server.set(&switches(&[("a", false)]));
    expect(&mut events, [changed(&["a"])]).await;
    assert!(!value(&provider, "a").await.0);
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    let server = SyncServer::start(&switches(&[("a", true)]));
    let (provider, mut events) = watched(of(&server)).await;
    server.send(&format!("\u{feff}{}", switches(&[("a", false)])));
    expect(&mut events, [changed(&["a"])]).await;
    assert!(!value(&provider, "a").await.0);
}

/// The keys are relative to the last known flags, whatever happened in between.
#[tokio::test]
async fn after_a_reconnection_only_differences_are_reported() {
    let definition = switches(&[("a", true), ("b", true)]);
    let server = SyncServer::start(&definition);
    let (provider, mut events) = watched(of(&server)).await;

    server.stop();
    expect(&mut events, [ProviderEvent::Stale]).await;
    server.restart();
    expect(&mut events, [ProviderEvent::Ready]).await;

    server.stop();
    server.set(&switches(&[("a", true), ("b", false)]));
    expect(&mut events, [ProviderEvent::Stale]).await;
    server.restart();
    expect(&mut events, [ProviderEvent::Ready, changed(&["b"])]).await;
    assert!(!value(&provider, "b").await.0);
    assert_eq!(provider.stats().reconnections, 2);
}

#[tokio::test]
async fn an_invalid_definition_leaves_the_last_valid_one() {
    let server = SyncServer::start(&switches(&[("a", true), ("b", true)]));
    let (provider, mut events) = watched(of(&server)).await;
    server.send("{\"flags\": {\"a\": {},\n  \"bad\": {\"defaultVariant\": \"gone\"}}}");
    let (message, fatal) = expect_error(&mut events).await;
    assert_contains(&message, &["`bad`", "line 2", "column", "`gone`"]);
    assert!(!fatal);
    expect(&mut events, [ProviderEvent::Stale]).await;
    assert_eq!(provider.state(), State::Stale);
    assert_eq!(value(&provider, "a").await, (true, EvaluationReason::Static));

    server.send("no JSON");
    let (message, _) = expect_error(&mut events).await;
    assert_contains(&message, &["line 1", "column"]);

    server.set(&switches(&[("a", false), ("b", true)]));
    expect(&mut events, [ProviderEvent::Ready, changed(&["a"])]).await;
    assert_eq!(provider.state(), State::Ready);
    assert!(!value(&provider, "a").await.0);
}

/// flagd sends it again on each connection: it is reported once.
#[tokio::test]
async fn an_invalid_first_definition_is_an_error() {
    let server = SyncServer::start(&json!({"flags": {"bad": {"defaultVariant": "gone"}}}));
    let provider = provider(of(&server));
    let mut events = provider.events();
    crate::support::provider::initialize(&provider).await;
    assert_eq!(provider.state(), State::Error);
    let (message, fatal) = expect_error(&mut events).await;
    assert_contains(&message, &["`bad`", "line 1", "column"]);
    assert!(!fatal);
    let error = crate::support::provider::error(&provider, "bad").await;
    assert_contains(&error.message.unwrap(), &["`bad`", "line 1"]);

    server.set(&switches(&[("bad", true)]));
    expect(&mut events, [ProviderEvent::Ready, changed(&["bad"])]).await;
    assert!(value(&provider, "bad").await.0);
}

/// tonic's own limit of 4 MiB is some 10,000 flags.
#[tokio::test]
async fn a_definition_of_many_megabytes_arrives() {
    let mut flag = switch(true);
    flag["metadata"] = json!({"note": "x".repeat(6 << 20)});
    let server = SyncServer::start(&json!({"flags": {"big": flag}}));
    let provider = ready(of(&server)).await;
    assert!(value(&provider, "big").await.0);
}

#[tokio::test]
async fn an_empty_definition_removes_all_flags() {
    let server = SyncServer::start(&switches(&[("a", true)]));
    let (provider, mut events) = watched(of(&server)).await;
    server.set(&json!({"flags": {}}));
    assert_eq!(next(&mut events).await, changed(&["a"]));
    let error = crate::support::provider::error(&provider, "a").await;
    assert_eq!(error.code, open_feature::EvaluationErrorCode::FlagNotFound);
}

#[tokio::test]
async fn a_provider_that_starts_before_the_server_gets_its_flags() {
    let server = SyncServer::start(&switches(&[("a", true)]));
    server.stop();
    let provider = started(of(&server)).await;
    assert_eq!(provider.state(), State::Error);
    server.restart();
    provider.wait_ready(PATIENCE).await.unwrap();
    assert!(value(&provider, "a").await.0);
}
