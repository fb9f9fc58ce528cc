//! Compressed requests: none is read, and the response names the supported encoding.

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    client::{post, serve},
    support::wait::bounded,
};

const EVALUATION: &str = "/flagd.evaluation.v1.Service/ResolveBoolean";
const SYNC: &str = "/flagd.sync.v1.FlagSyncService/FetchAllFlags";
const OFREP: &str = "/ofrep/v1/evaluate/flags/bool";

/// The headers and trailers of the response to a call with these bytes.
async fn grpc(
    address: std::net::SocketAddr,
    path: &str,
    encoding: Option<&str>,
    body: &'static [u8],
) -> HeaderMap {
    let mut request = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let request = request.body(Full::new(Bytes::from_static(body))).unwrap();
    bounded("an answer", async {
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let (mut parts, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        parts.headers.extend(body.trailers().cloned().unwrap_or_default());
        parts.headers
    })
    .await
}

/// The codes are flagd's, except that flagd reads gzip.
#[tokio::test]
async fn by_grpc() {
    let server = serve().await;
    let ports = [(server.evaluation_addr(), EVALUATION), (server.sync_addr(), SYNC)];
    for (address, path) in ports.map(|(address, path)| (address.unwrap(), path)) {
        for (encoding, body, code) in [
            (Some("gzip"), &[1, 0, 0, 0, 1, b'x'][..], "12"),
            (Some("br"), &[0, 0, 0, 0, 0], "12"),
            (None, &[1, 0, 0, 0, 0], "13"),
            (None, &[2, 0, 0, 0, 0], "13"),
            (None, &[], "12"),
            (None, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "12"),
            (None, &[0, 0], "3"),
            (None, &[0, 0, 0, 0, 5, b'x'], "3"),
        ] {
            let headers = grpc(address, path, encoding, body).await;
            assert_eq!(headers["grpc-status"], code, "{path} {encoding:?} {body:?}: {headers:?}");
            assert_eq!(headers.contains_key("grpc-accept-encoding"), code == "12");
            if let Some(encoding) = encoding {
                assert_eq!(headers["grpc-accept-encoding"], "identity");
                let message = headers["grpc-message"].to_str().unwrap();
                assert!(message.contains(encoding), "{message}");
            }
        }
    }
    let flag = b"\0\0\0\0\x06\x0a\x04bool";
    let headers = grpc(server.evaluation_addr().unwrap(), EVALUATION, Some("identity"), flag).await;
    assert_eq!(headers["grpc-status"], "0", "{headers:?}");
}

#[tokio::test]
async fn by_http() {
    let server = serve().await;
    for (address, path, status) in
        [(server.evaluation_addr(), EVALUATION, 501), (server.ofrep_addr(), OFREP, 415)]
    {
        let body = json!({"flagKey": "bool"}).to_string();
        let ask = async |encoding| {
            let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
            post(address, path, &headers, body.clone()).await
        };
        for encoding in ["gzip", "br"] {
            let answer = ask(encoding).await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
            let told = answer.json();
            let text = told.get("message").or(told.get("errorDetails")).unwrap().to_string();
            assert!(text.contains(encoding) && text.contains("identity"), "{text}");
        }
        let answer = ask("identity").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["value"]), (200, &json!(true)));
    }
}
