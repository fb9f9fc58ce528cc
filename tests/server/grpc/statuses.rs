//! Where the status of a failed gRPC call is sent: gRFC A6 commits a call once headers have
//! arrived, so a client with a retry policy reports a status in trailers and retries one in headers
//! alone.

use std::net::SocketAddr;

use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::{
    client::{serve, sync_v1::FetchAllFlagsRequest},
    support::{
        proto::v1::{EventStreamRequest, ResolveBooleanRequest},
        wait::bounded,
    },
};

const V1: &str = "/flagd.evaluation.v1.Service";
const SYNC: &str = "/flagd.sync.v1.FlagSyncService";

/// A response in terms of HTTP: its headers, and its separate trailers, if any.
pub struct Answer {
    pub headers: HeaderMap,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// The status of the call.
    pub fn status(&self) -> Status {
        let from = self.trailers.as_ref().unwrap_or(&self.headers);
        Status::from_header_map(from).unwrap_or_else(|| panic!("no status in {from:?}"))
    }
}

/// Calls a procedure over a connection of its own.
pub async fn call(
    address: Option<SocketAddr>,
    path: &str,
    message: &impl Message,
    headers: &HeaderMap,
) -> Answer {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[0][..], &length, &message].concat();
    let mut request = Request::post(format!("http://server{path}"))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    request.headers_mut().extend(headers.clone());
    bounded("an answer", async {
        let stream = TcpStream::connect(address.unwrap()).await.unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        Answer { headers: parts.headers, trailers: collected.trailers().cloned() }
    })
    .await
}

fn header(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
}

fn resolve(key: &str) -> ResolveBooleanRequest {
    ResolveBooleanRequest { flag_key: key.to_owned(), context: None }
}

#[tokio::test]
async fn the_evaluation_port_sends_headers_first() {
    let server = serve().await;
    let resolves = format!("{V1}/ResolveBoolean");
    let none = HeaderMap::new();
    for (key, headers, code) in [
        ("missing", &none, Code::NotFound),
        ("string", &none, Code::InvalidArgument),
        ("broken", &none, Code::DataLoss),
        ("unknown-variant", &none, Code::Unknown),
        ("bool", &header("flagd-selector", "bogus=1"), Code::InvalidArgument),
    ] {
        let answer = call(server.evaluation_addr(), &resolves, &resolve(key), headers).await;
        assert_eq!(answer.status().code(), code, "{key}");
        assert!(answer.trailers.is_some(), "{key}: {:?}", answer.headers);
        assert_eq!(answer.headers.get("grpc-status"), None, "{key}");
        assert_eq!(answer.headers["content-type"], "application/grpc", "{key}");
    }
    let events = format!("{V1}/EventStream");
    for headers in [header("flagd-selector", "bogus=1"), header("grpc-timeout", "soon")] {
        let answer =
            call(server.evaluation_addr(), &events, &EventStreamRequest {}, &headers).await;
        assert_eq!(answer.status().code(), Code::InvalidArgument);
        assert!(answer.trailers.is_some(), "{:?}", answer.headers);
    }
}

/// A client that opens a stream learns of the failure before the first message.
#[tokio::test]
async fn unimplemented_is_sent_in_the_only_headers() {
    let server = serve().await;
    let encoded = header("grpc-encoding", "gzip");
    for procedure in ["ResolveBoolean", "ResolveAll", "EventStream"] {
        let path = format!("{V1}/{procedure}");
        let answer = call(server.evaluation_addr(), &path, &resolve("bool"), &encoded).await;
        assert_eq!(answer.status().code(), Code::Unimplemented);
        assert!(answer.trailers.is_none(), "{procedure}: {:?}", answer.trailers);
        assert_eq!(answer.headers["grpc-accept-encoding"], "identity");
    }
}

/// As measured on flagd: a unary call fails if its timeout is invalid or has passed before its
/// message arrives.
#[tokio::test]
async fn unary_calls_obey_their_timeout() {
    let server = serve().await;
    let (evaluation, sync) = (server.evaluation_addr(), server.sync_addr());
    let health = "/grpc.health.v1.Health/Check".to_owned();
    let nothing = resolve("");
    for (address, path, message) in [
        (evaluation, format!("{V1}/ResolveBoolean"), &resolve("bool")),
        (evaluation, format!("{V1}/ResolveAll"), &nothing),
        (sync, format!("{SYNC}/FetchAllFlags"), &nothing),
        (sync, format!("{SYNC}/GetMetadata"), &nothing),
        (server.management_addr(), health, &nothing),
    ] {
        for (timeout, code) in [
            ("soon", Code::InvalidArgument),
            ("1", Code::InvalidArgument),
            ("123456789S", Code::InvalidArgument),
            ("1n", Code::DeadlineExceeded),
            ("0m", Code::DeadlineExceeded),
            ("", Code::Ok),
            ("1H", Code::Ok),
        ] {
            let answer = call(address, &path, message, &header("grpc-timeout", timeout)).await;
            assert_eq!(answer.status().code(), code, "{path}, {timeout}");
        }
    }
}

/// As in flagd: one block of headers.
#[tokio::test]
async fn the_sync_port_sends_errors_in_the_only_headers() {
    let server = serve().await;
    let selector = header("flagd-selector", "bogus=1");
    let nothing = FetchAllFlagsRequest::default();
    for procedure in ["FetchAllFlags", "SyncFlags"] {
        let path = format!("{SYNC}/{procedure}");
        let answer = call(server.sync_addr(), &path, &nothing, &selector).await;
        assert_eq!(answer.status().code(), Code::InvalidArgument);
        assert!(answer.trailers.is_none(), "{procedure}: {:?}", answer.trailers);
    }
}

/// As in flagd, even for a procedure that does not exist: headers, then trailers.
#[tokio::test]
async fn health_sends_headers_first() {
    let server = serve().await;
    // The field that holds the key of a flag here has the name of a service there.
    let asked = resolve("no.Service");
    for (procedure, code) in [
        ("Check", Code::NotFound),
        ("Nope", Code::Unimplemented),
        ("check", Code::Unimplemented),
        ("", Code::Unimplemented),
    ] {
        let path = format!("/grpc.health.v1.Health/{procedure}");
        let answer = call(server.management_addr(), &path, &asked, &HeaderMap::new()).await;
        assert_eq!(answer.status().code(), code, "{procedure}");
        assert!(answer.trailers.is_some(), "{procedure}: {:?}", answer.headers);
        assert!(!answer.headers.contains_key("grpc-status"), "{procedure}");
    }
}
