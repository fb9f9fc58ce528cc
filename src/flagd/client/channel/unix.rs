//! Connections over unix sockets, on systems that have them.
//!
//! tonic connects over TCP; for another kind of socket it takes a connector, which
//! is a service from a URI to a stream of bytes. The URI is ignored: the path is
//! not a part of it.

use std::{
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tower_service::Service;

use crate::excerpt::shown;

/// Connects to the socket at this path, anew for each connection.
#[derive(Clone)]
pub(crate) struct UnixConnector(PathBuf);

impl UnixConnector {
    /// A connector for the socket at `path`.
    ///
    /// A path that does not exist is accepted, because flagd may create the socket
    /// later. A path to something else is an error, because it never becomes a socket.
    pub(crate) fn new(path: &Path) -> Result<Self, String> {
        match fs::metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                Err(format!("`{}` is not a unix socket", shown(path)))
            }
            _ => Ok(Self(path.to_owned())),
        }
    }
}

impl Service<Uri> for UnixConnector {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<UnixStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(UnixStream::connect(path).await?)) })
    }
}
