//! What subscribers receive, and that they do not disturb each other: docs/lifecycle.md, "Events",
//! and OpenFeature specification 5.1 to 5.3.

use std::{future::Future, pin::pin, task::Poll, time::Duration};

use crate::support::{
    provider::{
        ALL_CHANGED, assert_contains, boolean, changed, error, expect, expect_error, initialize,
        near, next, provider, ready, started, value, watched,
    },
    scripted::{ScriptedServer, StreamMode},
    servers::raw::closed_port,
    wait::bounded,
};
use flagstaff::{
    FlagdProvider, ProviderEvent, State,
    flagd::{ChangedFlags, Events},
};
use open_feature::{EvaluationReason, OpenFeature};
use tokio_stream::StreamExt as _;
use tonic::Status;

/// Whether an event is available now.
async fn pending(events: &mut Events) -> bool {
    let mut next = pin!(events.next());
    std::future::poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending())).await
}

/// docs/lifecycle.md, "Events": an event stream works before and after the provider is passed to
/// the SDK. A program begins with these lines.
#[tokio::test]
async fn events_work_before_and_after_the_provider_is_handed_to_the_sdk() {
    let server = ScriptedServer::start();
    let provider = provider(near(server.port()));
    let handle = provider.clone();
    let mut before = provider.events();
    assert!(pending(&mut before).await, "NOT_READY has no event");
    let mut api = OpenFeature::default();
    api.set_provider(provider).await;
    expect(&mut before, [ProviderEvent::Ready]).await;

    let mut after = handle.events();
    expect(&mut after, [ProviderEvent::Ready]).await;
    server.change(&["on"]);
    expect(&mut before, [changed(&["on"])]).await;
    expect(&mut after, [changed(&["on"])]).await;
}

/// docs/lifecycle.md, "Events": it begins with the event that matches the current state;
/// specification 5.3.3.
#[tokio::test]
async fn a_subscription_begins_with_the_event_of_the_state() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port()).max_event_stream_retries(3)).await;
    expect(&mut provider.events(), [ProviderEvent::Ready]).await;

    server.next_streams([StreamMode::Hang]);
    server.streams(StreamMode::Fail(Status::unavailable("away")));
    let mut events = provider.events();
    server.end_streams(None);
    expect(&mut events, [ProviderEvent::Ready, ProviderEvent::Stale]).await;
    expect(&mut provider.events(), [ProviderEvent::Stale]).await;

    server.wait_until("the attempt that hangs", |seen| seen.streams_opened() == 2).await;
    server.restart(); // ends it
    expect_error(&mut events).await;
    assert!(!expect_error(&mut provider.events()).await.1);

    provider.shutdown().await;
    assert!(pending(&mut provider.events()).await);

    let mut fatal = started(near(1).target_uri("http://x")).await.events();
    let (message, fatal) = expect_error(&mut fatal).await;
    assert!(fatal && message.contains("targetUri"), "{message}");
}

/// Each subscriber sees all events, from its subscription on, in the same order.
#[tokio::test]
async fn subscribers_do_not_share_their_events() {
    let server = ScriptedServer::start();
    let (provider, first) = watched(near(server.port())).await;
    let mut subscribers = vec![first];
    for key in ["a", "b", "c"] {
        server.change(&[key]);
        for events in &mut subscribers {
            expect(events, [changed(&[key])]).await;
        }
        let mut events = provider.events();
        expect(&mut events, [ProviderEvent::Ready]).await;
        subscribers.push(events);
    }
    assert!(subscribers.pop().is_some(), "one that goes is not missed");
    server.change(&["d"]);
    for mut events in subscribers {
        expect(&mut events, [changed(&["d"])]).await;
        assert!(pending(&mut events).await);
    }
}

/// docs/lifecycle.md, "Events"; what was emitted before its end is still received.
#[tokio::test]
async fn a_subscription_does_not_keep_the_provider_alive() {
    let server = ScriptedServer::start();
    let (provider, mut events) = watched(near(server.port())).await;
    let mut observer = provider.events();
    server.change(&["on"]);
    expect(&mut observer, [ProviderEvent::Ready, changed(&["on"])]).await;
    drop(provider);
    server.wait_for_streams(0).await;
    expect(&mut events, [changed(&["on"])]).await;
    assert_eq!(bounded("the end", events.next()).await, None);
    assert_eq!(bounded("the end", events.next()).await, None, "it stays at its end");
}

/// A subscriber is a `Stream` too.
#[tokio::test]
async fn events_are_a_stream() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    let events = provider.events();
    server.change(&["on"]);
    let expected = [ProviderEvent::Ready, changed(&["on"])];
    let seen: Vec<_> = bounded("two events", events.take(2).collect()).await;
    assert_eq!(seen, expected);
}

/// A slow reader receives `Lagged`.
#[tokio::test]
async fn a_slow_reader_learns_what_it_missed_and_blocks_nobody() {
    const CHANGES: u64 = 5_000;
    let server = ScriptedServer::start();
    server.set("on", true);
    let (provider, mut quick) = watched(near(server.port())).await;
    let mut slow = provider.events();
    for change in 0..CHANGES {
        server.change(&[&change.to_string()]);
    }
    server.change(&["last"]);
    let (mut told, mut missed) = (0, 0);
    loop {
        match next(&mut quick).await {
            event if event == changed(&["last"]) => break,
            ProviderEvent::Lagged(events) => {
                missed += events;
                expect(&mut quick, [ProviderEvent::Ready]).await; // the state, in case it was missed
            }
            _ => told += 1,
        }
    }
    assert_eq!(told + missed, CHANGES, "nothing goes without a word");
    assert!(boolean(&provider, "on").await.unwrap().value, "nobody was blocked");

    expect(&mut slow, [ProviderEvent::Ready]).await;
    let ProviderEvent::Lagged(missed) = next(&mut slow).await else { panic!("it did not lag") };
    expect(&mut slow, [ProviderEvent::Ready]).await;
    let mut rest = 0;
    while next(&mut slow).await != changed(&["last"]) {
        rest += 1;
    }
    assert_eq!(missed + rest, CHANGES, "nothing goes without a word");
    server.change(&["later"]);
    expect(&mut slow, [changed(&["later"])]).await;
}

/// docs/lifecycle.md, "Events": the cache is updated before the event is emitted.
#[tokio::test]
async fn a_reconnection_emits_ready_and_then_a_change_of_all_flags() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let (provider, mut events) = watched(near(server.port())).await;
    boolean(&provider, "on").await.unwrap();
    server.set("on", false);
    server.restart();
    expect(&mut events, [ProviderEvent::Stale, ProviderEvent::Ready]).await;
    assert_eq!(provider.state(), State::Ready);
    assert_eq!(value(&provider, "on").await, (false, EvaluationReason::Static));
    expect(&mut events, [ALL_CHANGED]).await;
}

/// docs/lifecycle.md, "Transitions": in ERROR, another failed attempt emits nothing, however it
/// fails; evaluations still name the latest cause.
#[tokio::test]
async fn further_failures_in_error_emit_nothing() {
    let server = ScriptedServer::start();
    let refusals = ["one", "two", "three"].map(|why| StreamMode::Fail(Status::unavailable(why)));
    server.next_streams(refusals);
    server.streams(StreamMode::CloseAtOnce);
    server.hang_all();
    let provider = started(near(server.port()).deadline(Duration::from_millis(500))).await;
    let mut events = provider.events();
    server.wait_until("attempts", |seen| seen.streams_opened() >= 6).await;
    assert!(expect_error(&mut events).await.0.contains("UNAVAILABLE"));
    // One call is made and hangs; the other fails with the cause.
    let (one, two) = tokio::join!(error(&provider, "on"), error(&provider, "on"));
    let texts = [one, two].map(|error| error.message.unwrap_or_default());
    assert_contains(&texts.join("\n"), &["DEADLINE_EXCEEDED", "closed the event stream"]);
    server.streams(StreamMode::Ready);
    expect(&mut events, [ProviderEvent::Ready, ALL_CHANGED]).await;
}

/// docs/flagd.md, "Event stream": a `configuration_change` that names flags, in flagd's three types
/// of change and in its oldest form.
#[tokio::test]
async fn changes_carry_their_keys() {
    let server = ScriptedServer::start();
    let (_provider, mut events) = watched(near(server.port())).await;
    let flags = serde_json::json!({ "flags": {
        "a": { "type": "write" }, "b": { "type": "update" }, "ü 🚩": { "type": "delete" },
    } });
    server.send_json("configuration_change", &flags);
    expect(&mut events, [changed(&["a", "b", "ü 🚩"])]).await;
    let oldest = serde_json::json!({ "type": "update", "source": "file", "flagKey": "c" });
    server.send_json("configuration_change", &oldest);
    expect(&mut events, [changed(&["c"])]).await;
}

/// All keys arrive, and only those are removed from the cache.
#[tokio::test]
async fn ten_thousand_flags_change_in_one_event() {
    let server = ScriptedServer::start();
    let keys: Vec<_> = (0..10_000).map(|number| format!("flag-{number}")).collect();
    let others = ["flag", "flag-10000"];
    let cached: Vec<_> = keys.iter().step_by(1_000).map(String::as_str).collect();
    for key in cached.iter().chain(&others) {
        server.set(key, true);
    }
    let (provider, mut events) = watched(near(server.port())).await;
    for key in cached.iter().chain(&others) {
        boolean(&provider, key).await.unwrap();
    }
    let names: Vec<_> = keys.iter().map(String::as_str).collect();
    assert_eq!(server.change(&names), 1);
    let ProviderEvent::ConfigurationChanged(ChangedFlags::Keys(told)) = next(&mut events).await
    else {
        panic!("no change of keys")
    };
    let (mut told, mut sent) = (told.to_vec(), keys.clone());
    told.sort();
    sent.sort();
    assert_eq!(told, sent);
    assert_eq!(provider.stats().cache_entries, others.len());
    assert_eq!(provider.stats().cache_invalidations, cached.len() as u64);
    for key in others {
        assert_eq!(value(&provider, key).await, (true, EvaluationReason::Cached));
    }
    assert_eq!(value(&provider, cached[3]).await, (true, EvaluationReason::Static));
}

/// Subscriptions to a provider without flagd work like any other.
#[tokio::test]
async fn earlier_subscribers_receive_an_error() {
    let provider: FlagdProvider = provider(near(closed_port()));
    let mut events = provider.events();
    initialize(&provider).await;
    let (message, fatal) = expect_error(&mut events).await;
    assert!(!fatal && message.contains("refused"), "{message}");
    assert!(pending(&mut events).await);
}
