//! Clients that send too much or too slowly, or read too slowly: the cost to the server is bounded.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get as on_get, post as on_post},
};
use flagstaff::http::{Body, BodyError, Server, tls::ServerTls};
use http::{Request, Response, StatusCode};
use hyper::body::Bytes;
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
};
use tower::service_fn;

use crate::{
    certs::Certificates,
    peer::{Raw, connect_2, get, post, send_1, send_2, serve},
    wait::{becomes_true, bounded, no_sooner},
};

const SOON: Duration = Duration::from_millis(50);

/// Longer than any of these tests takes.
const NEVER: Duration = Duration::from_secs(600);

fn router() -> Router {
    Router::new()
        .route("/", on_get(async || "hello"))
        .route("/echo", on_post(async |body: String| body))
        // The server's limit counts.
        .layer(DefaultBodyLimit::disable())
}

#[tokio::test]
async fn a_body_that_is_too_long() {
    let server = serve(Server::builder().max_body(1000), router()).await;
    let connect = || async { TcpStream::connect(server.addresses()[0]).await.unwrap() };
    for (length, status) in [(1000, StatusCode::OK), (1001, StatusCode::PAYLOAD_TOO_LARGE)] {
        let body = "x".repeat(length);
        assert_eq!(send_1(connect().await, post("/echo", body.clone())).await.0, status);
        assert_eq!(send_2(connect().await, post("/echo", body.clone())).await.0, status);
        let mut chunked = Raw::open(&server).await;
        let head = "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        let (half, rest) = body.split_at(500);
        let chunks = format!("1f4\r\n{half}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len());
        chunked.send(format!("{head}{chunks}")).await;
        chunked.until(&format!("HTTP/1.1 {}", status.as_u16())).await;
    }
    // A client that waits for `100 Continue` does not receive it.
    let mut waiting = Raw::open(&server).await;
    let head = "POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n";
    waiting.send(format!("{head}content-length: 1001\r\n\r\n")).await;
    let answer = waiting.end().await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_long() {
    let server = serve(Server::builder().max_head(8_192), router()).await;
    let mut long = Raw::open(&server).await;
    long.send(format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(20_000))).await;
    let answer = long.end().await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_come() {
    let server =
        serve(Server::builder().head_timeout(SOON).first_request_timeout(NEVER), router()).await;
    let hello = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    // The first head of a connection, a later one, and one that does not even begin.
    for (first, rest) in [("", "GET / HTTP/1.1\r\nhost"), (hello, "GET"), (hello, "")] {
        let closed = async {
            let mut slow = Raw::open(&server).await;
            slow.send(first).await;
            if !first.is_empty() {
                slow.until("hello").await;
            }
            slow.send(rest).await;
            slow.end().await;
        };
        no_sooner(&format!("the end of {first:?} {rest:?}"), SOON, closed).await;
    }
}

#[tokio::test]
async fn a_client_that_says_nothing() {
    let plain = Server::builder().head_timeout(NEVER).first_request_timeout(SOON);
    let certificates = Certificates::new();
    let tls = ServerTls::new(certificates.server_cert(), certificates.server_key());
    let tls = flagstaff::http::Certificates::load(tls).unwrap();
    let encrypted = Server::builder().head_timeout(SOON).first_request_timeout(NEVER).tls(tls);
    for (builder, bytes) in
        [(plain.clone(), ""), (plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), (encrypted, "")]
    {
        let server = serve(builder, router()).await;
        let closed = async {
            let mut silent = Raw::open(&server).await;
            silent.send(bytes).await;
            silent.end().await;
        };
        no_sooner(&format!("the end of {bytes:?}"), SOON, closed).await;
    }
}

/// The typed errors of a body, for services that read it themselves.
#[tokio::test]
async fn a_body_that_does_not_come() {
    let (sender, mut receiver) = watch::channel(None);
    let builder = Server::builder().body_timeout(SOON).listen(([127, 0, 0, 1], 0));
    let service = move |_: &_| {
        let sender = sender.clone();
        service_fn(move |mut request: Request<Body>| {
            let sender = sender.clone();
            async move {
                request.body_mut().set_limit(10);
                let read = request.body_mut().bytes().await;
                sender.send_replace(Some(read.map_err(|error| match error {
                    BodyError::TooLong => "too long",
                    BodyError::TimedOut => "timed out",
                    BodyError::Incomplete(_) => "incomplete",
                    _ => "unknown",
                })));
                Ok::<_, Infallible>(Response::new(String::new()))
            }
        })
    };
    let server = builder.bind().await.unwrap().serve(service);
    for (length, sent, closes, expected) in [
        (3, "one", false, Ok("one")),
        (10, "one", false, Err("timed out")),
        (11, "one", false, Err("too long")),
        (10, "one", true, Err("incomplete")),
    ] {
        let mut connection = Raw::open(&server).await;
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        connection.send(head + sent).await;
        if closes {
            tokio::io::AsyncWriteExt::shutdown(&mut connection.0).await.unwrap();
        }
        bounded("the end of the body", receiver.changed()).await.unwrap();
        let read = receiver.borrow_and_update().clone().unwrap();
        assert_eq!(read.as_deref(), expected.map(str::as_bytes).as_deref(), "{length} {sent}");
    }
}

/// The response is longer than what the sockets hold, and the client reads none of it.
#[tokio::test]
async fn a_client_that_does_not_read() {
    let (dropped, mut ended) = mpsc::unbounded_channel();
    let long = async move || {
        let long = Long { bytes: vec![b'x'; 50_000_000], dropped: dropped.clone() };
        axum::body::Body::from(Bytes::from_owner(long))
    };
    let router = Router::new().route("/long", on_get(long));
    let server = serve(Server::builder().write_timeout(SOON), router).await;
    let mut stuck = Raw::open(&server).await;
    let cut = async {
        stuck.send("GET /long HTTP/1.1\r\nhost: x\r\n\r\n").await;
        ended.recv().await.unwrap();
    };
    no_sooner("the end of the response", SOON, cut).await;
    assert!(stuck.end().await.len() < 50_000_000, "all was sent");
}

/// Bytes that report when they are dropped.
struct Long {
    bytes: Vec<u8>,
    dropped: mpsc::UnboundedSender<()>,
}

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Long {
    fn drop(&mut self) {
        let _ = self.dropped.send(());
    }
}

/// Beyond the limit, a client waits until another disconnects.
#[tokio::test]
async fn too_many_connections() {
    let server = serve(Server::builder().max_connections(2), router()).await;
    let hello = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut first = Raw::open(&server).await;
    let mut second = Raw::open(&server).await;
    for connection in [&mut first, &mut second] {
        connection.send(hello).await;
        connection.until("hello").await;
    }
    let mut third = Raw::open(&server).await;
    third.send(hello).await;
    let waiting = tokio::spawn(async move { third.until("hello").await });
    for _ in 0..20 {
        for connection in [&mut first, &mut second] {
            connection.send(hello).await;
            connection.until("hello").await;
        }
        assert!(!waiting.is_finished(), "there are three");
    }
    drop(first);
    bounded("room", waiting).await.unwrap();
}

/// The streams of a connection beyond the limit wait as well.
#[tokio::test]
async fn too_many_streams() {
    let (open, _) = watch::channel(0);
    let counter = open.clone();
    let router = Router::new().route(
        "/wait",
        on_get(async move || {
            counter.send_modify(|open| *open += 1);
            std::future::pending::<()>().await;
        }),
    );
    let server = serve(Server::builder().max_streams(3), router).await;
    let sender = connect_2(TcpStream::connect(server.addresses()[0]).await.unwrap()).await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..10 {
        requests.spawn(sender.clone().send_request(get("/wait")));
    }
    becomes_true("three streams", async || *open.borrow() == 3).await;
    for _ in 0..20 {
        // Others are served meanwhile.
        let other = TcpStream::connect(server.addresses()[0]).await.unwrap();
        assert_eq!(send_1(other, get("/absent")).await.0, StatusCode::NOT_FOUND);
        assert_eq!(*open.borrow(), 3);
    }
}
