//! Who is at the other end of a connection.

use std::{net::SocketAddr, sync::Arc};

use rustls::pki_types::CertificateDer;

use super::phase::Draining;

/// The client of a connection, and the server's shutdown as it concerns that connection.
///
/// It is an argument of the function that makes the service of each connection, and an extension of
/// each request (in axum: `Extension<Peer>`). To clone it costs little.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    address: Option<SocketAddr>,
    encrypted: bool,
    certificates: Vec<CertificateDer<'static>>,
    draining: Draining,
}

impl Peer {
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

    /// The client's address, unless it is connected over a unix socket. Behind a proxy it is the
    /// proxy's.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.encrypted
    }

    /// The certificate chain that the client has presented and the server has verified, its own
    /// certificate first; empty without mutual TLS.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0.certificates
    }

    /// The signal that the server shuts down.
    #[must_use]
    pub fn draining(&self) -> Draining {
        self.0.draining.clone()
    }
}
