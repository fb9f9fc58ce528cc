//! A server: its options, its listeners, and its shutdown.

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

/// The options of a [`Server`].
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    name: &'static str,
    listen: Vec<Listen>,
    tls: Option<Certificates>,
    limits: Limits,
    extensions: bool,
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
    /// What the server is called in logs. Default: `http`.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Adds an address or a unix socket to listen at; a server can have several, such as one for
    /// IPv4 and one for IPv6. A socket file that no server listens at any more is replaced.
    #[must_use]
    pub fn listen(mut self, listen: impl Into<Listen>) -> Self {
        self.listen.push(listen.into());
        self
    }

    /// Encrypts every connection. Default: none is encrypted.
    #[must_use]
    pub fn tls(mut self, certificates: impl Into<Certificates>) -> Self {
        self.tls = Some(certificates.into());
        self
    }

    /// The most connections at once; further clients wait until one is closed. Default: 10,000.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.max_connections = connections;
        self
    }

    /// The most requests that one connection of HTTP/2 may have open at once; the client waits beyond
    /// it. Default: 200.
    #[must_use]
    pub fn max_streams(mut self, streams: u32) -> Self {
        self.limits.max_streams = streams;
        self
    }

    /// The longest head of a request, in bytes: its line and its headers. A longer one is rejected
    /// with 431. Default: 65,536; at least 8,192.
    #[must_use]
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.limits.max_head = bytes;
        self
    }

    /// The longest body of a request, in bytes; see [`Body`]. Default: 2 MiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.limits.max_body = bytes;
        self
    }

    /// How long a client may take for the head of a request, and for the TLS handshake; the
    /// connection is closed after that. Over HTTP/1.1, the time for the next head begins when the
    /// response is sent, so this is also how long such a connection may be idle. Default: 10 s.
    #[must_use]
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.limits.head_timeout = timeout;
        self
    }

    /// How long a client may be connected before its first request. Default: 30 s.
    #[must_use]
    pub fn first_request_timeout(mut self, timeout: Duration) -> Self {
        self.limits.first_request_timeout = timeout;
        self
    }

    /// How long a client may take for the body of a request, from when the service reads it; see
    /// [`Body`]. Default: 30 s.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.limits.body_timeout = timeout;
        self
    }

    /// How long a client may read nothing of what the server sends; the connection is closed after
    /// that. However slow a client is, each byte that it reads restarts the timeout. Default: 60 s.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// How long a [shutdown](Server::shutdown) waits for requests to finish. Default: 5 s.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Whether requests carry [`Peer`] and [`Draining`](super::Draining) as extensions. A service
    /// that keeps the peer it was made for needs none, and saves a few allocations a request.
    /// Default: yes.
    #[must_use]
    pub fn extensions(mut self, extensions: bool) -> Self {
        self.extensions = extensions;
        self
    }

    /// Opens the listeners. Clients can connect from now on, and are served once there is a
    /// [service](Bound::serve).
    ///
    /// # Errors
    ///
    /// When a listener cannot be opened.
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

/// A server whose listeners are open, and that does not serve yet.
#[derive(Debug)]
pub struct Bound {
    builder: ServerBuilder,
    listeners: Vec<Listener>,
    addresses: Vec<SocketAddr>,
}

impl Bound {
    /// The addresses at which it listens, without unix sockets, in the order of
    /// [`ServerBuilder::listen`].
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves every connection with the service that `make` returns for its client: any tower service
    /// of HTTP, such as an `axum::Router`.
    ///
    /// The service is cloned for each request, so what a clone shares is the state of the connection.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
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

async fn run<M: Make>(listener: Listener, shared: Arc<Shared<M>>) {
    listener.run(shared).await;
}

fn semaphore(permits: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
}

/// A server that runs until it is shut down or dropped. Dropping it closes every connection at once.
pub struct Server {
    phase: watch::Sender<Phase>,
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
    /// A server with the defaults, that listens nowhere yet.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The addresses at which it listens, without unix sockets, in the order of
    /// [`ServerBuilder::listen`].
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Begins a shutdown: no connection is accepted any more, those without a request are closed,
    /// requests that have begun are finished, and their handlers are
    /// [notified](super::Draining::begun).
    pub fn drain(&self) {
        self.phase.send_if_modified(|phase| {
            let begins = *phase < Phase::Drain;
            if begins {
                *phase = Phase::Drain;
            }
            begins
        });
    }

    /// Waits until every connection is closed. After the timeout it closes those that are left.
    ///
    /// It is cancel-safe.
    pub async fn closed_within(&mut self, limit: Duration) {
        if timeout(limit, self.closed.recv()).await.is_err() {
            self.phase.send_replace(Phase::Abort);
            self.closed.recv().await;
        }
    }

    /// Shuts down: [drains](Self::drain), and closes what is left after the
    /// [timeout](ServerBuilder::shutdown_timeout).
    pub async fn shutdown(mut self) {
        self.drain();
        self.closed_within(self.shutdown_timeout).await;
    }
}
