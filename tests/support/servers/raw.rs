//! Peers that are not flagd: one that responds over plain HTTP, one that sends nothing, a closed
//! port.

use std::sync::Arc;

use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use hyper::body::Incoming;
use tokio::{io, net::TcpListener, sync::watch};

use super::http2::{Connections, Counted, Listener, Server};
use crate::support::{background::Background, ports, wait};

/// An HTTP/2 server that responds to every request with a status and a line of text, as flagd does
/// for an unknown service, and proxies do for an unavailable backend.
#[derive(Debug)]
pub struct PlainHttp {
    port: u16,
    status: watch::Sender<StatusCode>,
    counts: Arc<watch::Sender<Connections>>,
    calls: Arc<watch::Sender<usize>>,
    _goaway: watch::Sender<bool>,
    _background: Background,
}

impl PlainHttp {
    /// Responds with this status: 404, 503 or another.
    pub fn start(status: u16) -> Self {
        let listener = ports::listen();
        let port = listener.local_addr().unwrap().port();
        let (status, answer) = watch::channel(StatusCode::from_u16(status).unwrap());
        let counts = Arc::new(watch::Sender::default());
        let (goaway, going_away) = watch::channel(false);
        let server = Server {
            listener: Listener::Tcp(listener),
            tls: None,
            counts: Arc::clone(&counts),
            goaway: going_away,
        };
        let calls = Arc::new(watch::Sender::default());
        let counted = Arc::clone(&calls);
        let handler = move |request: Request<Incoming>| {
            if !request.uri().path().ends_with("/EventStream") {
                counted.send_modify(|calls| *calls += 1);
            }
            let status = *answer.borrow();
            async move {
                Response::builder()
                    .status(status)
                    .header(CONTENT_TYPE, "text/plain; charset=utf-8")
                    .body(format!("{status}\n"))
                    .unwrap()
            }
        };
        let background = Background::spawn("plain-http", || server.run(handler));
        Self { port, status, counts, calls, _goaway: goaway, _background: background }
    }

    /// Responds with this status from now on.
    pub fn set_status(&self, status: u16) {
        self.status.send_replace(StatusCode::from_u16(status).unwrap());
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn connections(&self) -> Connections {
        *self.counts.borrow()
    }

    /// Waits until it has received this many requests other than those for an event stream.
    pub async fn wait_for_calls(&self, wanted: usize) {
        wait::until(&self.calls, "calls", |calls| *calls >= wanted).await;
    }
}

/// Accepts TCP connections, reads, and never sends anything.
#[derive(Debug)]
pub struct SilentPeer {
    port: u16,
    counts: Arc<watch::Sender<Connections>>,
    _background: Background,
}

impl SilentPeer {
    pub fn start() -> Self {
        let listener = ports::listen();
        let port = listener.local_addr().unwrap().port();
        let counts = Arc::new(watch::Sender::default());
        let background = Background::spawn("silent", {
            let counts = Arc::clone(&counts);
            || accept_and_listen(listener, counts)
        });
        Self { port, counts, _background: background }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn connections(&self) -> Connections {
        *self.counts.borrow()
    }

    /// Waits until the connections satisfy the condition.
    pub async fn wait_until(&self, what: &str, condition: impl FnMut(&Connections) -> bool) {
        wait::until(&self.counts, what, condition).await;
    }
}

async fn accept_and_listen(
    listener: std::net::TcpListener,
    counts: Arc<watch::Sender<Connections>>,
) {
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        let counted = Counted::new(&counts);
        tokio::spawn(async move {
            let _counted = counted;
            let _ = io::copy(&mut connection, &mut io::sink()).await;
        });
    }
}

/// A port that nobody listens on.
pub fn closed_port() -> u16 {
    ports::free_port()
}
