//! Malicious or faulty clients: each port survives them.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use flagstaff::server::Server;
use http::Request;
use http_body_util::Full;
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    client::{get, post, serve, serve_with, v1 as client_v1},
    support::{
        proto::v1,
        wait::{becomes_true, bounded},
    },
};

fn ports(server: &Server) -> [SocketAddr; 4] {
    [server.evaluation_addr(), server.sync_addr(), server.ofrep_addr(), server.management_addr()]
        .map(Option::unwrap)
}

async fn is_well(server: &Server) {
    let answer = post(server.ofrep_addr(), "/ofrep/v1/evaluate/flags/bool", &[], "").await;
    assert_eq!(answer.json()["value"], true);
    let request = v1::ResolveBooleanRequest { flag_key: "bool".to_owned(), context: None };
    let answer = bounded("an answer", client_v1(server).await.resolve_boolean(request)).await;
    assert!(answer.unwrap().into_inner().value);
    assert_eq!(get(server.management_addr(), "/readyz").await.status.as_u16(), 200);
}

/// Sends bytes, and reads until the server closes the connection or sends nothing more.
async fn throw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = bounded("the end of a connection", stream.read_to_end(&mut answer)).await;
    answer
}

/// Bytes that look random, the same in every run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn rubbish() {
    let server = serve().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    for address in ports(&server) {
        for seed in 0..20 {
            throw(address, &noise(seed, 1 << (seed % 14))).await;
            throw(address, &[&preface[..], &noise(seed, 2000)].concat()).await;
        }
        throw(address, b"").await;
        throw(address, &preface).await;
        throw(address, b"GET / HTTP/1.1\r\n").await;
        throw(address, b"POST /ofrep/v1/evaluate/flags/bool HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").await;
        throw(address, b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
            .await;
    }
    is_well(&server).await;
}

/// docs/server.md, "Limits": `max_request_body` and `max_request_header`.
#[tokio::test]
async fn requests_that_are_too_long() {
    let builder = Server::builder().max_request_body(1000).max_request_header(10_000);
    let server = serve_with(builder).await;
    let json = [("content-type", "application/json")];
    let body = |length: usize| json!({"flagKey": "bool", "x": "x".repeat(length)}).to_string();

    let resolve = "/flagd.evaluation.v1.Service/ResolveBoolean";
    let answer = post(server.evaluation_addr(), resolve, &json, body(900)).await;
    assert_eq!(answer.status.as_u16(), 200);
    let answer = post(server.evaluation_addr(), resolve, &json, body(1000)).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["code"]),
        (429, &json!("resource_exhausted"))
    );
    let single = "/ofrep/v1/evaluate/flags/bool";
    assert_eq!(post(server.ofrep_addr(), single, &[], body(900)).await.status.as_u16(), 200);
    let answer = post(server.ofrep_addr(), single, &[], body(1000)).await;
    assert_eq!(answer.json(), json!({"errorDetails": "request body too large"}));
    assert_eq!(answer.status.as_u16(), 413);

    let long = v1::ResolveBooleanRequest { flag_key: "k".repeat(1000), context: None };
    let mut client = client_v1(&server).await;
    let status = client.resolve_boolean(long).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);

    for address in ports(&server) {
        let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(20_000));
        let answer = throw(address, head.as_bytes()).await;
        assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    }
    is_well(&server).await;
}

/// A body that never ends, without a length: it is read up to the limit.
#[tokio::test]
async fn a_body_without_end() {
    let server = serve_with(Server::builder().max_request_body(1000)).await;
    let mut stream = TcpStream::connect(server.ofrep_addr().unwrap()).await.unwrap();
    let head = "POST /ofrep/v1/evaluate/flags/bool HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
    for _ in 0..11 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    let mut answer = [0; 12];
    bounded("an answer", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

/// Deeply nested contexts and values are rejected; they do not overflow the stack.
#[tokio::test]
async fn deep_contexts() {
    let server = serve().await;
    let deep = format!(
        r#"{{"flagKey": "bool", "context": {{"a": {}1{}}}}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let json = [("content-type", "application/json")];
    let resolve = "/flagd.evaluation.v1.Service/ResolveBoolean";
    let answer = post(server.evaluation_addr(), resolve, &json, deep.clone()).await;
    assert_eq!(answer.status.as_u16(), 400);
    let answer = post(server.ofrep_addr(), "/ofrep/v1/evaluate/flags/bool", &[], deep).await;
    assert_eq!(answer.json()["errorCode"], "INVALID_CONTEXT");

    // Nested arrays, as protobuf.
    let mut message = Vec::new();
    for _ in 0..5_000 {
        let mut outer = vec![0x32];
        varint(message.len() + 1 + length_of_varint(message.len()), &mut outer);
        outer.push(0x0a);
        varint(message.len(), &mut outer);
        outer.extend(&message);
        message = outer;
    }
    let mut entry = vec![0x0a, 1, b'a', 0x12];
    varint(message.len(), &mut entry);
    entry.extend(message);
    let mut context = vec![0x0a];
    varint(entry.len(), &mut context);
    context.extend(entry);
    let mut request = vec![0x12];
    varint(context.len(), &mut request);
    request.extend(context);
    let proto = [("content-type", "application/proto")];
    let answer = post(server.evaluation_addr(), resolve, &proto, request).await;
    assert_eq!(answer.status.as_u16(), 400, "{answer:?}");
    is_well(&server).await;
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

fn length_of_varint(value: usize) -> usize {
    let mut out = Vec::new();
    varint(value, &mut out);
    out.len()
}

/// An HTTP/2 connection with an event stream whose client grants no flow-control window and reads
/// nothing.
pub async fn stuck_stream(server: &Server) -> TcpStream {
    let path = "/flagd.evaluation.v1.Service/EventStream";
    let stream = stuck_call(server.evaluation_addr(), path).await;
    streams(server, 1).await;
    stream
}

/// An HTTP/2 connection with a call with an empty message, whose client grants no flow-control
/// window and reads nothing.
pub async fn stuck_call(address: Option<SocketAddr>, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address.unwrap()).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS: INITIAL_WINDOW_SIZE 0.
    bytes.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    let mut head = vec![0x83, 0x86];
    for (name, value) in [
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).unwrap());
            head.extend(text.as_bytes());
        }
    }
    bytes.extend([0, 0, u8::try_from(head.len()).unwrap(), 1, 4, 0, 0, 0, 1]);
    bytes.extend(head);
    bytes.extend([0, 0, 5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    stream.write_all(&bytes).await.unwrap();
    stream
}

/// However many responses a client requests and does not read, few are held in memory at once.
#[tokio::test]
async fn responses_that_nobody_reads() {
    let server = serve().await;
    let stream = TcpStream::connect(server.ofrep_addr().unwrap()).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut asked = JoinSet::new();
    for _ in 0..100 {
        let uri = "http://localhost/ofrep/v1/evaluate/flags";
        let request = Request::post(uri).body(Full::default()).unwrap();
        asked.spawn(sender.clone().send_request(request));
    }
    let mut answers = VecDeque::new();
    for _ in 0..8 {
        let answer = bounded("an answer", asked.join_next()).await.unwrap().unwrap().unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        answers.push_back(answer);
    }
    // Others are served meanwhile, often enough for a ninth to come if it could.
    for _ in 0..20 {
        is_well(&server).await;
        assert!(asked.try_join_next().is_none(), "more than 8 answers are held");
    }
    // Each cancelled request makes room for another.
    for _ in 8..100 {
        answers.pop_front();
        answers.push_back(bounded("the next", asked.join_next()).await.unwrap().unwrap().unwrap());
    }
}

/// The others are notified meanwhile, and the client is disconnected when it does not respond to a
/// ping.
#[tokio::test]
async fn a_client_that_reads_nothing_holds_nobody_up() {
    let server = serve().await;
    let stuck = stuck_stream(&server).await;
    let mut stream = crate::client::events(&mut client_v1(&server).await, "").await;
    for round in 0..100 {
        server.flags().set_value("bool", round).unwrap();
        let (kind, _) = crate::client::event(&mut stream).await;
        assert_eq!(kind, "configuration_change");
    }
    drop(stream);
    is_dropped(&server).await;
    drop(stuck);
}

/// The same over HTTP/1.1, which has no pings: the client is disconnected when its socket has been
/// full for long. Over a unix socket, whose buffer has a fixed size.
#[cfg(unix)]
#[tokio::test]
async fn a_client_of_http_1_that_reads_nothing_is_dropped() {
    use crate::connect::envelopes;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::builder().ephemeral().evaluation(path.clone()).bind().await.unwrap();
    let mut stuck = tokio::net::UnixStream::connect(&path).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: {}\r\ncontent-length: 7\r\n\r\n",
        envelopes::V1,
        envelopes::JSON.1
    );
    let request = [head.as_bytes(), &envelopes::envelope(0, "{}")].concat();
    stuck.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("provider_ready") {
        assert_ne!(bounded("readiness", stuck.read_buf(&mut answer)).await.unwrap(), 0);
    }
    // One message that is longer than the buffer of the socket.
    server.flags().set_value("k".repeat(1_000_000), 1).unwrap();
    is_dropped(&server).await;
    let rest = stuck.read_to_end(&mut answer).await;
    assert!(rest.is_err() || answer.len() < 1_000_000, "all was sent: {}", answer.len());
}

/// Waits until this many event streams are open.
async fn streams(server: &Server, wanted: u32) {
    becomes_true("the number of streams", async || {
        let answer = get(server.management_addr(), "/metrics").await;
        answer.text().contains(&format!("flagstaff_event_streams {wanted}\n"))
    })
    .await;
}

/// The only stream and its connection end within the time that a client may be stuck.
async fn is_dropped(server: &Server) {
    tokio::time::pause();
    let gone = async {
        loop {
            // The clock is paused, so this takes no time.
            tokio::time::sleep(Duration::from_secs(5)).await;
            let answer = get(server.management_addr(), "/metrics").await;
            // One connection is that of this request.
            if ["flagstaff_event_streams 0\n", "flagstaff_connections 1\n"]
                .iter()
                .all(|line| answer.text().contains(line))
            {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), gone).await.expect("the client to be dropped");
}
