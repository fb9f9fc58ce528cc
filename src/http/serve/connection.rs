//! One connection of a client: its encryption, HTTP in both versions, and its end.
//!
//! A connection ends in one of these ways:
//!
//! * The client closes it, or it is lost.
//! * A limit is exceeded. Most are those of hyper (`head_timeout`, `max_head`,
//!   `max_streams`, pings) and of [`WriteTimeout`]. hyper does not limit the time
//!   until the first request of an HTTP/2 connection, so [`connection`] does.
//! * The server drains, and the last request has been finished.
//! * The server aborts, or is dropped.
//!
//! Errors are logged at the level `debug`, because clients cause them.

use std::{
    error::Error,
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{
    HeaderValue, Request, Response, Version,
    header::{CONNECTION, EXPECT},
};
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{sleep, timeout},
};
use tower_service::Service;

use super::{
    body::{Body, Unread},
    limits::Limits,
    peer::Peer,
    phase::{Draining, Phase, reached},
    reload::Certificates,
    write_timeout::WriteTimeout,
};

type BoxError = Box<dyn Error + Send + Sync>;

/// How often an HTTP/2 connection is pinged, to find out whether its client still
/// exists.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long a client may take to acknowledge a ping before its connection counts as
/// lost.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// A function that makes the service of each connection.
///
/// It gathers everything that hyper requires of a service in one bound, and is
/// implemented for every function that [`Bound::serve`](super::Bound::serve) accepts.
pub(crate) trait Make: Send + Sync + 'static {
    /// The service of one connection.
    type Service: Service<Request<Body>, Response = Response<Self::Body>, Future: Send, Error: Into<BoxError>>
        + Clone
        + Send
        + 'static;
    /// The body of a response.
    type Body: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Makes the service for a client.
    fn make(&self, peer: &Peer) -> Self::Service;
}

impl<F, S, B> Make for F
where
    F: Fn(&Peer) -> S + Send + Sync + 'static,
    S: Service<Request<Body>, Response = Response<B>, Future: Send, Error: Into<BoxError>>
        + Clone
        + Send
        + 'static,
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Service = S;
    type Body = B;

    fn make(&self, peer: &Peer) -> S {
        self(peer)
    }
}

/// What the listeners and connections of a server share.
pub(crate) struct Shared<M> {
    pub(crate) make: M,
    /// The name of the server in logs.
    pub(crate) name: &'static str,
    pub(crate) tls: Option<Certificates>,
    pub(crate) limits: Limits,
    /// Whether requests carry the peer and the signal to drain.
    pub(crate) extensions: bool,
    /// A permit for each connection that may still be opened.
    pub(crate) room: Arc<Semaphore>,
    /// The phase of the shutdown.
    pub(crate) phase: watch::Receiver<Phase>,
    /// Dropped with the last connection, which tells the server that all are closed.
    pub(crate) _open: mpsc::Sender<()>,
}

/// Serves one connection from its beginning, with the TLS handshake if the server has
/// certificates.
///
/// `_room` is the permit of the connection, which is returned when it ends.
pub(crate) async fn accepted<S, M: Make>(
    stream: S,
    address: Option<SocketAddr>,
    shared: Arc<Shared<M>>,
    _room: Option<OwnedSemaphorePermit>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = WriteTimeout::new(stream, shared.limits.write_timeout);
    let draining = Draining(shared.phase.clone());
    let Some(tls) = &shared.tls else {
        return connection(stream, Peer::new(address, None, draining), shared).await;
    };
    let mut phase = shared.phase.clone();
    let handshake = tls.acceptor().accept(stream);
    let accepted = tokio::select! {
        accepted = timeout(shared.limits.head_timeout, handshake) => accepted,
        // No request has begun, so nothing needs to be finished.
        () = reached(&mut phase, Phase::Drain) => return,
    };
    match accepted {
        Ok(Ok(stream)) => {
            let peer = Peer::new(address, Some(stream.get_ref().1), draining);
            connection(stream, peer, shared).await;
        }
        Ok(Err(error)) => tracing::debug!(service = shared.name, %error, "a TLS handshake failed"),
        Err(_) => {}
    }
}

/// Serves one connection after its handshake, until it ends.
async fn connection<S, M: Make>(stream: S, peer: Peer, shared: Arc<Shared<M>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = shared.limits;
    let mut phase = shared.phase.clone();
    let service = shared.make.make(&peer);
    let extensions = shared.extensions.then_some(peer);
    let used = Arc::new(AtomicBool::new(false));
    let requests = {
        let (used, unread) = (used.clone(), Unread::default());
        service_fn(move |mut request: Request<Incoming>| {
            used.store(true, Relaxed);
            if let Some(peer) = &extensions {
                request.extensions_mut().insert(peer.clone());
                request.extensions_mut().insert(peer.draining());
            }
            // Over HTTP/2 the stream of a request ends without the connection.
            let unread = (request.version() < Version::HTTP_2).then(|| unread.clone());
            respond(service.clone(), request, limits, unread)
        })
    };
    let builder = protocols(&limits);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), requests));
    let mut first_request = pin!(sleep(limits.first_request_timeout));
    let mut watched = true;
    loop {
        let draining = reached(&mut phase, Phase::Drain);
        tokio::select! {
            ended = &mut serving => {
                if let Err(error) = ended {
                    tracing::debug!(service = shared.name, error, "a connection failed");
                }
                return;
            }
            () = draining => break,
            () = &mut first_request, if watched => {
                if !used.load(Relaxed) {
                    return;
                }
                watched = false;
            }
        }
    }
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        _ = &mut serving => {}
        () = reached(&mut phase, Phase::Abort) => {}
    }
}

/// Calls the service, and discards what it has not read of the body.
///
/// If too much is left to keep an HTTP/1.1 connection, the response says that the
/// connection closes.
async fn respond<S, B>(
    mut service: S,
    request: Request<Incoming>,
    limits: Limits,
    unread: Option<Unread>,
) -> Result<Response<B>, S::Error>
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    let is_held_back = request.headers().contains_key(EXPECT);
    if let Some(unread) = &unread {
        unread.begin();
    }
    let kept = unread.clone();
    let request = request.map(|incoming| {
        Body::new(incoming, is_held_back, limits.max_body, limits.body_timeout, kept)
    });
    poll_fn(|context| service.poll_ready(context)).await?;
    let mut response = service.call(request).await?;
    if let Some(unread) = unread
        && !unread.discard().await
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// HTTP/1.1 and HTTP/2 within the limits. Which of them a client uses is detected from
/// its first bytes, so both also work without TLS.
fn protocols(limits: &Limits) -> Builder<TokioExecutor> {
    // hyper panics at a smaller limit for HTTP/1.1.
    let max_head = limits.max_head.max(8_192);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(max_head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX));
    builder
}
