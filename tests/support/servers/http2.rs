//! The accept loop under every HTTP/2 server here: counts connections, supports TLS and unix
//! sockets, and can send GOAWAY.

use std::{convert::Infallible, error::Error, future::Future, io, pin::pin, sync::Arc};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// A socket that listens, made outside any runtime.
#[derive(Debug)]
pub enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// The number of connections, in total and now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    pub accepted: usize,
    pub open: usize,
}

impl AsMut<Connections> for Connections {
    fn as_mut(&mut self) -> &mut Connections {
        self
    }
}

/// Counts one connection as open for as long as it lives.
#[derive(Debug)]
pub struct Counted<S: AsMut<Connections>>(Arc<watch::Sender<S>>);

impl<S: AsMut<Connections>> Counted<S> {
    pub fn new(counts: &Arc<watch::Sender<S>>) -> Self {
        counts.send_modify(|state| {
            let connections = state.as_mut();
            connections.accepted += 1;
            connections.open += 1;
        });
        Self(Arc::clone(counts))
    }
}

impl<S: AsMut<Connections>> Drop for Counted<S> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.as_mut().open -= 1);
    }
}

/// What a connection is made of, before and after TLS.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A server's settings.
#[derive(Debug)]
pub struct Server<S: AsMut<Connections>> {
    pub listener: Listener,
    pub tls: Option<Arc<ServerConfig>>,
    pub counts: Arc<watch::Sender<S>>,
    /// Once true, no connection is accepted and each open one sends GOAWAY.
    pub goaway: watch::Receiver<bool>,
}

impl<S: AsMut<Connections> + Send + Sync + 'static> Server<S> {
    /// Serves until `goaway` is set, and then until the last connection is closed.
    pub async fn run<H, F, B>(self, handler: H)
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let accepting = Accepting::new(self.listener);
        let tls = self.tls.map(TlsAcceptor::from);
        let mut goaway = self.goaway.clone();
        let mut connections = JoinSet::new();
        loop {
            let io = tokio::select! {
                io = accepting.accept() => io.expect("the listener accepts"),
                _ = goaway.wait_for(|goaway| *goaway) => break,
            };
            let counted = Counted::new(&self.counts);
            let (tls, handler, goaway) = (tls.clone(), handler.clone(), self.goaway.clone());
            connections.spawn(async move {
                let _counted = counted;
                // A client that rejects our certificate reports it itself.
                if let Some(io) = encrypt(io, tls, goaway.clone()).await {
                    connection(io, handler, goaway).await;
                }
            });
            while connections.try_join_next().is_some() {}
        }
        drop(accepting);
        while connections.join_next().await.is_some() {}
    }
}

async fn encrypt(
    io: Box<dyn Io>,
    tls: Option<TlsAcceptor>,
    mut goaway: watch::Receiver<bool>,
) -> Option<Box<dyn Io>> {
    let Some(tls) = tls else { return Some(io) };
    tokio::select! {
        io = tls.accept(io) => Some(Box::new(io.ok()?)),
        _ = goaway.wait_for(|goaway| *goaway) => None,
    }
}

async fn connection<H, F, B>(io: Box<dyn Io>, handler: H, mut goaway: watch::Receiver<bool>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = handler(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let http = http2::Builder::new(TokioExecutor::new());
    let mut serving = pin!(http.serve_connection(TokioIo::new(io), service));
    // How a connection ends is for the client to judge.
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = goaway.wait_for(|goaway| *goaway) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Accepting {
    fn new(listener: Listener) -> Self {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true).unwrap();
                Self::Tcp(TcpListener::from_std(listener).unwrap())
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true).unwrap();
                Self::Unix(UnixListener::from_std(listener).unwrap())
            }
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Io>> {
        match self {
            Self::Tcp(listener) => {
                let (io, _) = listener.accept().await?;
                io.set_nodelay(true)?;
                Ok(Box::new(io))
            }
            Self::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}
