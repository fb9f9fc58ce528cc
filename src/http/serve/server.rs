//! A server: its options, its listeners, and its shutdown.
//!
//! ```text
//! ServerBuilder --bind--> Bound --serve--> Server --drain, closed_within--> closed
//!                         listens          serves
//! ```
//!
//! Binding and serving are separate, so that a program can bind all its ports, and
//! fail if one is taken, before it serves anything. Clients that connect in between
//! wait in the system's queue.

use std::{error::Error, fmt, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Bytes;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};
use tower_service::Service;

use super::{
    address::Listen,
    body::Body,
    connection::{Make, Shared},
    error::BindError,
    limits::Limits,
    listen::Listener,
    peer::Peer,
    phase::Phase,
    reload::Certificates,
};

/// The options of a [`Server`], from [`Server::builder`].
///
/// Every limit has a default that suits a public service. Raise one where your
/// clients need it.
///
/// ```
/// use std::time::Duration;
///
/// use flagstaff::http::Server;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bound = Server::builder()
///     .name("uploads")
///     .listen(([127, 0, 0, 1], 0))
///     .max_connections(500)
///     .max_body(100 << 20)
///     .body_timeout(Duration::from_secs(300))
///     .bind()
///     .await?;
/// assert_ne!(bound.addresses()[0].port(), 0, "the system has chosen a port");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    /// The name in logs.
    name: &'static str,
    listen: Vec<Listen>,
    /// `None` serves in plain text.
    tls: Option<Certificates>,
    limits: Limits,
    /// Whether requests carry [`Peer`] and [`Draining`](super::Draining).
    extensions: bool,
    /// How long [`Server::shutdown`] waits.
    shutdown_timeout: Duration,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            name: "http",
            listen: Vec::new(),
            tls: None,
            limits: Limits::default(),
            extensions: true,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

impl ServerBuilder {
    /// Sets the name of the server in logs. Default: `http`.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Adds an address or a unix socket to listen on.
    ///
    /// A server can have several, such as one for IPv4 and one for IPv6. The file of a
    /// unix socket on which no server listens any more is replaced.
    #[must_use]
    pub fn listen(mut self, listen: impl Into<Listen>) -> Self {
        self.listen.push(listen.into());
        self
    }

    /// Encrypts every connection. Default: no connection is encrypted.
    ///
    /// To serve both, run two servers.
    #[must_use]
    pub fn tls(mut self, certificates: impl Into<Certificates>) -> Self {
        self.tls = Some(certificates.into());
        self
    }

    /// Limits the number of open connections. Further clients wait until one is
    /// closed. Default: 10,000.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.max_connections = connections;
        self
    }

    /// Limits the number of concurrent requests on one HTTP/2 connection. The client
    /// waits before it sends more. Default: 200.
    #[must_use]
    pub fn max_streams(mut self, streams: u32) -> Self {
        self.limits.max_streams = streams;
        self
    }

    /// Limits the head of a request, in bytes: its line and its headers. A longer one
    /// is rejected with 431. Default: 65,536; a value below 8,192 counts as 8,192.
    #[must_use]
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.limits.max_head = bytes;
        self
    }

    /// Limits the body of a request, in bytes. Default: 2 MiB.
    ///
    /// Reading a longer body is an error; see [`Body`]. A service can set another limit
    /// for a request with [`Body::set_limit`].
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.limits.max_body = bytes;
        self
    }

    /// Limits the time for the head of a request, and for the TLS handshake. The
    /// connection is closed after that. Default: 10 s.
    ///
    /// Over HTTP/1.1 the time for the next head begins when the response has been sent,
    /// so this is also how long such a connection may be idle.
    #[must_use]
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.limits.head_timeout = timeout;
        self
    }

    /// Limits the time between connecting and the first request. The connection is
    /// closed after that. Default: 30 s.
    #[must_use]
    pub fn first_request_timeout(mut self, timeout: Duration) -> Self {
        self.limits.first_request_timeout = timeout;
        self
    }

    /// Limits the time for the body of a request, from when the service reads it. It is
    /// an error of [`Body`] after that. Default: 30 s.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.limits.body_timeout = timeout;
        self
    }

    /// Limits the time in which a client reads nothing of what the server sends. The
    /// connection is closed after that. Default: 60 s.
    ///
    /// Each byte that the client reads restarts the timeout, so a slow client is served
    /// to the end.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// Limits how long a [shutdown](Server::shutdown) waits for requests to finish.
    /// Default: 5 s.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets whether requests carry [`Peer`] and [`Draining`](super::Draining) as
    /// extensions. Default: true.
    ///
    /// A service that keeps the peer that it was made for does not need them, and saves
    /// a few allocations for each request.
    #[must_use]
    pub fn extensions(mut self, extensions: bool) -> Self {
        self.extensions = extensions;
        self
    }

    /// Opens the listeners. Clients can connect from now on, and are served once there
    /// is a [service](Bound::serve).
    ///
    /// # Errors
    ///
    /// If a listener cannot be opened. Those that were opened before it are closed.
    pub async fn bind(self) -> Result<Bound, BindError> {
        let mut listeners = Vec::with_capacity(self.listen.len());
        for listen in &self.listen {
            let listener = Listener::bind(listen).await;
            let failed = |source| BindError::Listen { address: listen.to_string(), source };
            listeners.push(listener.map_err(failed)?);
        }
        let addresses = listeners.iter().filter_map(Listener::address).collect();
        Ok(Bound { builder: self, listeners, addresses })
    }
}

/// A server whose listeners are open, but which does not serve yet.
///
/// Dropping it closes the listeners.
#[derive(Debug)]
pub struct Bound {
    builder: ServerBuilder,
    listeners: Vec<Listener>,
    /// The addresses of the listeners, without unix sockets.
    addresses: Vec<SocketAddr>,
}

impl Bound {
    /// The addresses on which it listens, without unix sockets, in the order of
    /// [`ServerBuilder::listen`]. Port 0 is replaced by the port that the system has
    /// chosen.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves every connection with the service that `make` returns for its client.
    ///
    /// The service is any tower service of HTTP, such as an `axum::Router`. It is cloned
    /// for each request, so what the clones share is the state of the connection. An
    /// error of the service closes the connection (over HTTP/2, the stream) without a
    /// response.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use flagstaff::http::{Peer, Server};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let router = Router::new().route("/healthz", get(|| async { "ok" }));
    /// let bound = Server::builder().listen(([127, 0, 0, 1], 0)).bind().await?;
    /// let server = bound.serve(move |_: &Peer| router.clone());
    /// server.shutdown().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn serve<F, S, B>(self, make: F) -> Server
    where
        F: Fn(&Peer) -> S + Send + Sync + 'static,
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Self { builder, listeners, addresses } = self;
        let phase = watch::Sender::new(Phase::Serve);
        let (open, closed) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            make,
            name: builder.name,
            tls: builder.tls,
            limits: builder.limits,
            extensions: builder.extensions,
            room: semaphore(builder.limits.max_connections),
            phase: phase.subscribe(),
            _open: open,
        });
        for listener in listeners {
            tokio::spawn(run(listener, shared.clone()));
        }
        Server { phase, closed, addresses, shutdown_timeout: builder.shutdown_timeout }
    }
}

/// Runs a listener. A function of its own, because [`Bound::serve`] knows its service
/// as type parameters and not as a [`Make`].
async fn run<M: Make>(listener: Listener, shared: Arc<Shared<M>>) {
    listener.run(shared).await;
}

/// A semaphore with at most as many permits as tokio supports.
fn semaphore(permits: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
}

/// A running server. It runs until it is [shut down](Self::shutdown) or dropped.
///
/// Dropping it closes every connection immediately, without waiting for requests.
///
/// See the [module](crate::http) for an example.
pub struct Server {
    /// The phase of the shutdown, which every task watches.
    phase: watch::Sender<Phase>,
    /// Nothing is ever sent. The channel closes when the last listener and the last
    /// connection have dropped what they share, which holds the sender.
    closed: mpsc::Receiver<()>,
    addresses: Vec<SocketAddr>,
    shutdown_timeout: Duration,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Server {
    /// The options of a server, with their defaults and without an address to listen on.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The addresses on which it listens, without unix sockets, in the order of
    /// [`ServerBuilder::listen`].
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Begins a shutdown, and returns immediately.
    ///
    /// No connection is accepted any more, connections without a request are closed,
    /// requests that have begun are finished, and their handlers are
    /// [notified](super::Draining::begun). Calling it again changes nothing.
    pub fn drain(&self) {
        self.phase.send_if_modified(|phase| {
            let begins = *phase < Phase::Drain;
            if begins {
                *phase = Phase::Drain;
            }
            begins
        });
    }

    /// Waits until every connection is closed, and closes those that remain after the
    /// time.
    ///
    /// Without [`drain`](Self::drain) before it, it waits for connections that clients
    /// keep open, and accepts further ones until then. With several servers,
    /// drain all of them first, and then wait for each.
    ///
    /// It is cancel-safe.
    pub async fn closed_within(&mut self, limit: Duration) {
        if timeout(limit, self.closed.recv()).await.is_err() {
            self.phase.send_replace(Phase::Abort);
            self.closed.recv().await;
        }
    }

    /// Shuts the server down: [drains](Self::drain), waits, and closes the connections
    /// that remain after the [timeout](ServerBuilder::shutdown_timeout).
    pub async fn shutdown(mut self) {
        self.drain();
        self.closed_within(self.shutdown_timeout).await;
    }
}
