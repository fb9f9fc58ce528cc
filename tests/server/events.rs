//! The event stream: ready once the flags are loaded, changes with keys, keep_alive, deadline.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use flagstaff::{
    server::{Server, ServerBuilder},
    source::Definition,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::Code;

use super::{
    client::{
        FLAGS, event, events, get, serve, serve_with, sync, sync_v1::SyncFlagsRequest,
        v1 as client_v1, v2 as client_v2, with_header,
    },
    support::{
        clock::Clock,
        proto::{v1, v2},
        sent::Sent,
        wait::bounded,
    },
};

fn change(flags: &Value) -> (String, Value) {
    ("configuration_change".to_owned(), json!({"flags": flags}))
}

/// docs/server.md, "Startup and shutdown".
#[tokio::test]
async fn ready_is_sent_once_the_flags_are_loaded() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::builder().source(Sent(receiver)).ephemeral().bind().await.unwrap();
    let mut client = client_v1(&server).await;
    let mut stream = client.event_stream(v1::EventStreamRequest {}).await.unwrap().into_inner();
    Clock::still_waits("the flags", pin!(stream.message())).await;
    assert!(!server.is_ready());
    sender.send(Definition::json(FLAGS)).unwrap();
    assert_eq!(event(&mut stream).await, ("provider_ready".to_owned(), json!({})));
    bounded("the flags", server.ready()).await;
    let request = v1::ResolveBooleanRequest { flag_key: "bool".to_owned(), context: None };
    assert!(client.resolve_boolean(request).await.unwrap().into_inner().value);
}

/// A source that is broken at the start does not hold back the flags of the others.
#[tokio::test]
async fn a_rejected_definition_is_not_waited_for() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = serve_with(Server::builder().source(Sent(receiver))).await;
    sender.send(Definition::json("{")).unwrap();
    let mut client = client_v1(&server).await;
    let mut stream = Clock::in_no_time("the stream", events(&mut client, "")).await;
    assert_eq!(get(server.management_addr(), "/readyz").await.status.as_u16(), 412);
    // What it provides later is a change.
    let flag = json!({"flags": {"late": {"variants": {"v": 1}}}});
    sender.send(Definition::json(flag.to_string())).unwrap();
    assert_eq!(event(&mut stream).await, change(&json!({"late": {"type": "write"}})));
    assert!(server.is_ready());
}

/// docs/server.md, "Startup and shutdown".
#[tokio::test]
async fn no_event_is_sent_before_there_are_flags() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::builder().source(Sent(receiver)).ephemeral().bind().await.unwrap();
    sender.send(Definition::json("{")).unwrap();
    let request = v1::EventStreamRequest {};
    let mut stream = client_v1(&server).await.event_stream(request).await.unwrap().into_inner();
    Clock::skip(Duration::from_secs(8)).await;
    Clock::still_waits("the flags", pin!(stream.message())).await;
    sender.send(Definition::json(FLAGS)).unwrap();
    assert_eq!(event(&mut stream).await.0, "provider_ready");
}

/// A source that provides nothing is waited for, but for at most 5 s.
#[tokio::test]
async fn a_silent_source_is_waited_for_a_while() {
    let (_sender, receiver) = mpsc::unbounded_channel();
    let server = serve_with(Server::builder().source(Sent(receiver))).await;
    let mut client = client_v1(&server).await;
    let request = client.event_stream(v1::EventStreamRequest {});
    let mut stream = bounded("a stream", request).await.unwrap().into_inner();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    assert_eq!(event(&mut stream).await.0, "provider_ready");
    let after = began.elapsed();
    assert!(after > Duration::from_secs(3) && after < Duration::from_secs(6), "{after:?}");
    assert!(!server.is_ready());
    let request = v1::ResolveBooleanRequest { flag_key: "bool".to_owned(), context: None };
    assert!(client.resolve_boolean(request).await.unwrap().into_inner().value);
}

/// docs/flagd.md, "Event stream": the types `write`, `update` and `delete`.
#[tokio::test]
async fn changes_name_their_flags() {
    let server = serve().await;
    let mut client = client_v1(&server).await;
    let mut stream = events(&mut client, "").await;
    let flags = server.flags();
    flags.set_value("bool", false).unwrap();
    assert_eq!(event(&mut stream).await, change(&json!({"bool": {"type": "update"}})));
    flags.set_value("new", 1).unwrap();
    assert_eq!(event(&mut stream).await, change(&json!({"new": {"type": "write"}})));
    flags.remove("new");
    assert_eq!(event(&mut stream).await, change(&json!({"new": {"type": "delete"}})));
    // An update that changes nothing emits no event.
    flags.set_value("bool", false).unwrap();
    flags.remove("never there");
    let changed = flags.update(|draft| {
        draft.set_value("int", 1).remove("float");
    });
    changed.unwrap();
    let expected = change(&json!({"int": {"type": "update"}, "float": {"type": "delete"}}));
    assert_eq!(event(&mut stream).await, expected);
    flags.replace(r#"{"flags": {}}"#).unwrap();
    let (_, data) = event(&mut stream).await;
    assert_eq!(data["flags"].as_object().unwrap().len(), 13);
}

/// Clients in other languages remove from their cache only what a change names. So each key is
/// named, however many updates come while the stream is not read.
#[tokio::test]
async fn a_burst_names_every_flag() {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..8).map(|_| mpsc::unbounded_channel()).unzip();
    let sources = receivers.into_iter().map(Sent);
    let server = sources.fold(Server::builder(), ServerBuilder::source);
    let server = server.ephemeral().bind().await.unwrap();
    let send = |round: usize| {
        for (index, sender) in senders.iter().enumerate() {
            let flag = json!({"variants": {"v": round}, "defaultVariant": "v"});
            let flags = json!({"flags": {format!("source-{index}"): flag}});
            sender.send(Definition::json(flags.to_string())).unwrap();
        }
    };
    send(0);
    let mut client = client_v1(&server).await;
    let mut stream = events(&mut client, "").await;
    let mut selected = events(&mut client, "flagSetId=").await;
    send(1);
    // Nothing else runs meanwhile: the streams see the last of these states alone.
    for key in 0..200 {
        server.flags().set_value(format!("key-{key}"), true).unwrap();
    }
    server.flags().remove("key-7");
    for stream in [&mut stream, &mut selected] {
        let mut missing: BTreeSet<_> = (0..200).map(|key| format!("key-{key}")).collect();
        missing.extend((0..8).map(|index| format!("source-{index}")));
        while !missing.is_empty() {
            let (kind, data) = event(stream).await;
            assert_eq!(kind, "configuration_change");
            let flags = data["flags"].as_object().unwrap();
            assert!(!flags.is_empty());
            for (key, change) in flags {
                missing.remove(key);
                assert_eq!(change["type"] == "delete", key == "key-7", "{key}: {change}");
            }
        }
    }
}

/// docs/flagd.md, "Sources": an invalid update is rejected as a whole, and no event is sent.
#[tokio::test]
async fn an_invalid_update_changes_nothing() {
    let server = serve().await;
    let mut stream = events(&mut client_v1(&server).await, "").await;
    let flags = server.flags();
    flags.set("bool", json!({"variants": {}, "defaultVariant": "on"})).unwrap_err();
    flags.replace("{").unwrap_err();
    let broken = json!({"variants": 1});
    let changed = flags.update(|draft| {
        draft.set_value("int", 7).set("b", broken);
    });
    changed.unwrap_err();
    flags.set_value("last", true).unwrap();
    assert_eq!(event(&mut stream).await, change(&json!({"last": {"type": "write"}})));
}

/// docs/flagd.md, "Selectors".
#[tokio::test]
async fn a_selector_shows_its_changes_only() {
    let server = serve().await;
    let flags = server.flags();
    let mut client = client_v1(&server).await;
    let mut one = events(&mut client, "flagSetId=one").await;
    let mut none = events(&mut client, "flagSetId=").await;
    let flag = |id: &str| json!({"variants": {"v": 1}, "metadata": {"flagSetId": id}});
    flags.set("a", flag("two")).unwrap();
    flags.set("a", flag("one")).unwrap();
    assert_eq!(event(&mut one).await, change(&json!({"a": {"type": "write"}})));
    flags.set("a", flag("two")).unwrap();
    assert_eq!(event(&mut one).await, change(&json!({"a": {"type": "delete"}})));
    flags.set_value("b", 1).unwrap();
    assert_eq!(event(&mut none).await, change(&json!({"b": {"type": "write"}})));
}

/// docs/flagd.md, "Event stream": `keep_alive` after 20 s of silence, over both versions.
#[tokio::test]
async fn quiet_streams_are_kept_alive() {
    let server = serve().await;
    let mut stream = events(&mut client_v1(&server).await, "").await;
    let mut second =
        client_v2(&server).await.event_stream(v2::EventStreamRequest {}).await.unwrap();
    let ready = bounded("ready", second.get_mut().message()).await.unwrap().unwrap();
    assert_eq!((ready.r#type.as_str(), ready.data.is_some()), ("provider_ready", true));

    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let alive = stream.message().await.unwrap().unwrap();
    assert_eq!((alive.r#type.as_str(), alive.data), ("keep_alive", None));
    let after = began.elapsed();
    assert!(after > Duration::from_secs(19) && after < Duration::from_secs(21), "{after:?}");
    let alive = second.get_mut().message().await.unwrap().unwrap();
    assert_eq!(alive.r#type, "keep_alive");
}

/// docs/flagd.md, "Event stream": `--stream-deadline`.
#[tokio::test]
async fn streams_end_at_their_deadline() {
    let server = serve_with(Server::builder().stream_deadline(Duration::from_millis(50))).await;
    let mut stream = events(&mut client_v1(&server).await, "").await;
    let status = bounded("the end", stream.message()).await.unwrap_err();
    let expected = (Code::DeadlineExceeded, "stream closed due to server-side timeout");
    assert_eq!((status.code(), status.message()), expected);
}

/// The client's own deadline ends its stream; an invalid one is rejected.
#[tokio::test]
async fn streams_end_at_the_deadline_of_the_client() {
    let server = serve_with(Server::builder().stream_deadline(Duration::from_secs(900))).await;
    let mut client = client_v1(&server).await;
    let mut sync_client = sync(&server).await;
    let expected = (Code::DeadlineExceeded, "stream closed due to server-side timeout");
    for timeout in ["50m", "50000u"] {
        let request = with_header(v1::EventStreamRequest {}, "grpc-timeout", timeout);
        let mut stream = client.event_stream(request).await.unwrap().into_inner();
        assert_eq!(event(&mut stream).await.0, "provider_ready");
        let status = bounded("the end", stream.message()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), expected);

        let request = with_header(SyncFlagsRequest::default(), "grpc-timeout", timeout);
        let mut stream = sync_client.sync_flags(request).await.unwrap().into_inner();
        bounded("a definition", stream.message()).await.unwrap().unwrap();
        let status = bounded("the end", stream.message()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), expected);
    }
    let request = with_header(v1::EventStreamRequest {}, "grpc-timeout", "99999999H");
    let mut stream = client.event_stream(request).await.unwrap().into_inner();
    assert_eq!(event(&mut stream).await.0, "provider_ready");
    let request = with_header(v1::EventStreamRequest {}, "grpc-timeout", "1 day");
    let mut stream = client.event_stream(request).await.unwrap().into_inner();
    let status = bounded("the end", stream.message()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}
