//! The sync context that a server sends with its flags, and the request that it receives.

use flagstaff::{ProviderEvent, State};
use open_feature::EvaluationContext;
use serde_json::{Map, json};
use tonic::Status;

use super::{of, ruled, switches, text};
use crate::support::{
    provider::{ALL_CHANGED, assert_contains, expect, initialize, provider, ready, watched},
    servers::sync_server::SyncServer,
};

fn where_am_i() -> serde_json::Value {
    let rule = json!({"if": [{"var": "region"}, {"var": "region"}, "nowhere"]});
    json!({"flags": {"where": ruled(&rule, &["nowhere", "eu", "us"])}})
}

async fn place(provider: &flagstaff::FlagdProvider) -> String {
    text(provider, "where", &EvaluationContext::default()).await
}

/// docs/flagd.md, "Sync service": the selector is sent both in the request and as a header.
#[tokio::test]
async fn the_request_names_provider_and_selector() {
    let server = SyncServer::start(&switches(&[]));
    let _provider = ready(of(&server).provider_id("checkout").selector("flagSetId=a")).await;
    let header = Some("flagSetId=a".to_owned());
    assert_eq!(server.seen().streams, [("checkout".to_owned(), "flagSetId=a".to_owned(), header)]);
}

#[tokio::test]
async fn without_options_the_request_is_empty() {
    let server = SyncServer::start(&switches(&[]));
    let _provider = ready(of(&server)).await;
    assert_eq!(server.seen().streams, [(String::new(), String::new(), None)]);
    assert_eq!(server.seen().connections.accepted, 1);
}

#[tokio::test]
async fn rules_read_the_sync_context() {
    let server = SyncServer::start(&where_am_i());
    server.set_context(Some(&json!({"region": "eu"})));
    server.set_metadata(Ok(json!({"region": "us"})));
    let provider = ready(of(&server)).await;
    assert_eq!(place(&provider).await, "eu");
    assert_eq!(server.seen().metadata_calls, 0, "a newer server says it with the flags");
}

/// As in flagd, whose own values override those of a request.
#[tokio::test]
async fn the_sync_context_overrides_the_context_of_the_caller() {
    let server = SyncServer::start(&where_am_i());
    server.set_context(Some(&json!({"region": "eu"})));
    let provider = ready(of(&server)).await;
    let caller = EvaluationContext::default().with_custom_field("region", "us");
    assert_eq!(text(&provider, "where", &caller).await, "eu");
}

/// Any rule may read the sync context, so any flag may have changed.
#[tokio::test]
async fn another_sync_context_is_a_change_of_all_flags() {
    let server = SyncServer::start(&where_am_i());
    let (provider, mut events) = watched(of(&server)).await;
    assert_eq!(place(&provider).await, "nowhere");
    server.set_context(Some(&json!({"region": "us"})));
    expect(&mut events, [ALL_CHANGED]).await;
    assert_eq!(place(&provider).await, "us");
}

#[tokio::test]
async fn the_enricher_makes_the_context_of_the_facts() {
    let server = SyncServer::start(&where_am_i());
    server.set_context(Some(&json!({"zone": {"name": "us"}, "region": "eu"})));
    let options = of(&server).context_enricher(|facts| {
        Map::from_iter([("region".to_owned(), facts["zone"]["name"].clone())])
    });
    let provider = ready(options).await;
    assert_eq!(place(&provider).await, "us");
}

/// An enricher is a function of the program: when it panics, the previous rules stay.
#[tokio::test]
async fn an_enricher_that_panics_is_an_error() {
    let server = SyncServer::start(&where_am_i());
    let provider = provider(of(&server).context_enricher(|facts| match facts.get("region") {
        Some(_) => panic!("on purpose"),
        None => Map::new(),
    }));
    initialize(&provider).await;
    let mut events = provider.events();
    expect(&mut events, [ProviderEvent::Ready]).await;
    server.set_context(Some(&json!({"region": "us"})));
    let (message, fatal) = crate::support::provider::expect_error(&mut events).await;
    assert_contains(&message, &["panicked"]);
    assert!(!fatal);
    expect(&mut events, [ProviderEvent::Stale]).await;
    assert_eq!(place(&provider).await, "nowhere");
}

/// `GetMetadata` is deprecated; `sync_context` replaces it.
#[tokio::test]
async fn the_metadata_of_an_older_server_is_requested() {
    let server = SyncServer::start(&where_am_i());
    server.set_context(None);
    server.set_metadata(Ok(json!({"region": "us"})));
    let (provider, mut events) = watched(of(&server)).await;
    assert_eq!(place(&provider).await, "us");
    let mut definition = where_am_i();
    definition["flags"]["new"] = super::switch(true);
    server.set(&definition);
    expect(&mut events, [crate::support::provider::changed(&["new"])]).await;
    assert_eq!(place(&provider).await, "us", "later definitions keep it");
    assert_eq!(server.seen().metadata_calls, 1);
}

#[tokio::test]
async fn an_older_server_without_metadata_is_accepted() {
    let server = SyncServer::start(&where_am_i());
    server.set_context(None);
    let provider = ready(of(&server)).await;
    assert_eq!(place(&provider).await, "nowhere");
    assert_eq!(server.seen().metadata_calls, 1);
}

#[tokio::test]
async fn an_older_server_whose_metadata_fail_is_lost() {
    let server = SyncServer::start(&where_am_i());
    server.set_context(None);
    server.set_metadata(Err(Status::unavailable("not now")));
    let provider = provider(of(&server));
    initialize(&provider).await;
    assert_eq!(provider.state(), State::Error);
    server.set_metadata(Ok(json!({"region": "us"})));
    provider.wait_ready(crate::support::wait::PATIENCE).await.unwrap();
    assert_eq!(place(&provider).await, "us");
}
