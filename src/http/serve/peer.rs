//! The client at the other end of a connection.

use std::{net::SocketAddr, sync::Arc};

use rustls::pki_types::CertificateDer;

use super::phase::Draining;

/// The client of a connection, and the signal of the server's shutdown.
///
/// It is the argument of the function that makes the service of each connection
/// ([`Bound::serve`](super::Bound::serve)), and an extension of each request (in axum:
/// `Extension<Peer>`). Cloning it is cheap.
///
/// ```
/// use flagstaff::http::Peer;
///
/// /// Whether a client may use an administrative interface.
/// fn is_trusted(peer: &Peer) -> bool {
///     let is_local = peer.address().is_none_or(|address| address.ip().is_loopback());
///     is_local || !peer.certificates().is_empty()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Peer(Arc<Connection>);

/// What the clones of a peer share.
#[derive(Debug)]
struct Connection {
    /// `None` for a unix socket.
    address: Option<SocketAddr>,
    encrypted: bool,
    /// The verified chain of the client; empty without mutual TLS.
    certificates: Vec<CertificateDer<'static>>,
    draining: Draining,
}

impl Peer {
    /// The peer of a connection, after its handshake.
    pub(crate) fn new(
        address: Option<SocketAddr>,
        tls: Option<&rustls::ServerConnection>,
        draining: Draining,
    ) -> Self {
        let certificates = tls.and_then(|tls| tls.peer_certificates()).unwrap_or_default();
        Self(Arc::new(Connection {
            address,
            encrypted: tls.is_some(),
            certificates: certificates.to_vec(),
            draining,
        }))
    }

    /// The address of the client; `None` over a unix socket. Behind a proxy it is the
    /// address of the proxy.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// Whether the server encrypts the connection. A proxy in front of it may do so
    /// instead, which the server does not know.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.encrypted
    }

    /// The certificate chain that the client has presented and the server has
    /// verified, with the client's own certificate first. It is empty without mutual
    /// TLS.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0.certificates
    }

    /// The signal that the server shuts down, for services that keep the peer rather
    /// than read the extensions of requests.
    #[must_use]
    pub fn draining(&self) -> Draining {
        self.0.draining.clone()
    }
}
