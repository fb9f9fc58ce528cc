//! The end of a provider, and another initialization.

use flagstaff::{ProviderEvent, State};
use open_feature::EvaluationErrorCode;

use super::{of, switches};
use crate::support::{
    provider::{assert_contains, error, expect, initialize, message, ready, tasks, value, watched},
    servers::sync_server::SyncServer,
    wait::{bounded, eventually},
};

#[tokio::test]
async fn shutdown_ends_stream_task_and_evaluations() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let (provider, mut events) = watched(of(&server)).await;
    bounded("shutdown", provider.shutdown()).await;
    assert_eq!(provider.state(), State::NotReady);
    assert_eq!(bounded("the end of events", events.next()).await, None);
    let text = message(&error(&provider, "on").await, &EvaluationErrorCode::ProviderNotReady);
    assert_contains(&text, &["shut down"]);
    eventually("the stream to be closed", || server.open_streams() == 0).await;
    eventually("the tasks to end", || tasks() == 0).await;
}

/// OpenFeature specification 2.5.3.
#[tokio::test]
async fn a_provider_can_be_initialized_again() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let provider = ready(of(&server)).await;
    for on in [false, true] {
        provider.shutdown().await;
        server.set(&switches(&[("on", on)]));
        initialize(&provider).await;
        expect(&mut provider.events(), [ProviderEvent::Ready]).await;
        assert_eq!(value(&provider, "on").await.0, on);
    }
}

#[tokio::test]
async fn the_last_handle_takes_the_task_with_it() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let provider = ready(of(&server)).await;
    let clone = provider.clone();
    drop(provider);
    assert!(value(&clone, "on").await.0);
    drop(clone);
    eventually("the stream to be closed", || server.open_streams() == 0).await;
    eventually("the tasks to end", || tasks() == 0).await;
}

/// A provider outlives the runtime that it was initialized on (docs/lifecycle.md, "Pitfalls of the
/// SDK").
#[test]
fn rules_are_evaluated_after_the_runtime_has_ended() {
    let server = SyncServer::start(&switches(&[("on", true)]));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let provider = runtime().block_on(ready(of(&server)));
    assert_eq!(provider.state(), State::Error);
    runtime().block_on(async {
        assert!(value(&provider, "on").await.0);
        server.set(&switches(&[("on", false)]));
        initialize(&provider).await;
        assert!(!value(&provider, "on").await.0);
    });
}
