//! How the provider ends, and that it leaves nothing behind: docs/lifecycle.md, "Initialization",
//! and OpenFeature specification 2.5.

use std::{
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use crate::support::{
    provider::{
        assert_contains, boolean, error, expect_error, initialize, message, near, provider, ready,
        started, tasks, value, watched,
    },
    scripted::{ScriptedServer, StreamMode},
    servers::raw::{SilentPeer, closed_port},
    wait::{PATIENCE, bounded, eventually},
};
use flagstaff::{FlagdProvider, State};
use open_feature::{
    EvaluationContext, EvaluationErrorCode, EvaluationReason, OpenFeature,
    provider::FeatureProvider,
};
use tokio::runtime::{Builder, Runtime};
use tonic::Status;

const NOT_READY: EvaluationErrorCode = EvaluationErrorCode::ProviderNotReady;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn nothing_is_left(server: &ScriptedServer, before: usize) {
    let gone = "the stream and the connection to end";
    server.wait_until(gone, |seen| seen.streams_open == 0 && seen.connections.open == 0).await;
    eventually("the tasks to end", || tasks() == before).await;
}

/// docs/lifecycle.md, "Transitions"; OpenFeature specification 2.5.1 and 2.5.3: a provider that was
/// shut down can be initialized again.
#[tokio::test]
async fn a_shutdown_ends_all_and_the_provider_can_begin_anew() {
    let before = tasks();
    let server = ScriptedServer::start();
    server.set("on", true);
    let (provider, mut events) = watched(near(server.port())).await;
    boolean(&provider, "on").await.unwrap();
    bounded("the shutdown", provider.shutdown()).await;
    assert_eq!(provider.state(), State::NotReady);
    assert_eq!(bounded("the end of the events", events.next()).await, None);
    nothing_is_left(&server, before).await;
    let error = error(&provider, "on").await;
    assert_contains(&message(&error, &NOT_READY), &["shut down"]);
    bounded("another shutdown", provider.shutdown()).await;

    initialize(&provider).await;
    assert_eq!(provider.state(), State::Ready);
    assert_eq!(
        value(&provider, "on").await,
        (true, EvaluationReason::Static),
        "not from the cache"
    );
    assert_eq!(server.observed().connections.accepted, 2);
}

/// The SDK does not shut providers down: it drops them.
#[tokio::test]
async fn dropping_the_last_handle_ends_all() {
    let before = tasks();
    let server = ScriptedServer::start();
    server.set("on", true);
    let (provider, mut events) = watched(near(server.port())).await;
    let other = provider.clone();
    drop(provider);
    assert!(boolean(&other, "on").await.unwrap().value, "one handle is enough");
    assert_eq!(server.observed().streams_open, 1);
    drop(other);
    assert_eq!(bounded("the end of the events", events.next()).await, None);
    nothing_is_left(&server, before).await;
}

/// The same through the SDK, which drops a provider when it takes another.
#[tokio::test]
async fn the_sdk_ends_a_provider_by_replacing_it() {
    let before = tasks();
    let (server, other) = (ScriptedServer::start(), ScriptedServer::start());
    let mut api = OpenFeature::default();
    api.set_provider(provider(near(server.port()))).await;
    server.wait_for_streams(1).await;
    api.set_provider(provider(near(other.port()))).await;
    server.wait_for_streams(0).await;
    drop(api);
    nothing_is_left(&server, before).await;
    nothing_is_left(&other, before).await;
}

/// Not even a task is left, as with other providers.
#[tokio::test]
async fn nothing_is_left_of_a_failed_initialization() {
    let before = tasks();
    let refusing = ScriptedServer::builder().streams(StreamMode::Fail(Status::unavailable("")));
    let silent = ScriptedServer::builder().streams(StreamMode::Silent);
    let deadline = std::time::Duration::from_millis(50);
    for server in [refusing.start(), silent.start()] {
        let port = server.port();
        let provider = started(near(port).deadline(deadline)).await;
        assert_eq!(provider.state(), State::Error);
        drop(provider);
        nothing_is_left(&server, before).await;
        let provider = started(near(port).deadline(deadline)).await;
        bounded("the shutdown", provider.shutdown()).await;
        assert_eq!(provider.state(), State::NotReady);
        nothing_is_left(&server, before).await;
    }
    let peer = SilentPeer::start();
    for port in [peer.port(), closed_port()] {
        drop(started(near(port).deadline(deadline)).await);
        eventually("the tasks to end", || tasks() == before).await;
    }
    peer.wait_until("the connection to end", |seen| seen.open == 0).await;
}

/// A caller that loses patience drops the future, and the provider with it.
#[tokio::test]
async fn nothing_is_left_of_a_cancelled_initialization() {
    let before = tasks();
    let server = ScriptedServer::builder().streams(StreamMode::Silent).start();
    {
        let mut provider = provider(near(server.port()));
        let context = EvaluationContext::default();
        let mut initializing = provider.initialize(&context);
        tokio::select! {
            () = &mut initializing => panic!("nobody said ready"),
            () = server.wait_for_streams(1) => {}
        }
    }
    nothing_is_left(&server, before).await;
}

/// While the SDK initializes a provider, every evaluation in the program waits.
#[tokio::test]
async fn a_shutdown_ends_an_initialization() {
    let server = ScriptedServer::builder().streams(StreamMode::Silent).start();
    let provider = provider(near(server.port()));
    let stopping = async {
        server.wait_for_streams(1).await;
        provider.shutdown().await;
    };
    tokio::join!(initialize(&provider), stopping);
    assert_eq!(provider.state(), State::NotReady);
}

/// The last call wins, and a provider that is READY evaluates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_and_an_initialization_at_once_leave_no_half_of_a_provider() {
    let server = ScriptedServer::start();
    server.set("on", true);
    for _ in 0..100 {
        let provider = ready(near(server.port())).await;
        let spawn =
            |provider: FlagdProvider| tokio::spawn(async move { initialize(&provider).await });
        let initializing = spawn(provider.clone());
        bounded("the shutdown", provider.shutdown()).await;
        initializing.await.unwrap();
        initialize(&provider).await;
        assert_eq!(provider.state(), State::Ready);
        assert!(boolean(&provider, "on").await.unwrap().value);
    }
}

/// docs/lifecycle.md, "Pitfalls of the SDK": the error says what happened; and the provider can be
/// initialized again on another runtime, where initialization waits for READY as the first one did.
#[test]
fn a_runtime_that_has_ended_is_named_and_can_be_replaced() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let first = runtime();
    let (provider, mut events) = first.block_on(watched(near(server.port())));
    assert!(first.block_on(boolean(&provider, "on")).unwrap().value);
    drop(first);

    let second = runtime();
    second.block_on(async {
        let (text, fatal) = expect_error(&mut events).await;
        assert!(!fatal && text.contains("runtime"), "{text}");
        let error = error(&provider, "on").await;
        assert_contains(&message(&error, &NOT_READY), &["runtime", "has ended", "initialize it"]);

        initialize(&provider).await;
        assert_eq!(provider.state(), State::Ready);
        assert_eq!(value(&provider, "on").await, (true, EvaluationReason::Static));
    });
}

/// A call in flight when the runtime ends fails at once: nothing would reconnect.
#[test]
fn a_call_under_way_ends_with_the_runtime_of_the_provider() {
    let server = ScriptedServer::start();
    // It works while the other runtime is used.
    let first = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let second = runtime();
    // Longer than any test waits.
    let deadline = Duration::from_secs(600);
    let provider = first.block_on(ready(near(server.port()).deadline(deadline)));
    let gate = server.gate("on");
    second.block_on(async {
        let call = tokio::spawn({
            let provider = provider.clone();
            async move { error(&provider, "on").await }
        });
        bounded("the call", gate.wait_for(1)).await;
        tokio::task::spawn_blocking(|| drop(first)).await.unwrap();
        assert_contains(&message(&call.await.unwrap(), &NOT_READY), &["runtime"]);
    });
}

/// After the loss of its runtime, a provider that is shut down is NOT_READY like any other.
#[test]
fn a_provider_whose_runtime_has_ended_can_be_shut_down() {
    let server = ScriptedServer::start();
    let first = runtime();
    let provider = first.block_on(ready(near(server.port())));
    drop(first);
    runtime().block_on(async {
        assert_eq!(provider.state(), State::Error);
        bounded("the shutdown", provider.shutdown()).await;
        assert_eq!(provider.state(), State::NotReady);
    });
}

/// Without a runtime there is neither a panic nor the end of the provider.
#[test]
fn initialization_without_a_runtime_says_so() {
    let server = ScriptedServer::start();
    let mut handle = provider(near(server.port()));
    let provider = handle.clone();
    let context = EvaluationContext::default();
    let polled = pin!(handle.initialize(&context)).poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready());
    runtime().block_on(async {
        let error = error(&provider, "on").await;
        assert_contains(&message(&error, &NOT_READY), &["needs a Tokio runtime"]);
        initialize(&provider).await;
        provider.wait_ready(PATIENCE).await.unwrap();
    });
}

/// A shutdown that is cancelled halfway, for example by a timeout, is completed by the next
/// operation that needs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_shutdown_does_not_harm_a_later_initialization() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let mut provider = started(near(server.port())).await;
    for round in 0..50 {
        let mut shutdown = Box::pin(provider.shutdown());
        let polled = std::future::Future::poll(
            shutdown.as_mut(),
            &mut std::task::Context::from_waker(std::task::Waker::noop()),
        );
        drop(shutdown);
        provider.initialize(&EvaluationContext::default()).await;
        assert_eq!(provider.state(), State::Ready, "round {round}, {polled:?}");
        assert!(boolean(&provider, "on").await.unwrap().value, "round {round}");
    }
}
