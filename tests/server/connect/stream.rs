//! The event stream over Connect, as web pages open it: envelopes over HTTP/1.1 and 2. What the
//! tests expect was observed on flagd 0.16.1, except for the messages of errors and for compression.

use std::time::Duration;

use flagstaff::server::Server;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Bytes;
use prost::Message;
use serde_json::{Value, json};

use crate::{
    client::{Answer, get, post, send, serve, serve_with},
    connect::envelopes::{JSON, Stream, V1, envelope},
    support::{
        json::from_struct,
        proto::v1,
        wait::{becomes_true, bounded},
    },
};

const V2: &str = "/flagd.evaluation.v2.Service/EventStream";
const PROTO: (&str, &str) = ("content-type", "application/connect+proto");

#[tokio::test]
async fn events_in_json() {
    let server = serve().await;
    for (version, path, content) in [
        (1, V1, "application/connect+json"),
        (2, V1, "application/connect+json"),
        (1, V2, "application/connect+json; charset=utf-8"),
        (2, V2, "application/connect+json"),
        (1, "/schema.v1.Service/EventStream", "application/connect+json"),
    ] {
        let headers = [("content-type", content), ("connect-protocol-version", "1")];
        let mut stream = Stream::open(&server, version, path, &headers, envelope(0, "{}")).await;
        assert_eq!(stream.head.status, 200);
        assert_eq!(stream.head.headers["content-type"], content);
        assert_eq!(stream.event().await, json!({"type": "provider_ready", "data": {}}));
        let key = format!("new-{version}-{path}");
        server.flags().set_value(&key, 1).unwrap();
        let flags = json!({ "flags": { key: { "type": "write" } } });
        let change = json!({"type": "configuration_change", "data": flags});
        assert_eq!(stream.event().await, change);
    }
}

#[tokio::test]
async fn events_in_protobuf() {
    let server = serve().await;
    for version in [1, 2] {
        let mut stream = Stream::open(&server, version, V1, &[PROTO], envelope(0, "")).await;
        assert_eq!(stream.head.headers["content-type"], "application/connect+proto");
        let mut json = Stream::ready(&server, &[]).await;
        server.flags().set_value("bool", version).unwrap();
        for (kind, data) in [
            ("provider_ready", json!({})),
            ("configuration_change", json!({"flags": {"bool": {"type": "update"}}})),
        ] {
            let (flags, message) = stream.next().await.unwrap();
            let event = v1::EventStreamResponse::decode(message).unwrap();
            let told = from_struct(&event.data.unwrap());
            assert_eq!((flags, event.r#type.as_str(), &told), (0, kind, &data));
        }
        // One change, written both ways.
        assert_eq!(json.event().await["data"], json!({"flags": {"bool": {"type": "update"}}}));
    }
}

#[tokio::test]
async fn a_selector_shows_its_changes_only() {
    let server = serve().await;
    let mut stream = Stream::ready(&server, &[("flagd-selector", "flagSetId=one")]).await;
    server.flags().set_value("bool", false).unwrap();
    let flag = json!({"variants": {"v": 1}, "metadata": {"flagSetId": "one"}});
    server.flags().set("a", flag).unwrap();
    assert_eq!(stream.event().await["data"], json!({"flags": {"a": {"type": "write"}}}));
}

/// A protobuf message without `data` is null in JSON.
#[tokio::test]
async fn quiet_streams_are_kept_alive() {
    let server = serve().await;
    let mut stream = Stream::ready(&server, &[]).await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    // Without the client's timeout, which a paused clock would exceed.
    let frame = stream.body.frame().await.unwrap().unwrap().into_data().unwrap();
    let after = began.elapsed();
    assert!(after > Duration::from_secs(19) && after < Duration::from_secs(21), "{after:?}");
    assert_eq!(
        serde_json::from_slice::<Value>(&frame[5..]).unwrap(),
        json!({"type": "keep_alive", "data": null})
    );
}

/// docs/server.md, "Startup and shutdown": the stream then ends with its reason.
#[tokio::test]
async fn every_stream_is_notified_of_a_shutdown() {
    let server = serve().await;
    let mut streams = Vec::new();
    for version in [1, 2].repeat(5) {
        let mut stream = Stream::open(&server, version, V1, &[JSON], envelope(0, "{}")).await;
        stream.event().await;
        streams.push(stream);
    }
    let stopped = tokio::spawn(server.shutdown());
    for stream in &mut streams {
        assert_eq!(stream.event().await, json!({"type": "provider_shutdown", "data": {}}));
        assert_eq!(stream.end().await["error"]["code"], "unavailable");
    }
    bounded("the shutdown", stopped).await.unwrap();
}

/// `--stream-deadline` and the client's own deadline: the earlier one counts.
#[tokio::test]
async fn streams_end_at_their_deadline() {
    let message = "stream closed due to server-side timeout";
    let expected = json!({"error": {"code": "deadline_exceeded", "message": message}});
    for (server, client) in [
        (Some(50), None),
        (None, Some("50")),
        (Some(50), Some("9999999999")),
        (Some(900_000), Some("50")),
    ] {
        let builder = server.map_or_else(Server::builder, |millis| {
            Server::builder().stream_deadline(Duration::from_millis(millis))
        });
        let server = serve_with(builder).await;
        let header = client.map(|millis| ("connect-timeout-ms", millis));
        let mut stream = Stream::ready(&server, header.as_slice()).await;
        assert_eq!(stream.end().await, expected);
    }
}

/// Each is a success in terms of HTTP, with the reason in the only envelope.
#[tokio::test]
async fn refusals() {
    let server = serve_with(Server::builder().max_request_body(1000)).await;
    let ok = || envelope(0, "{}");
    let long = json!({ "x": "x".repeat(1000) }).to_string();
    for (header, body, code, message) in [
        (None, Bytes::new(), "unimplemented", "contains no message"),
        (None, envelope(2, "{}"), "unimplemented", "contains no message"),
        (None, [ok(), ok()].concat().into(), "unimplemented", "more than one message"),
        (None, Bytes::from_static(&[0, 0]), "invalid_argument", "before the length"),
        (None, ok().slice(..6), "invalid_argument", "1 bytes into a message of 2"),
        (
            None,
            Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, b'{']),
            "invalid_argument",
            "into a message of 4294967295",
        ),
        (None, envelope(1, "{}"), "internal", "compressed"),
        (None, envelope(4, "{}"), "internal", "unknown flags: 4"),
        (None, envelope(0, "{"), "invalid_argument", "unmarshal message: "),
        (None, envelope(0, "[]"), "invalid_argument", "unmarshal message: "),
        (None, envelope(0, "null"), "invalid_argument", "unmarshal message: "),
        (None, envelope(0, long), "resource_exhausted", "longer than 1000 bytes"),
        (
            Some(("connect-content-encoding", "gzip")),
            envelope(1, "{}"),
            "unimplemented",
            "unknown compression \"gzip\": send identity",
        ),
        (Some(("connect-content-encoding", "br")), ok(), "unimplemented", "compression \"br\""),
        (Some(("connect-protocol-version", "2")), ok(), "invalid_argument", "must be \"1\""),
        (Some(("connect-timeout-ms", "1s")), ok(), "invalid_argument", "Connect-Timeout-Ms"),
        (Some(("connect-timeout-ms", "12345678901")), ok(), "invalid_argument", "10 digits"),
        (Some(("flagd-selector", "bogus=1")), ok(), "invalid_argument", "selector key \"bogus\""),
    ] {
        for version in [1, 2] {
            let headers: Vec<_> = [JSON].into_iter().chain(header).collect();
            let mut stream = Stream::open(&server, version, V1, &headers, body.clone()).await;
            assert_eq!(stream.head.status, 200);
            assert_eq!(stream.head.headers["content-type"], JSON.1);
            assert_eq!(stream.head.headers["connect-accept-encoding"], "identity");
            let end = stream.end().await;
            let text = end["error"]["message"].as_str().unwrap();
            assert_eq!(end["error"]["code"], code, "{text}");
            assert!(text.contains(message), "{text}");
        }
    }
    // What else a client may send.
    for (headers, body) in [
        (&[][..], envelope(0, "")),
        (&[], envelope(0, r#"{"unknown": [1]}"#)),
        (&[], [ok(), envelope(2, "{}")].concat().into()),
        (&[("connect-content-encoding", "identity"), ("content-encoding", "br")], ok()),
        (&[("connect-accept-encoding", "gzip, br"), ("connect-timeout-ms", "")], ok()),
    ] {
        let headers = [&[JSON], headers].concat();
        let mut stream = Stream::open(&server, 1, V1, &headers, body).await;
        assert_eq!(stream.event().await["type"], "provider_ready");
    }
}

/// A request that does not open a stream gets an HTTP status.
#[tokio::test]
async fn other_content_and_methods() {
    let server = serve().await;
    let address = server.evaluation_addr();
    let unary = "/flagd.evaluation.v1.Service/ResolveBoolean";
    for (path, accepted, refused) in [
        (V1, "application/connect+proto", &["application/json", "application/proto"][..]),
        (unary, "application/proto", &[JSON.1, PROTO.1]),
    ] {
        let other = ["application/grpc-web+proto", "application/connect+xml", "text/plain"];
        for content in refused.iter().chain(&other) {
            let headers = [("content-type", *content)];
            let answer = post(address, path, &headers, envelope(0, "{}")).await;
            assert_eq!(answer.status.as_u16(), 415, "{path} {content}");
            let accepts = answer.header("accept-post").unwrap();
            assert!(accepts.split(", ").any(|one| one == accepted), "{accepts}");
            assert!(!accepts.split(", ").any(|one| one == *content), "{accepts}");
        }
    }
    for path in [V1, &format!("{unary}?connect=v1&encoding=json&message=%7B%7D")] {
        let answer = get(address, path).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("POST")));
    }
}

/// The stream of a page that was closed ends, also over HTTP/1.1.
#[tokio::test]
async fn a_client_that_disconnects_is_noticed() {
    let server = serve().await;
    let open = async |wanted: u8| {
        let is = format!("flagstaff_event_streams {wanted}\n");
        becomes_true("the streams", async || {
            get(server.management_addr(), "/metrics").await.text().contains(&is)
        })
        .await;
    };
    for version in [1, 2] {
        let mut stream = Stream::open(&server, version, V1, &[JSON], envelope(0, "{}")).await;
        stream.event().await;
        open(1).await;
        drop(stream);
        open(0).await;
    }
}

/// `-C --cors-origin`: before it opens a stream, a browser requests permission for the headers of
/// its client.
#[tokio::test]
async fn pages_of_other_origins() {
    let origin = ("origin", "http://page.example");
    let headers = "connect-protocol-version,connect-timeout-ms,content-type,flagd-selector";
    let ask = [
        origin,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", headers),
    ];
    let allow = "access-control-allow-origin";
    let allowed = |answer: &Answer| answer.header(allow).map(str::to_owned);

    let server = serve_with(Server::builder().cors_origins(["*"])).await;
    let answer = send(server.evaluation_addr(), Method::OPTIONS, V1, &ask, "").await;
    assert_eq!((answer.status.as_u16(), allowed(&answer).as_deref()), (204, Some("*")));
    assert_eq!(answer.header("access-control-allow-headers"), Some(headers));
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
    let mut stream = Stream::ready(&server, &[origin]).await;
    assert_eq!(stream.head.headers[allow], "*");
    let exposed = stream.head.headers["access-control-expose-headers"].to_str().unwrap();
    for header in ["Connect-Content-Encoding", "Retry-After"] {
        assert!(exposed.contains(header), "{exposed}");
    }
    server.flags().set_value("bool", false).unwrap();
    assert_eq!(stream.event().await["type"], "configuration_change");
    // A page may read why it was rejected.
    let answer = post(server.evaluation_addr(), V1, &[origin, JSON], envelope(0, "{")).await;
    assert_eq!(allowed(&answer).as_deref(), Some("*"));
    let json = ("content-type", "application/json");
    let answer = post(server.evaluation_addr(), V1, &[origin, json], "{}").await;
    assert_eq!((answer.status.as_u16(), allowed(&answer).as_deref()), (415, Some("*")));

    let closed = serve().await;
    let answer = send(closed.evaluation_addr(), Method::OPTIONS, V1, &ask, "").await;
    assert_eq!((answer.status.as_u16(), allowed(&answer)), (405, None));
    let stream = Stream::ready(&closed, &[origin]).await;
    assert_eq!(stream.head.headers.get(allow), None);
}
