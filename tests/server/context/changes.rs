//! Changes of the fields of a context source, as clients of the server learn of them: docs/server.md,
//! "Context".

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use flagstaff::server::Server;
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::{Streaming, codegen::tokio_stream::Stream};

use super::source::{Double, Script, echo};
use crate::{
    client::{event, events, post, sync, sync_v1, v1 as client_v1},
    support::{clock::Clock, proto::v1, wait::bounded},
};

/// A server whose flags read fields of this source.
async fn serve(source: &Double) -> Server {
    let server = Server::builder().ephemeral().context_source(source.clone()).bind().await.unwrap();
    let flags = server.flags();
    flags.set("tier", echo("tier")).unwrap();
    flags.set("owner", echo("owner")).unwrap();
    flags.set("both", json!({"targeting": {"==": [{"var": "owner"}, {"var": "tier"}]}})).unwrap();
    flags.set("key", echo("targetingKey")).unwrap();
    flags.set_value("plain", true).unwrap();
    flags.flag_set("other").set("tier-too", echo("tier.name")).unwrap();
    server
}

/// The event that these flags have changed.
fn updated<const N: usize>(keys: [&str; N]) -> (String, Value) {
    let flags = keys.map(|key| (key.to_owned(), json!({"type": "update"})));
    ("configuration_change".to_owned(), json!({"flags": serde_json::Map::from_iter(flags)}))
}

/// Whether no message waits in the stream.
async fn is_pending(stream: &mut Streaming<v1::EventStreamResponse>) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_next(cx).is_pending())).await
}

/// The same once every task has done what it has to do.
async fn is_silent(stream: &mut Streaming<v1::EventStreamResponse>) -> bool {
    Clock::settle().await;
    is_pending(stream).await
}

#[tokio::test]
async fn clients_are_notified_of_the_flags_that_read_a_field() {
    let source = Double::new(json!({"tier": "gold"}));
    let server = serve(&source).await;
    let mut client = client_v1(&server).await;
    let mut all = events(&mut client, "").await;
    let mut selected = events(&mut client, "flagSetId=other").await;
    source.versions.changed(["tier"]);
    assert_eq!(event(&mut all).await, updated(["both", "tier", "tier-too"]));
    assert_eq!(event(&mut selected).await, updated(["tier-too"]));
    // A flag that was not reported just now is reported at once.
    source.versions.changed(["nobody reads it", "targetingKey", "owner"]);
    assert_eq!(event(&mut all).await, updated(["owner"]));
    assert!(is_silent(&mut selected).await);
}

/// At once, and then at most once a second, however often the field changes.
#[tokio::test]
async fn each_flag_is_reported_at_most_once_a_second() {
    let source = Double::new(json!({"tier": "gold"}));
    let server = serve(&source).await;
    let mut client = client_v1(&server).await;
    let mut stream = events(&mut client, "").await;
    tokio::time::pause();
    let clock = Clock::stopped();
    let began = Instant::now();
    source.versions.changed(["tier"]);
    let tier = updated(["both", "tier", "tier-too"]);
    assert_eq!(clock.still("the first change", event(&mut stream)).await, tier);
    for _ in 0..50 {
        source.versions.changed(["tier"]);
        clock.pass(Duration::from_millis(10)).await;
    }
    source.versions.changed(["owner"]);
    assert_eq!(clock.still("another flag", event(&mut stream)).await, updated(["owner"]));
    clock.pass(Duration::from_millis(480)).await;
    let clock = clock.settled().await;
    assert!(is_pending(&mut stream).await, "after {:?}", began.elapsed());
    clock.pass(Duration::from_millis(30)).await;
    assert_eq!(clock.still("the rest", event(&mut stream)).await, tier);
    // On the stopped clock: only what the test lets pass.
    assert!(began.elapsed() < Duration::from_millis(1_100), "{:?}", began.elapsed());
    // Nothing has changed since, so the next message is a sign of life.
    drop(clock);
    assert_eq!(stream.message().await.unwrap().unwrap().r#type, "keep_alive");
}

/// A stream is not notified of changes from before it opened.
#[tokio::test]
async fn a_new_stream_begins_with_what_is() {
    let source = Double::new(json!({"tier": "gold"}));
    let server = serve(&source).await;
    let mut client = client_v1(&server).await;
    let mut first = events(&mut client, "").await;
    source.versions.changed(["tier"]);
    event(&mut first).await;
    let mut second = events(&mut client, "").await;
    assert!(is_silent(&mut second).await);
    source.versions.changed(["owner"]);
    assert_eq!(event(&mut second).await, updated(["owner"]));
}

/// Changes of flags and of fields that come together are all reported, a removal as a removal.
#[tokio::test]
async fn a_slow_client_misses_nothing() {
    let source = Double::new(json!({"tier": "gold"}));
    let server = serve(&source).await;
    let mut client = client_v1(&server).await;
    let mut stream = events(&mut client, "").await;
    source.versions.changed(["tier"]);
    server.flags().remove("tier");
    server.flags().set_value("new", 1).unwrap();
    source.versions.changed(["owner"]);
    let mut seen = serde_json::Map::new();
    bounded("the changes", async {
        while !["tier", "new", "owner", "both", "tier-too"]
            .iter()
            .all(|key| seen.contains_key(*key))
        {
            let (_, data) = event(&mut stream).await;
            seen.extend(data["flags"].as_object().unwrap().clone());
        }
    })
    .await;
    assert_eq!(seen["tier"]["type"], "delete");
    assert_eq!(seen["new"]["type"], "write");
}

/// docs/server.md: sync clients get no fields of the source, so nothing changes for them.
#[tokio::test]
async fn sync_clients_are_not_notified() {
    let source = Double::new(json!({"tier": "gold"}));
    let server = serve(&source).await;
    let mut stream = events(&mut client_v1(&server).await, "").await;
    let request = sync_v1::SyncFlagsRequest::default();
    let mut definitions = sync(&server).await.sync_flags(request).await.unwrap().into_inner();
    let mut next = async || bounded("a definition", definitions.message()).await.unwrap().unwrap();
    let first = next().await;
    assert_eq!(first.sync_context.map(|context| context.fields.len()), Some(0));
    assert!(!first.flag_configuration.contains("gold\":\"own"));
    source.versions.changed(["tier"]);
    event(&mut stream).await;
    server.flags().set_value("new", 1).unwrap();
    let second = next().await;
    assert!(
        second.flag_configuration.contains("\"new\""),
        "the change of a field is no definition"
    );
}

/// A client of OFREP that polls gets other results as soon as the fields are other ones, and none
/// as long as they are the same to it.
#[tokio::test]
async fn the_tag_of_all_flags_covers_the_fields() {
    let source = Double::new(json!({"tier": "gold"}));
    let server = serve(&source).await;
    let path = "/ofrep/v1/evaluate/flags";
    let ask = async |tag: &str| {
        let body = r#"{"context": {"targetingKey": "user-1"}}"#;
        post(server.ofrep_addr(), path, &[("if-none-match", tag)], body).await
    };
    let first = ask("").await;
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(ask(&tag).await.status, 304);
    source.set(Script::Fields(json!({"tier": "gold", "nobody reads it": 1})));
    source.versions.changed(["nobody reads it"]);
    assert_eq!(ask(&tag).await.status, 304);
    source.set(Script::Fields(json!({"tier": "silver"})));
    let other = ask(&tag).await;
    assert_eq!(other.status, 200);
    assert!(first.text().contains("\"gold\"") && other.text().contains("\"silver\""));
    assert_ne!(other.header("etag"), Some(&*tag));
}
