//! Listeners: the sockets on which connections are accepted.
//!
//! Each listener has one task, which accepts connections and spawns a task for each.
//! The number of connections is limited by a semaphore that all listeners of a server
//! share. A listener that finds no room waits, and further clients wait in the
//! system's queue, which is better for them than a connection that is closed.

#[cfg(unix)]
use std::path::PathBuf;
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, time::sleep};

use super::{
    address::Listen,
    connection::{self, Make, Shared},
    phase::{Phase, reached},
};

/// An open listener.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: tokio::net::UnixListener,
        /// Removes the file of the socket with the listener.
        _file: SocketFile,
    },
}

/// The file of a unix socket, which is removed when this is dropped.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Opens a listener.
    pub(crate) async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => bind_tcp(*address).await.map(Self::Tcp),
            #[cfg(unix)]
            Listen::Unix(path) => bind_unix(path).await,
            #[cfg(not(unix))]
            Listen::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The address with the actual port; `None` for a unix socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix { .. } => None,
        }
    }

    /// Accepts connections until the server drains.
    pub(crate) async fn run<M: Make>(self, shared: Arc<Shared<M>>) {
        let mut phase = shared.phase.clone();
        let mut draining = pin!(reached(&mut phase, Phase::Drain));
        loop {
            tokio::select! {
                () = &mut draining => return,
                accepted = self.accept(&shared) => if let Err(error) = accepted {
                    tracing::warn!(service = shared.name, %error, "cannot accept a connection");
                    // For example too many open files: it is temporary, and must not keep a core busy.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Accepts one connection and spawns its task.
    async fn accept<M: Make>(&self, shared: &Arc<Shared<M>>) -> io::Result<()> {
        // A connection is accepted before there is room for it: a listener that took the room first
        // would keep it from the others while it waits for a client. The semaphore is never closed.
        let room = async || shared.room.clone().acquire_owned().await.ok();
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // It fails only for a lost connection, which the first read reports.
                let _ = stream.set_nodelay(true);
                let room = room().await;
                tokio::spawn(connection::accepted(stream, Some(address), shared.clone(), room));
            }
            #[cfg(unix)]
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let room = room().await;
                tokio::spawn(connection::accepted(stream, None, shared.clone(), room));
            }
        }
        Ok(())
    }
}

/// Opens a listener. On a system without IPv6, `::` is replaced with `0.0.0.0`, which also means every
/// interface.
async fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    // A port that somebody else has, or that this user may not have, says nothing of IPv6.
    let has_no_ipv6 = |error: &io::Error| {
        !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
    };
    if address.ip() == Ipv6Addr::UNSPECIFIED && bound.as_ref().is_err_and(has_no_ipv6) {
        return TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await;
    }
    bound
}

/// Opens a unix socket, and replaces the file of one on which no server listens any
/// more, as a server leaves it behind that was killed.
#[cfg(unix)]
async fn bind_unix(path: &std::path::Path) -> io::Result<Listener> {
    use std::os::unix::fs::FileTypeExt;

    use tokio::net::{UnixListener, UnixStream};

    let is_socket = std::fs::metadata(path).is_ok_and(|file| file.file_type().is_socket());
    // Any other error may come from a server that is busy, whose socket must stay.
    let is_refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).await.is_err_and(is_refused) {
        std::fs::remove_file(path)?;
    }
    Ok(Listener::Unix { listener: UnixListener::bind(path)?, _file: SocketFile(path.to_owned()) })
}
