//! An `axum::Router`, and any other tower service, served over each kind of connection.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};

use axum::{
    Extension, Router,
    routing::{get as on_get, post as on_post},
};
use flagstaff::http::{Body, Certificates, Listen, Peer, Server, tls::ServerTls};
use http::{Request, Response, StatusCode};
use tokio::{net::TcpStream, sync::Notify};

use crate::{
    certs,
    peer::{Raw, get, post, send_1, send_2, serve},
    tls,
    wait::bounded,
};

async fn whoami(Extension(peer): Extension<Peer>) -> String {
    let address = peer.address().map(|address| address.ip());
    format!("{address:?} {} {}", peer.is_encrypted(), peer.certificates().len())
}

fn router() -> Router {
    Router::new()
        .route("/whoami", on_get(whoami))
        .route("/echo", on_post(async |body: String| body))
        .route("/ignore", on_post(async || "ignored"))
}

#[tokio::test]
async fn tcp_of_both_families_in_both_versions_of_http() {
    let router = router();
    let server = Server::builder()
        .listen((Ipv4Addr::LOCALHOST, 0))
        .listen((Ipv6Addr::LOCALHOST, 0))
        .bind()
        .await
        .unwrap()
        .serve(move |_| router.clone());
    let [four, six] = *server.addresses() else { panic!("{server:?}") };
    for (address, shown) in [(four, "Some(127.0.0.1) false 0"), (six, "Some(::1) false 0")] {
        let connect = || async { TcpStream::connect(address).await.unwrap() };
        let expected = (StatusCode::OK, shown.to_owned());
        assert_eq!(send_1(connect().await, get("/whoami")).await, expected);
        assert_eq!(send_2(connect().await, get("/whoami")).await, expected);
        let expected = (StatusCode::OK, "text".to_owned());
        assert_eq!(send_1(connect().await, post("/echo", "text")).await, expected);
        assert_eq!(send_2(connect().await, post("/echo", "text")).await, expected);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket() {
    use tokio::net::UnixStream;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    // The socket that a killed server left behind is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let router = router();
    let bound = Server::builder().listen(path.clone()).bind().await.unwrap();
    assert_eq!(bound.addresses(), []);
    let server = bound.serve(move |_| router.clone());
    let stream = UnixStream::connect(&path).await.unwrap();
    let expected = (StatusCode::OK, "None false 0".to_owned());
    assert_eq!(send_1(stream, get("/whoami")).await, expected);

    let error = Server::builder().listen(path.clone()).bind().await.unwrap_err();
    let shown = path.display().to_string();
    assert_eq!(error.to_string(), format!("cannot listen at `{shown}`"));
    assert!(std::error::Error::source(&error).is_some());
    bounded("the shutdown", server.shutdown()).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn tls_in_both_versions_of_http() {
    let certificates = certs::Certificates::new();
    let tls = ServerTls::new(certificates.server_cert(), certificates.server_key());
    let tls = tls.client_authorities(certificates.ca());
    let builder = Server::builder().tls(Certificates::load(tls).unwrap());
    let server = serve(builder, router()).await;
    let address = server.addresses()[0];
    let expected = (StatusCode::OK, "Some(127.0.0.1) true 1".to_owned());
    let connect = async |protocol| {
        tls::connect(address, &[&certificates], Some(&certificates), protocol).await.unwrap()
    };
    assert_eq!(send_1(connect("http/1.1").await, get("/whoami")).await, expected);
    assert_eq!(send_2(connect("h2").await, get("/whoami")).await, expected);
    // A client without TLS is not served and does no harm.
    let mut plain = Raw::open(&server).await;
    plain.send("GET /whoami HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // The server may send an alert, which is not text.
    let mut rest = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain.0, &mut rest).await;
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    assert_eq!(send_1(connect("http/1.1").await, get("/whoami")).await, expected);
}

#[tokio::test]
async fn an_address_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Server::builder().listen(Listen::Tcp(address)).bind().await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

/// A service that counts its requests, in the state of its connection.
#[derive(Clone)]
struct Counting(Arc<AtomicUsize>);

impl tower::Service<Request<Body>> for Counting {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let has_peer = request.extensions().get::<Peer>().is_some();
        std::future::ready(Ok(Response::new(format!("request {count}, {has_peer}"))))
    }
}

/// The service is made for each connection.
#[tokio::test]
async fn each_connection_has_its_own_state() {
    for extensions in [true, false] {
        let builder = Server::builder().extensions(extensions);
        let bound = builder.listen(([127, 0, 0, 1], 0)).bind().await.unwrap();
        let server = bound.serve(|_| Counting(Arc::default()));
        for _ in 0..2 {
            let mut connection = Raw::open(&server).await;
            for count in 1..3 {
                connection.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
                connection.until(&format!("request {count}, {extensions}")).await;
            }
        }
    }
}

/// What a handler leaves unread is not taken for the next request, and does not close the
/// connection.
#[tokio::test]
async fn a_body_that_no_handler_reads() {
    let server = serve(Server::builder(), router()).await;
    let mut connection = Raw::open(&server).await;
    let length = 30_000;
    let head = format!("POST /ignore HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    for _ in 0..3 {
        connection.send(&head).await;
        connection.send(vec![b'x'; length]).await;
        let answer = connection.until("ignored").await;
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    // One that is longer than what the server discards: the client learns that the connection ends.
    connection.send(head.replace("30000", "3000000")).await;
    connection.send(vec![b'x'; 3_000_000]).await;
    let answer = connection.end().await;
    assert!(answer.contains("connection: close") && answer.ends_with("ignored"), "{answer}");
}

/// A response can hold the body of its request and return it as it arrives.
#[tokio::test]
async fn a_body_that_outlives_the_handler() {
    let release = Arc::new(Notify::new());
    // Responds, and drops the body of the request only when the test says so.
    let released = release.clone();
    let hold = move |request: Request<axum::body::Body>| async move {
        let body = request.into_body();
        tokio::spawn(async move {
            released.notified().await;
            drop(body);
        });
        "held"
    };
    let router = Router::new()
        .route("/mirror", on_post(async |request: Request<axum::body::Body>| request.into_body()))
        .route("/hold", on_post(hold));
    let server = serve(Server::builder(), router).await;
    let mut connection = Raw::open(&server).await;
    for _ in 0..2 {
        connection.send("POST /mirror HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\none").await;
        connection.until("one").await;
        connection.send("two").await;
        connection.until("two").await;
    }
    // A body that is never read.
    connection.send("POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\none").await;
    connection.until("held").await;
    connection.send("two").await;
    release.notify_one();
    connection.send("POST /mirror HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nend").await;
    connection.until("end").await;
}
