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
    pin::{Pin, pin},
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
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::server::TlsStream;
use tower_service::Service;

use super::{
    body::{Body, Unread},
    detect::Detected,
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
    // On the heap, so that connections without TLS need no room for its state.
    let Some(stream) = Box::pin(handshake(stream, tls, &shared)).await else { return };
    let peer = Peer::new(address, Some(stream.get_ref().1), draining);
    connection(stream, peer, shared).await;
}

/// The encrypted stream, unless the client fails or the server drains.
async fn handshake<S, M>(
    stream: S,
    tls: &Certificates,
    shared: &Shared<M>,
) -> Option<Box<TlsStream<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut phase = shared.phase.clone();
    let accepted = tokio::select! {
        accepted = timeout(shared.limits.head_timeout, tls.acceptor().accept(stream)) => accepted,
        // No request has begun, so nothing needs to be finished.
        () = reached(&mut phase, Phase::Drain) => return None,
    };
    match accepted {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(service = shared.name, %error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
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
    let mut first_request = pin!(sleep(limits.first_request_timeout));
    let stream = tokio::select! {
        detected = Detected::new(stream) => match detected {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(service = shared.name, %error, "a connection failed"),
        },
        // No request has begun, so nothing needs to be finished.
        () = reached(&mut phase, Phase::Drain) => return,
        () = &mut first_request => return,
    };
    let is_http2 = stream.is_http2();
    let stream = TokioIo::new(stream);
    let ended = if is_http2 {
        let connection = Box::pin(http2(&limits).serve_connection(stream, requests));
        drive(connection, phase, first_request, &used).await
    } else {
        let connection = Box::pin(http1(&limits).serve_connection(stream, requests));
        drive(connection, phase, first_request, &used).await
    };
    if let Err(error) = ended {
        let error: &dyn Error = &error;
        tracing::debug!(service = shared.name, error, "a connection failed");
    }
}

/// Lets hyper serve a connection until it ends, has been drained, or has sent no request in time.
async fn drive<C>(
    mut connection: Pin<Box<C>>,
    mut phase: watch::Receiver<Phase>,
    mut first_request: Pin<&mut Sleep>,
    used: &AtomicBool,
) -> hyper::Result<()>
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut watched = true;
    loop {
        tokio::select! {
            ended = &mut connection => return ended,
            () = reached(&mut phase, Phase::Drain) => break,
            () = &mut first_request, if watched => {
                if !used.load(Relaxed) {
                    return Ok(());
                }
                watched = false;
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = &mut connection => {}
        () = reached(&mut phase, Phase::Abort) => {}
    }
    Ok(())
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

/// The longest head of a request, as hyper takes it: it panics at a smaller limit for HTTP/1.1.
fn max_head(limits: &Limits) -> usize {
    limits.max_head.max(8_192)
}

/// HTTP/1.1 within the limits.
fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(max_head(limits));
    builder
}

/// HTTP/2 within the limits.
fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(max_head(limits)).unwrap_or(u32::MAX));
    builder
}
