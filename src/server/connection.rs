//! Connections of clients: encryption, HTTP in both versions, and their end in a shutdown.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response, Version, header::CONNECTION};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, mpsc, watch},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    body::{Received, Reply},
    core::Core,
    evaluation, management, ofrep,
    patience::Patient,
    sync,
};

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Evaluation,
    Sync,
    Ofrep,
    Management,
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Sync => "sync",
            Self::Ofrep => "ofrep",
            Self::Management => "management",
        }
    }

    /// Whether the answer at this path is as long as there are many flags.
    fn answers_all(self, path: &str) -> bool {
        match self {
            Self::Evaluation => path.ends_with("/ResolveAll"),
            Self::Sync => path.ends_with("/FetchAllFlags"),
            Self::Ofrep => path.trim_end_matches('/') == ofrep::PATH,
            Self::Management => path == "/metrics",
        }
    }
}

/// How far a shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Requests are served.
    Serve,
    /// Requests that were begun are finished, others refused.
    Drain,
    /// What is left is dropped.
    Abort,
}

/// How long a client may take to send the head of a request, or to agree on encryption.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may be connected before its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(30);

/// A connection that leaves a ping unanswered for so long is lost.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How many streams of HTTP/2 a connection may have open at once; a client waits beyond it.
const MOST_STREAMS: u32 = 200;

/// How many answers that hold all flags a connection may have under way at once: a client that
/// takes none of them keeps no more in memory.
const MOST_LARGE: usize = 8;

/// What the connections of a listener share.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) core: Arc<Core>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) max_header: usize,
    /// Held by each connection: when all are dropped, all connections are closed.
    pub(crate) open: mpsc::Sender<()>,
}

/// Returns once a shutdown is so far, or nobody waits for it any more.
pub(crate) async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// Serves one connection, encrypted if the listener says so.
pub(crate) async fn accepted<S>(
    stream: S,
    tls: Option<TlsAcceptor>,
    service: Service,
    connections: Connections,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Patient::new(stream);
    match tls {
        None => connection(stream, service, connections).await,
        Some(acceptor) => {
            let mut phase = connections.phase.clone();
            let accepted = tokio::select! {
                accepted = timeout(HEAD_TIMEOUT, acceptor.accept(stream)) => accepted,
                // No request was begun.
                () = reached(&mut phase, Phase::Drain) => return,
            };
            match accepted {
                Ok(Ok(stream)) => connection(stream, service, connections).await,
                Ok(Err(error)) => {
                    tracing::debug!(service = service.name(), %error, "a TLS handshake failed");
                }
                Err(_) => {}
            }
        }
    }
}

/// Serves one connection until it ends, whoever ends it.
async fn connection<S>(stream: S, service: Service, connections: Connections)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Connections { core, mut phase, max_header, open } = connections;
    let metrics = core.clone();
    let _counted = metrics.metrics.connections.count();
    let used = Arc::new(AtomicBool::new(false));
    let requests = {
        let used = used.clone();
        let large = Arc::new(Semaphore::new(MOST_LARGE));
        service_fn(move |request: Request<Incoming>| {
            used.store(true, Relaxed);
            let core = core.clone();
            let large = service.answers_all(request.uri().path()).then(|| large.clone());
            async move {
                let Some(large) = large else {
                    return Ok::<_, Infallible>(serve(service, core, request).await);
                };
                // The semaphore is never closed.
                let room = large.acquire_owned().await.ok();
                Ok(serve(service, core, request).await.map(|reply| reply.holding(room)))
            }
        })
    };
    let builder = protocols(max_header);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), requests));
    let mut first_request = pin!(sleep(FIRST_REQUEST));
    let mut watched = true;
    loop {
        let draining = reached(&mut phase, Phase::Drain);
        tokio::select! {
            ended = &mut serving => {
                if let Err(error) = ended {
                    tracing::debug!(service = service.name(), error, "a connection failed");
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
    drop(open);
}

async fn serve(service: Service, core: Arc<Core>, request: Request<Incoming>) -> Response<Reply> {
    let version = request.version();
    let (parts, mut body) = Received::split(request);
    let request = Request::from_parts(parts, &mut body);
    let mut response = match service {
        Service::Evaluation => evaluation::router::serve(core, request).await,
        Service::Sync => sync::serve(core, request).await,
        Service::Ofrep => ofrep::serve(core, request).await,
        Service::Management => management::serve(core, request).await,
    };
    if version < Version::HTTP_2 && !body.discard().await {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn protocols(max_header: usize) -> Builder<TokioExecutor> {
    // hyper refuses less.
    let max_header = max_header.max(8_192);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(max_header);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(max_header).unwrap_or(u32::MAX));
    builder
}
