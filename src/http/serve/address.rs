//! Where a server listens.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listen {
    /// An address and a TCP port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl<A: Into<IpAddr>> From<(A, u16)> for Listen {
    fn from(address: (A, u16)) -> Self {
        Self::Tcp(address.into())
    }
}

impl From<PathBuf> for Listen {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}
