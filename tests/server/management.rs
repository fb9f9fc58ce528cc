//! The management port: `/healthz`, `/readyz`, `/metrics` and gRPC health (docs/flagd.md, "Ports").

use std::time::SystemTime;

use flagstaff::{server::Server, source::Definition};
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;
use tonic::{Code, Request, client::Grpc};

use super::{
    client::{FLAGS, channel, get, post, serve, v1 as client_v1},
    support::{
        proto::v1,
        sent::Sent,
        wait::{becomes_true, bounded},
    },
};

/// docs/server.md, "Startup and shutdown": `/readyz`.
#[tokio::test]
async fn probes() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::builder().source(Sent(receiver)).ephemeral().bind().await.unwrap();
    let address = server.management_addr();
    assert_eq!(get(address, "/healthz").await.status.as_u16(), 200);
    assert_eq!(get(address, "/readyz").await.status.as_u16(), 412);
    sender.send(Definition::json(FLAGS)).unwrap();
    bounded("the flags", server.ready()).await;
    assert_eq!(get(address, "/readyz").await.status.as_u16(), 200);
    assert_eq!(get(address, "/nope").await.status.as_u16(), 404);
}

#[tokio::test]
async fn metrics() {
    let server = serve().await;
    for key in ["bool", "bool", "missing"] {
        post(server.ofrep_addr(), &format!("/ofrep/v1/evaluate/flags/{key}"), &[], "").await;
    }
    let path = "/flagd.evaluation.v1.Service/ResolveInt";
    let json = [("content-type", "application/json")];
    post(server.evaluation_addr(), path, &json, r#"{"flagKey": "string"}"#).await;
    let request = v1::ResolveIntRequest { flag_key: "int".to_owned(), context: None };
    client_v1(&server).await.resolve_int(request).await.unwrap();
    let request = v1::ResolveIntRequest { flag_key: "missing".to_owned(), context: None };
    client_v1(&server).await.resolve_int(request).await.unwrap_err();
    // Requests that are rejected before they are read.
    let (encoded, text) = (("content-encoding", "br"), ("content-type", "text/plain"));
    post(server.ofrep_addr(), "/ofrep/v1/evaluate/flags", &[encoded], "").await;
    post(server.evaluation_addr(), path, &[json[0], encoded], "{}").await;
    post(server.evaluation_addr(), path, &[text], "{}").await;
    // Requests that are not counted.
    let stream = "/flagd.evaluation.v1.Service/EventStream";
    for path in [path, stream, "/nope"] {
        get(server.evaluation_addr(), path).await;
    }
    post(server.evaluation_addr(), stream, &[text], "{}").await;
    let requests = |status: &str, route: &str, protocol: &str, count: u32| {
        format!(
            r#"http_server_request_duration_seconds_count{{http_request_method="POST",http_response_status_code="{status}",http_route="{route}",protocol="{protocol}",service_name="flagd",url_scheme="http"}} {count}"#
        )
    };
    let answer = get(server.management_addr(), "/metrics").await;
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let bool_on = r#"feature_flag_key="bool",feature_flag_provider_name="flagd",feature_flag_reason="STATIC",feature_flag_result_variant="on""#;
    for line in [
        &*format!("feature_flag_flagd_impression_total{{{bool_on}}} 2"),
        r#"feature_flag_flagd_result_reason_total{ExceptionTypeKeyName="FLAG_NOT_FOUND",feature_flag_provider_name="flagd",feature_flag_reason="ERROR"} 2"#,
        &*requests("200", "/ofrep/v1/evaluate/flags/{key}", "ofrep", 2),
        &*requests("404", "/ofrep/v1/evaluate/flags/{key}", "ofrep", 1),
        &*requests("400", "/flagd.evaluation.v1.Service/ResolveInt", "connect", 1),
        &*requests("501", "/flagd.evaluation.v1.Service/ResolveInt", "connect", 1),
        &*requests("415", "/flagd.evaluation.v1.Service/ResolveInt", "connect", 1),
        &*requests("415", "/ofrep/v1/evaluate/flags", "ofrep", 1),
        &*requests("200", "/flagd.evaluation.v1.Service/ResolveInt", "grpc", 1),
        &*requests("404", "/flagd.evaluation.v1.Service/ResolveInt", "grpc", 1),
        "flagstaff_flags 14",
        r#"flagstaff_source_up{source="memory",index="0"} 1"#,
    ] {
        assert!(answer.text().lines().any(|other| other == line), "{line}: {}", answer.text());
    }
    for line in answer.text().lines().filter(|line| line.starts_with("# TYPE ")) {
        let [_, _, name, kind] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let row = format!("\n| `{name}` | {kind} | ");
        let page = include_str!("../../docs/server.md");
        assert!(page.contains(&row), "{line} is not in docs/server.md");
    }
    let counts = answer.text().matches("http_server_request_duration_seconds_count{").count();
    assert_eq!(counts, 8, "{}", answer.text());
}

/// `flagstaff_source_last_update_timestamp_seconds`, by source.
#[tokio::test]
async fn when_a_source_was_updated() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::builder().source(Sent(receiver)).ephemeral().bind().await.unwrap();
    let sample = async |name: &str, labels: &str| -> u64 {
        let answer = get(server.management_addr(), "/metrics").await;
        let line = format!("flagstaff_source_{name}{{{labels}}} ");
        let mut values = answer.text().lines().filter_map(|other| other.strip_prefix(&*line));
        values.next().unwrap().parse().unwrap()
    };
    let sent = r#"source="sent",index="0""#;
    let memory = r#"source="memory",index="1""#;
    let updated = "last_update_timestamp_seconds";
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let before = now();
    assert_eq!(sample(updated, sent).await, 0);
    // A rejected definition is not an update.
    sender.send(Definition::json("{")).unwrap();
    becomes_true("the refusal", async || sample("errors_total", sent).await == 1).await;
    assert_eq!(sample(updated, sent).await, 0);
    sender.send(Definition::json(FLAGS)).unwrap();
    becomes_true("the update", async || sample(updated, sent).await > 0).await;
    assert!((before..=now()).contains(&sample(updated, sent).await));

    let count = sample("updates_total", memory).await;
    server.flags().set_value("flag", true).unwrap();
    server.flags().set("flag", json!("no flag")).unwrap_err();
    assert_eq!(sample("updates_total", memory).await, count + 1);
    assert!((before..=now()).contains(&sample(updated, memory).await));
}

#[derive(Clone, PartialEq, Message)]
struct Asked {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct Health {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// gRPC's health protocol, version 1: SERVING is 1, NOT_SERVING 2. flagd 0.16.1 knows only the
/// server as a whole, and responds NOT_FOUND for each service by name.
#[tokio::test]
async fn health() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::builder().source(Sent(receiver)).ephemeral().bind().await.unwrap();
    let channel = channel(server.management_addr()).await;
    let check = async |service: &str| {
        let mut client = Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        let codec = tonic_prost::ProstCodec::<Asked, Health>::default();
        let asked = Request::new(Asked { service: service.to_owned() });
        client.unary(asked, path, codec).await.map(|answer| answer.into_inner().status)
    };
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Watch");
    let codec = tonic_prost::ProstCodec::<Asked, Health>::default();
    let watch = client.server_streaming(Request::new(Asked::default()), path, codec).await;
    let mut watch = watch.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
    assert_eq!(check("").await.unwrap(), 2);
    sender.send(Definition::json(FLAGS)).unwrap();
    assert_eq!(bounded("health", watch.message()).await.unwrap().unwrap().status, 1);
    for service in [
        "",
        "flagd.evaluation.v1.Service",
        "flagd.evaluation.v2.Service",
        "flagd.sync.v1.FlagSyncService",
    ] {
        assert_eq!(check(service).await.unwrap(), 1, "{service}");
    }
    for service in ["nope", "flagd.evaluation.v3.Service"] {
        let status = check(service).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::NotFound, "unknown service"));
    }
    server.shutdown().await;
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
}
