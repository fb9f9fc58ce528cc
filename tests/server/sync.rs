//! The sync protocol, and flagstaff as a source of flagstaff.

use std::pin::pin;

use flagstaff::{
    FlagdOptions,
    flagd::{Resolver, SyncSource},
    server::Server,
    source::Definition,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::{Code, Streaming};

use super::{
    client::{event, events, serve, sync, sync_v1, v1 as client_v1, with_header},
    support::{clock::Clock, proto::v1, sent::Sent, wait::bounded},
};

use sync_v1::{FetchAllFlagsRequest, SyncFlagsRequest, SyncFlagsResponse};

async fn next(stream: &mut Streaming<SyncFlagsResponse>) -> Value {
    let message = bounded("a definition", stream.message()).await.unwrap().unwrap();
    serde_json::from_str(&message.flag_configuration).unwrap()
}

/// docs/flagd.md, "Sync service": the whole definition, with the metadata of the flag set and
/// `source`.
#[tokio::test]
async fn the_whole_definition_at_each_change() {
    let server = serve().await;
    let mut client = sync(&server).await;
    let mut stream = client.sync_flags(SyncFlagsRequest::default()).await.unwrap().into_inner();
    let definition = next(&mut stream).await;
    assert_eq!(definition["flags"].as_object().unwrap().len(), 14);
    let expected = json!({
        "state": "", "source": "memory", "variants": {"on": true, "off": false},
        "defaultVariant": "on", "metadata": {"own": 1, "team": "x"},
    });
    assert_eq!(definition["flags"]["bool"], expected);
    server.flags().set_value("bool", false).unwrap();
    assert_eq!(next(&mut stream).await["flags"]["bool"]["defaultVariant"], "off");

    let all = client.fetch_all_flags(FetchAllFlagsRequest::default()).await.unwrap().into_inner();
    let all: Value = serde_json::from_str(&all.flag_configuration).unwrap();
    assert_eq!(all["flags"]["bool"]["defaultVariant"], "off");
}

/// docs/flagd.md, "Sync service": a selector that matches nothing; and the header overrides the
/// field.
#[tokio::test]
async fn selectors_by_field_and_header() {
    let server = serve().await;
    let mut client = sync(&server).await;
    let by_field = |selector: &str| SyncFlagsRequest {
        selector: selector.to_owned(),
        ..SyncFlagsRequest::default()
    };
    let mut stream = client.sync_flags(by_field("flagSetId=one")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, json!({"flags": {}}));
    // Changes outside its selection are not sent; the next one inside is.
    let mut all = events(&mut client_v1(&server).await, "").await;
    for value in 1..=10 {
        server.flags().set_value("other", value).unwrap();
        event(&mut all).await;
    }
    let flag = json!({"variants": {"v": 1}, "metadata": {"flagSetId": "one"}});
    server.flags().set("mine", flag).unwrap();
    let definition = next(&mut stream).await;
    assert_eq!(definition["flags"].as_object().unwrap().keys().collect::<Vec<_>>(), ["mine"]);

    let request = with_header(by_field("flagSetId=one"), "flagd-selector", "nothing");
    let mut stream = client.sync_flags(request).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, json!({"flags": {}}));

    let status = client.sync_flags(by_field("bogus=1")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let bogus = FetchAllFlagsRequest { selector: "bogus=1".to_owned(), ..Default::default() };
    assert_eq!(client.fetch_all_flags(bogus).await.unwrap_err().code(), Code::InvalidArgument);
}

/// docs/server.md, "Sources": the later source wins. Nothing is sent before all are loaded.
#[tokio::test]
async fn later_sources_win() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::builder().source(Sent(receiver)).ephemeral().bind().await.unwrap();
    let mut client = sync(&server).await;
    let mut stream = client.sync_flags(SyncFlagsRequest::default()).await.unwrap().into_inner();
    server.flags().set_value("a", "memory").unwrap();
    let flags = json!({"flags": {"a": {"variants": {"v": 1}}, "b": {"variants": {"v": 1}}}});
    sender.send(Definition::json(flags.to_string())).unwrap();
    let definition = next(&mut stream).await;
    assert_eq!(definition["flags"]["a"]["source"], "memory");
    assert_eq!(definition["flags"]["b"]["source"], "sent");
}

/// Otherwise clients that poll would take all flags for deleted while the server starts.
#[tokio::test]
async fn all_flags_are_waited_for() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::builder().source(Sent(receiver)).ephemeral().bind().await.unwrap();
    let mut client = sync(&server).await;
    let mut asked =
        tokio::spawn(async move { client.fetch_all_flags(FetchAllFlagsRequest::default()).await });
    Clock::still_waits("the flags", pin!(&mut asked)).await;
    sender.send(Definition::json(r#"{"flags": {"a": {"variants": {"v": 1}}}}"#)).unwrap();
    let all = bounded("the flags", asked).await.unwrap().unwrap().into_inner();
    assert!(all.flag_configuration.contains("\"a\""), "{}", all.flag_configuration);
}

/// A server whose source is another server.
#[tokio::test]
async fn a_chain() {
    let upstream = serve().await;
    let options = FlagdOptions::builder()
        .resolver(Resolver::InProcess)
        .host("127.0.0.1")
        .port(upstream.sync_addr().unwrap().port());
    let source = SyncSource::new(options.build_with_env(|_| None).unwrap()).unwrap();
    let server = Server::builder().source(source).ephemeral().bind().await.unwrap();
    bounded("the flags", server.ready()).await;
    let mut client = client_v1(&server).await;
    let mut stream = events(&mut client, "").await;
    let request = || v1::ResolveBooleanRequest { flag_key: "bool".to_owned(), context: None };
    assert!(client.resolve_boolean(request()).await.unwrap().into_inner().value);
    upstream.flags().set_value("bool", false).unwrap();
    let (_, data) = event(&mut stream).await;
    assert_eq!(data, json!({"flags": {"bool": {"type": "update"}}}));
    assert!(!client.resolve_boolean(request()).await.unwrap().into_inner().value);
}
