//! The TLS configuration of clients.

use rustls::{ClientConfig, RootCertStore};

use super::{cryptography::cryptography, error::TlsError, pem::Pem};

/// Which servers a client trusts, and which certificate it presents.
///
/// ```no_run
/// use std::path::Path;
///
/// use flagstaff::http::tls::ClientTls;
///
/// # fn main() -> Result<(), flagstaff::http::tls::TlsError> {
/// let config = ClientTls::new().authorities(Path::new("/etc/ssl/internal-ca.pem")).config()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    /// The authorities to trust; `None` stands for the system's.
    authorities: Option<Pem>,
    /// A certificate chain and its private key.
    identity: Option<(Pem, Pem)>,
}

impl ClientTls {
    /// Trusts the system's certificate authorities, and presents no certificate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificate authorities in place of the system's.
    #[must_use]
    pub fn authorities(mut self, authorities: impl Into<Pem>) -> Self {
        self.authorities = Some(authorities.into());
        self
    }

    /// Presents this certificate chain to a server that requests one (mutual TLS).
    ///
    /// The certificate of the client comes first, followed by those of
    /// intermediate authorities.
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// Reads the files and makes a configuration of rustls.
    ///
    /// The system may have no certificate authorities, as in a minimal container.
    /// The configuration then trusts no server.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is invalid, if the certificate and the key do not
    /// belong together, or if rustls has no cryptography.
    pub fn config(&self) -> Result<ClientConfig, TlsError> {
        self.load().map(|(config, _)| config)
    }

    /// The configuration, and whether it trusts any authority. Without one, every
    /// handshake would fail with an error that does not name the remedy.
    pub(crate) fn load(&self) -> Result<(ClientConfig, bool), TlsError> {
        let mut roots = RootCertStore::empty();
        if let Some(pem) = &self.authorities {
            roots = pem.authorities(&pem.read()?)?;
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let trusts = !roots.is_empty();
        let builder = ClientConfig::builder_with_provider(cryptography()?)
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsError::NoCryptography)?
            .with_root_certificates(roots);
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificate.certificates(&certificate.read()?)?;
                let private = key.private_key(&key.read()?)?;
                let config = builder.with_client_auth_cert(chain, private);
                config.map_err(|error| key.mismatch(certificate, error))?
            }
        };
        Ok((config, trusts))
    }
}
