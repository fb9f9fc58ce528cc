//! The address of a listener.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// Where a server listens: an address with a TCP port, or a unix socket.
///
/// ```
/// use std::{net::Ipv6Addr, path::PathBuf};
///
/// use flagstaff::http::Listen;
///
/// assert_eq!(Listen::from(([127, 0, 0, 1], 8080)).to_string(), "127.0.0.1:8080");
/// assert_eq!(Listen::from((Ipv6Addr::LOCALHOST, 0)).to_string(), "[::1]:0");
/// assert_eq!(Listen::from(PathBuf::from("/run/app.sock")).to_string(), "/run/app.sock");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listen {
    /// An address and a TCP port. With port 0, the system chooses a free one.
    Tcp(SocketAddr),
    /// The path of a unix socket. On other systems, binding it fails.
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
