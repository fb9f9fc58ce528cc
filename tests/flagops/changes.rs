//! The change stream: what it reports, how its set changes, and how it goes on after a fault.

use flagstaff::flagops::{ChangeEvent, Changes, FactsError, Subscription};
use std::time::Duration;

use super::{
    double::{Does, Store},
    wait::{bounded, eventually},
};

async fn next(changes: &mut Changes) -> ChangeEvent {
    bounded("an event", changes.next()).await.unwrap()
}

/// The next event, after errors if there are any.
async fn recovered(changes: &mut Changes) -> ChangeEvent {
    bounded("an event", async {
        loop {
            if let Ok(event) = changes.next().await {
                return event;
            }
        }
    })
    .await
}

async fn error(changes: &mut Changes) -> FactsError {
    bounded("an error", changes.next()).await.unwrap_err()
}

fn changed(sequence: u64, identity: &str, key: &str, value: Option<&str>) -> ChangeEvent {
    let (identity, key) = (identity.to_owned(), key.to_owned());
    ChangeEvent::Changed { sequence, identity, key, value: value.map(str::to_owned) }
}

#[tokio::test]
async fn all_or_a_prefix() {
    let store = Store::start().await;
    let client = store.client();
    store.set("a", "x", "before");
    let mut all = client.changes(Subscription::all()).unwrap();
    let mut some = client.changes(Subscription::prefix("b&")).unwrap();
    assert!(all.handle().is_none() && some.handle().is_none());
    for changes in [&mut all, &mut some] {
        assert_eq!(next(changes).await, ChangeEvent::Ready { sequence: 1 });
    }
    store.set("a", "x", "1");
    store.set("b&c", "y", "2");
    store.remove("b&c", "y");
    store.erase("a");
    assert_eq!(next(&mut all).await, changed(2, "a", "x", Some("1")));
    assert_eq!(next(&mut all).await, changed(3, "b&c", "y", Some("2")));
    assert_eq!(next(&mut all).await, changed(4, "b&c", "y", None));
    let erased = ChangeEvent::Erased { sequence: 5, identity: "a".to_owned() };
    assert_eq!(next(&mut all).await, erased);
    assert_eq!(next(&mut some).await, changed(3, "b&c", "y", Some("2")));
    assert_eq!(next(&mut some).await, changed(4, "b&c", "y", None));
}

#[tokio::test]
async fn a_set_changes_while_the_stream_is_open() {
    let store = Store::start().await;
    let mut changes = store.client().changes(Subscription::of(["a"])).unwrap();
    let set = changes.handle().unwrap();
    assert_eq!(next(&mut changes).await, ChangeEvent::Ready { sequence: 0 });
    store.set("b", "x", "0");
    set.add("b").unwrap();
    let added = |sequence| ChangeEvent::Added { sequence, identities: vec!["b".to_owned()] };
    assert_eq!(next(&mut changes).await, added(1));
    store.set("b", "x", "1");
    assert_eq!(next(&mut changes).await, changed(2, "b", "x", Some("1")));
    set.remove("b");
    let waiting = tokio::spawn(async move { next(&mut changes).await });
    eventually("the set to shrink", || store.watched().len() == 1).await;
    store.set("b", "x", "2");
    store.set("a", "x", "3");
    assert_eq!(waiting.await.unwrap(), changed(4, "a", "x", Some("3")));
    set.add("../a").unwrap_err();
    assert_eq!(store.asked("POST /api/changes").len(), 1);
}

/// Another replica may have the stream, or it has just ended.
#[tokio::test]
async fn a_stream_that_the_store_does_not_know_is_opened_again_with_the_new_set() {
    let store = Store::start().await;
    let mut changes = store.client().changes(Subscription::of(["a"])).unwrap();
    next(&mut changes).await;
    store.forget_streams();
    changes.handle().unwrap().add("b").unwrap();
    assert_eq!(next(&mut changes).await, ChangeEvent::Ready { sequence: 0 });
    let added = ChangeEvent::Added { sequence: 0, identities: vec!["b".to_owned()] };
    assert_eq!(next(&mut changes).await, added);
    assert_eq!(store.asked("POST /api/changes").len(), 2);
}

#[tokio::test]
async fn without_identities_there_is_no_stream() {
    let store = Store::start().await;
    let mut changes = store.client().changes(Subscription::of([""; 0])).unwrap();
    let set = changes.handle().unwrap();
    let waiting = tokio::spawn(async move { next(&mut changes).await });
    tokio::task::yield_now().await;
    assert!(store.asked("").is_empty());
    set.add("a").unwrap();
    assert_eq!(waiting.await.unwrap(), ChangeEvent::Ready { sequence: 0 });
}

#[tokio::test]
async fn a_cut_stream_goes_on_without_a_gap() {
    let store = Store::start().await;
    let mut changes = store.client().changes(Subscription::all()).unwrap();
    next(&mut changes).await;
    store.set("a", "x", "1");
    next(&mut changes).await;
    store.cut();
    eventually("the stream to be cut", || store.streams() == 0).await;
    store.set("a", "x", "2");
    assert!(error(&mut changes).await.is_temporary());
    assert_eq!(next(&mut changes).await, ChangeEvent::Ready { sequence: 1 });
    assert_eq!(next(&mut changes).await, changed(2, "a", "x", Some("2")));
    let asked = store.asked("GET /api/changes");
    assert_eq!(asked[1].headers["last-event-id"], "1");
    assert!(!asked[0].headers.contains_key("last-event-id"));
}

#[tokio::test]
async fn a_reset_is_reported() {
    let store = Store::start().await;
    let mut changes = store.client().changes(Subscription::all()).unwrap();
    next(&mut changes).await;
    store.forget();
    error(&mut changes).await;
    assert_eq!(next(&mut changes).await, ChangeEvent::Ready { sequence: 0 });
    assert_eq!(next(&mut changes).await, ChangeEvent::Reset { sequence: 1 });
    store.set("a", "x", "1");
    assert_eq!(next(&mut changes).await, changed(2, "a", "x", Some("1")));
}

#[tokio::test]
async fn garbage_interrupts_the_stream_and_no_more() {
    let store = Store::start().await;
    let mut changes = store.client().changes(Subscription::all()).unwrap();
    next(&mut changes).await;
    for garbage in ["event: change\ndata: {}\n\n", "event: ready\nid: x\n\n"] {
        store.send_raw(garbage);
        let error = error(&mut changes).await;
        assert!(matches!(error, FactsError::Unexpected { .. }), "{error:?}");
        assert!(matches!(next(&mut changes).await, ChangeEvent::Ready { .. }));
    }
    store.send_raw("event: news\nid: 99\ndata: x\n\n: comment\n\n");
    store.set("a", "x", "1");
    assert_eq!(next(&mut changes).await, changed(1, "a", "x", Some("1")));
    store.send_raw(&format!("data: {}", "x".repeat(2 << 20)));
    let error = error(&mut changes).await;
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[tokio::test]
async fn the_store_can_end_the_stream() {
    let store = Store::start().await;
    store.requires("old");
    let client = store.builder().token("old").build().unwrap();
    let mut changes = client.changes(Subscription::all()).unwrap();
    next(&mut changes).await;
    store.requires("new");
    store.send_raw("event: end\ndata: {\"reason\":\"token revoked\"}\n\n");
    let ended = error(&mut changes).await;
    assert!(ended.to_string().contains("token revoked"), "{ended}");
    assert!(matches!(error(&mut changes).await, FactsError::Unauthorized(_)));
    store.requires("old");
    assert_eq!(recovered(&mut changes).await, ChangeEvent::Ready { sequence: 0 });
}

#[tokio::test]
async fn a_stream_without_a_sign_of_life_counts_as_lost() {
    let store = Store::start().await;
    let client = store.builder().idle_timeout(Duration::from_millis(100)).build().unwrap();
    let mut changes = client.changes(Subscription::all()).unwrap();
    next(&mut changes).await;
    let error = error(&mut changes).await;
    assert!(matches!(error, FactsError::Unreachable(_)), "{error:?}");
    store.set("a", "x", "1");
    let mut event = recovered(&mut changes).await;
    while matches!(event, ChangeEvent::Ready { .. }) {
        event = recovered(&mut changes).await;
    }
    assert_eq!(event, changed(1, "a", "x", Some("1")));
}

#[tokio::test]
async fn a_response_that_is_no_stream_is_an_error() {
    let store = Store::start().await;
    let mut changes = store.client().changes(Subscription::all()).unwrap();
    store.does(|_| Some(Does::Body(200, "text/html", "<html>".to_owned())));
    assert!(matches!(error(&mut changes).await, FactsError::Unexpected { .. }));
    store.does(|_| Some(Does::Status(503)));
    assert!(matches!(error(&mut changes).await, FactsError::Unavailable { .. }));
    store.recovers();
    assert_eq!(recovered(&mut changes).await, ChangeEvent::Ready { sequence: 0 });
}

/// Whoever waits may stop waiting at any time.
#[tokio::test]
async fn next_is_cancel_safe() {
    let store = Store::start().await;
    let mut changes = store.client().changes(Subscription::of(["a"])).unwrap();
    let set = changes.handle().unwrap();
    let mut events = Vec::new();
    let mut n = 0;
    bounded("all events", async {
        while events.len() < 20 {
            if let Ok(event) =
                tokio::time::timeout(Duration::from_micros(300), changes.next()).await
                && let ChangeEvent::Changed { value, .. } = event.unwrap()
            {
                events.push(value.unwrap());
            }
            if n < 20 && store.streams() > 0 {
                store.set("a", "x", &n.to_string());
                set.add(&format!("b{n}")).unwrap();
                n += 1;
            }
        }
    })
    .await;
    let expected: Vec<_> = (0..20).map(|n: i32| n.to_string()).collect();
    assert_eq!(events, expected);
}
