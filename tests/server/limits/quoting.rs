//! Errors quote at most 200 characters of a request: a gRPC message travels in a header, where a byte
//! that is not UTF-8 takes nine characters, and clients reset a stream whose header block is longer
//! than 16 KiB.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tonic::Code;

use crate::{
    client::{post, serve, sync_v1::FetchAllFlagsRequest},
    grpc::statuses::call,
    support::proto::v1::{EventStreamRequest, ResolveBooleanRequest},
};

const V1: &str = "/flagd.evaluation.v1.Service";
const SYNC: &str = "/flagd.sync.v1.FlagSyncService";

/// The longest quotation, each character escaped, with the message around it.
const MOST_CHARS: usize = 600;
/// The same for characters of three bytes, each of which is escaped.
const MOST_BYTES: usize = 9 * MOST_CHARS;

/// Values of a header that are long, and more so once they are escaped.
fn values() -> [(&'static str, Vec<u8>); 4] {
    let long = |unit: &[u8]| unit.repeat(1800);
    [
        ("invalid bytes", long(b"\xff")),
        ("text", long("é👍".as_bytes())),
        ("quotes", long(b"\"\\%")),
        ("tabs", [b"x", &*long(b"\t"), b"x"].concat()),
    ]
}

fn header(name: &'static str, value: &[u8]) -> HeaderMap {
    let value = HeaderValue::from_bytes(value).unwrap();
    HeaderMap::from_iter([(HeaderName::from_static(name), value)])
}

fn with_equals(value: &[u8]) -> Vec<u8> {
    [value, b"=1"].concat()
}

#[tokio::test]
async fn grpc() {
    let server = serve().await;
    let asked = ResolveBooleanRequest { flag_key: "bool".to_owned(), context: None };
    let resolve = format!("{V1}/ResolveBoolean");
    let events = format!("{V1}/EventStream");
    let fetch = format!("{SYNC}/FetchAllFlags");
    let (evaluation, sync) = (server.evaluation_addr(), server.sync_addr());
    for (what, value) in values() {
        let selector = header("flagd-selector", &with_equals(&value));
        let nothing = FetchAllFlagsRequest::default();
        let by_field = FetchAllFlagsRequest {
            selector: String::from_utf8_lossy(&with_equals(&value)).into_owned(),
            ..Default::default()
        };
        let none = HeaderMap::new();
        for (about, answer, code) in [
            (
                "selector",
                call(evaluation, &resolve, &asked, &selector).await,
                Code::InvalidArgument,
            ),
            (
                "selector of a stream",
                call(evaluation, &events, &EventStreamRequest {}, &selector).await,
                Code::InvalidArgument,
            ),
            (
                "selector of sync",
                call(sync, &fetch, &nothing, &selector).await,
                Code::InvalidArgument,
            ),
            (
                "selector in a message",
                call(sync, &fetch, &by_field, &none).await,
                Code::InvalidArgument,
            ),
            (
                "timeout",
                call(evaluation, &events, &EventStreamRequest {}, &header("grpc-timeout", &value))
                    .await,
                Code::InvalidArgument,
            ),
            (
                "encoding",
                call(evaluation, &resolve, &asked, &header("grpc-encoding", &value)).await,
                Code::Unimplemented,
            ),
        ] {
            let status = answer.status();
            assert_eq!(status.code(), code, "{about}, {what}");
            let text = status.message();
            assert!(text.contains('…'), "{about}, {what}: {text}");
            assert!(text.chars().count() <= MOST_CHARS, "{about}, {what}: {text}");
            let headers = answer.trailers.as_ref().unwrap_or(&answer.headers);
            let length = headers["grpc-message"].len();
            assert!(length <= MOST_BYTES, "{about}, {what}: {length} bytes");
        }
    }
}

/// A path, which is ASCII, and what is wrong with a message.
#[tokio::test]
async fn grpc_paths_and_messages() {
    let server = serve().await;
    let long = "x".repeat(1800);
    let none = HeaderMap::new();
    for (address, path, code) in [
        (server.sync_addr(), format!("{SYNC}/{long}"), Code::Unimplemented),
        (server.management_addr(), format!("/grpc.health.v1.Health/{long}"), Code::Unimplemented),
    ] {
        let status = call(address, &path, &EventStreamRequest {}, &none).await.status();
        assert_eq!(status.code(), code);
        assert!(status.message().chars().count() <= MOST_CHARS, "{status:?}");
    }
    // No error over gRPC contains a key.
    let asked = ResolveBooleanRequest { flag_key: "é".repeat(20_000), context: None };
    let path = format!("{V1}/ResolveBoolean");
    let status = call(server.evaluation_addr(), &path, &asked, &none).await.status();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "Flag not found"));
}

#[tokio::test]
async fn connect() {
    let server = serve().await;
    let json = ("content-type", "application/json");
    let path = format!("{V1}/ResolveBoolean");
    let long = "é\"".repeat(1800);
    let selector = format!("{long}=1");
    let good = json!({"flagKey": "bool"}).to_string();
    for (about, headers, body) in [
        ("selector", vec![json, ("flagd-selector", &*selector)], good.clone()),
        ("encoding", vec![json, ("content-encoding", &*long)], good.clone()),
        ("version", vec![json, ("connect-protocol-version", &*long)], good.clone()),
        ("timeout", vec![json, ("connect-timeout-ms", &*long)], good.clone()),
        ("key of another type", vec![json], json!({"flagKey": [long]}).to_string()),
        ("context of another type", vec![json], json!({"context": long}).to_string()),
        ("message of another type", vec![json], json!(long).to_string()),
    ] {
        let answer = post(server.evaluation_addr(), &path, &headers, body).await;
        let error = answer.json();
        assert!(matches!(answer.status.as_u16(), 400 | 501), "{about}: {error}");
        let text = error["message"].as_str().unwrap();
        assert!(text.contains('…'), "{about}: {text}");
        assert!(text.chars().count() <= MOST_CHARS, "{about}: {text}");
    }
}

/// The key names the requested flag and stays whole, as in flagd; the message does not.
#[tokio::test]
async fn ofrep() {
    let server = serve().await;
    let flags = "/ofrep/v1/evaluate/flags";
    let (escaped, key) = ("%C3%A9".repeat(1800), "é".repeat(1800));
    let answer = post(server.ofrep_addr(), &format!("{flags}/{escaped}"), &[], "{}").await;
    let (status, error) = (answer.status.as_u16(), answer.json());
    assert_eq!(
        (status, &error["key"], &error["errorCode"]),
        (404, &json!(key), &json!("FLAG_NOT_FOUND"))
    );
    let text = error["errorDetails"].as_str().unwrap();
    assert!(text.contains('…') && text.chars().count() <= MOST_CHARS, "{text}");

    let flag = json!({"variants": {"on": true}, "targeting": {"nope": []}});
    server.flags().set(&*key, flag).unwrap();
    let answer = post(server.ofrep_addr(), &format!("{flags}/{escaped}"), &[], "{}").await;
    let error = answer.json();
    assert_eq!((&error["key"], &error["errorCode"]), (&json!(key), &json!("PARSE_ERROR")));
    let text = error["errorDetails"].as_str().unwrap();
    assert!(text.contains('…') && text.chars().count() <= MOST_CHARS, "{text}");

    let long = "é\"".repeat(1800);
    let selector = format!("{long}=1");
    for headers in [[("flagd-selector", &*selector)], [("content-encoding", &*long)]] {
        let error = post(server.ofrep_addr(), flags, &headers, "{}").await.json();
        let text = error["errorDetails"].as_str().unwrap();
        assert!(text.contains('…') && text.chars().count() <= MOST_CHARS, "{text}");
    }
}
