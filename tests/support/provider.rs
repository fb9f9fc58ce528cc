//! A provider for a server of the test, and what tests do with it.

use std::time::Duration;

use flagstaff::{
    FlagdOptions, FlagdProvider, ProviderEvent, State,
    flagd::{ChangedFlags, Events, FlagdOptionsBuilder},
};
use open_feature::{
    EvaluationContext, EvaluationError, EvaluationErrorCode, EvaluationReason, EvaluationResult,
    provider::{FeatureProvider, ResolutionDetails},
};

use super::wait::{PATIENCE, bounded};

pub const ALL_CHANGED: ProviderEvent = ProviderEvent::ConfigurationChanged(ChangedFlags::All);

/// Options for a server on this port of 127.0.0.1: they leave a loaded machine enough time,
/// reconnect soon, and do not depend on the environment.
pub fn near(port: u16) -> FlagdOptionsBuilder {
    swift().host("127.0.0.1").port(port)
}

/// Like [`near`], without an address.
pub fn swift() -> FlagdOptionsBuilder {
    FlagdOptions::builder()
        .deadline(PATIENCE)
        .retry_backoff(Duration::from_millis(20))
        .retry_backoff_max(Duration::from_millis(50))
        .retry_grace_period(Duration::from_secs(3600))
        .max_event_stream_retries(None)
}

/// A provider that is not initialized.
pub fn provider(options: FlagdOptionsBuilder) -> FlagdProvider {
    FlagdProvider::new(options.build_with_env(|_| None).unwrap())
}

pub async fn initialize(provider: &FlagdProvider) {
    let mut handle = provider.clone();
    bounded("initialization", handle.initialize(&EvaluationContext::default())).await;
}

/// A provider that was initialized, whether or not it is READY.
pub async fn started(options: FlagdOptionsBuilder) -> FlagdProvider {
    let provider = provider(options);
    initialize(&provider).await;
    provider
}

/// A provider that is READY.
pub async fn ready(options: FlagdOptionsBuilder) -> FlagdProvider {
    let provider = started(options).await;
    assert_eq!(provider.state(), State::Ready, "{provider:?}");
    provider
}

/// A provider that becomes READY, if need be after a deadline that is short on purpose.
pub async fn connected(options: FlagdOptionsBuilder) -> FlagdProvider {
    let provider = started(options).await;
    provider.wait_ready(PATIENCE).await.unwrap();
    provider
}

/// A provider that is READY, and its events from then on.
pub async fn watched(options: FlagdOptionsBuilder) -> (FlagdProvider, Events) {
    let provider = ready(options).await;
    let mut events = provider.events();
    expect(&mut events, [ProviderEvent::Ready]).await;
    (provider, events)
}

/// The flag as a boolean, with an empty context.
pub async fn boolean(
    provider: &FlagdProvider,
    key: &str,
) -> EvaluationResult<ResolutionDetails<bool>> {
    let context = EvaluationContext::default();
    bounded("an evaluation", provider.resolve_bool_value(key, &context)).await
}

/// Value and reason of a boolean flag that has a value.
pub async fn value(provider: &FlagdProvider, key: &str) -> (bool, EvaluationReason) {
    let details = boolean(provider, key).await.unwrap();
    (details.value, details.reason.unwrap())
}

/// The error of an evaluation that must not have a value.
pub async fn error(provider: &FlagdProvider, key: &str) -> EvaluationError {
    boolean(provider, key).await.unwrap_err()
}

/// The message, once the error is known to have this code.
#[track_caller]
pub fn message(error: &EvaluationError, code: &EvaluationErrorCode) -> String {
    assert_eq!(&error.code, code, "{error:?}");
    error.message.clone().unwrap_or_default()
}

#[track_caller]
pub fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in `{text}`");
    }
}

pub async fn next(events: &mut Events) -> ProviderEvent {
    bounded("an event", events.next()).await.expect("the provider lives")
}

/// The next events are these.
pub async fn expect(events: &mut Events, expected: impl IntoIterator<Item = ProviderEvent>) {
    for expected in expected {
        assert_eq!(next(events).await, expected);
    }
}

/// The next event is an error; returns its message and whether it is fatal.
pub async fn expect_error(events: &mut Events) -> (String, bool) {
    match next(events).await {
        ProviderEvent::Error { message, fatal } => (message, fatal),
        other => panic!("{other:?} is not an error"),
    }
}

/// The event of a change of these flags.
pub fn changed(keys: &[&str]) -> ProviderEvent {
    let keys = keys.iter().map(ToString::to_string).collect();
    ProviderEvent::ConfigurationChanged(ChangedFlags::Keys(keys))
}

/// How many tasks the runtime of this test has now.
pub fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
