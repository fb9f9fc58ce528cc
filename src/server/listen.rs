//! Listeners: the sockets where connections are accepted.

#[cfg(unix)]
use std::path::PathBuf;
use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{net::TcpListener, time::sleep};

use super::{
    address::Listen,
    certificates::Certificates,
    connection::{self, Connections, Phase, Service, reached},
    error::ServerError,
};

/// A listener that is open.
pub(crate) struct Listener {
    pub(crate) service: Service,
    socket: Socket,
    tls: Option<Arc<Certificates>>,
}

enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: tokio::net::UnixListener,
        /// Removed with the listener.
        _file: SocketFile,
    },
}

/// The file of a unix socket, removed with its listener.
#[cfg(unix)]
struct SocketFile(PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    pub(crate) async fn bind(
        service: Service,
        listen: &Listen,
        tls: Option<&Arc<Certificates>>,
    ) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Listen {
            service: service.name(),
            address: listen.to_string(),
            source,
        };
        let socket = match listen {
            Listen::Tcp(address) => TcpListener::bind(address).await.map(Socket::Tcp),
            #[cfg(unix)]
            Listen::Unix(path) => bind_unix(path).await,
            #[cfg(not(unix))]
            Listen::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self { service, socket: socket.map_err(failed)?, tls: tls.cloned() })
    }

    /// The address, unless it is a unix socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Socket::Unix { .. } => None,
        }
    }

    /// Accepts connections until the server drains.
    pub(crate) async fn run(self, connections: Connections) {
        let mut phase = connections.phase.clone();
        let mut draining = pin!(reached(&mut phase, Phase::Drain));
        loop {
            tokio::select! {
                () = &mut draining => return,
                accepted = self.accept(&connections) => if let Err(error) = accepted {
                    tracing::warn!(service = self.service.name(), %error, "cannot accept a connection");
                    // Such as too many open files: it passes, and must not keep a core busy.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn accept(&self, connections: &Connections) -> io::Result<()> {
        let (connections, service) = (connections.clone(), self.service);
        // With the certificates of when the connection comes, not of when it was waited for.
        let tls = || self.tls.as_deref().map(Certificates::acceptor);
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // A connection that is gone already says so later.
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection::accepted(stream, tls(), service, connections));
            }
            #[cfg(unix)]
            Socket::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(connection::accepted(stream, tls(), service, connections));
            }
        }
        Ok(())
    }
}

/// A socket file that nobody listens at any more is replaced.
#[cfg(unix)]
async fn bind_unix(path: &std::path::Path) -> io::Result<Socket> {
    use std::os::unix::fs::FileTypeExt;

    use tokio::net::{UnixListener, UnixStream};

    let is_socket = std::fs::metadata(path).is_ok_and(|file| file.file_type().is_socket());
    // Any other error may be that of a server which is busy.
    let is_refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).await.is_err_and(is_refused) {
        std::fs::remove_file(path)?;
    }
    Ok(Socket::Unix { listener: UnixListener::bind(path)?, _file: SocketFile(path.to_owned()) })
}
