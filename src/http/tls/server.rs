//! The TLS configuration of servers.
//!
//! Reading the files and building the configuration are separate steps, so that
//! [`Certificates`](crate::http::Certificates) can compare the content of the files
//! and build only if it has changed.

use std::{borrow::Cow, sync::Arc};

use rustls::{ServerConfig, server::WebPkiClientVerifier};

use super::{cryptography::cryptography, error::TlsError, pem::Pem};

/// The certificate of a server, and the clients that it accepts.
///
/// ```no_run
/// use std::path::Path;
///
/// use flagstaff::http::tls::ServerTls;
///
/// # fn main() -> Result<(), flagstaff::http::tls::TlsError> {
/// let tls = ServerTls::new(Path::new("/run/tls/tls.crt"), Path::new("/run/tls/tls.key"))
///     .client_authorities(Path::new("/run/tls/clients-ca.crt"));
/// let config: rustls::ServerConfig = tls.config()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The certificate chain, the certificate of the server first.
    certificate: Pem,
    key: Pem,
    /// The authorities of client certificates; `None` accepts every client.
    clients: Option<Pem>,
}

/// The content of the files of a [`ServerTls`]. Its hash tells whether they have
/// changed.
#[derive(Hash)]
pub(crate) struct Texts<'p> {
    certificate: Cow<'p, [u8]>,
    key: Cow<'p, [u8]>,
    clients: Option<Cow<'p, [u8]>>,
}

impl ServerTls {
    /// Presents this certificate chain, and accepts every client.
    ///
    /// The certificate of the server comes first, followed by those of intermediate
    /// authorities.
    #[must_use]
    pub fn new(certificate: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), clients: None }
    }

    /// Accepts only clients with a certificate that one of these authorities has
    /// issued (mutual TLS).
    #[must_use]
    pub fn client_authorities(mut self, authorities: impl Into<Pem>) -> Self {
        self.clients = Some(authorities.into());
        self
    }

    /// Reads the files and makes a configuration of rustls, which offers HTTP/2 and
    /// HTTP/1.1 to clients.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is invalid, if the certificate and the key do not
    /// belong together, or if rustls has no cryptography.
    pub fn config(&self) -> Result<ServerConfig, TlsError> {
        self.build(&self.read()?)
    }

    /// Whether any of it is in a file, which can change.
    #[cfg(feature = "http")]
    pub(crate) fn is_in_files(&self) -> bool {
        let pems = [Some(&self.certificate), Some(&self.key), self.clients.as_ref()];
        pems.into_iter().flatten().any(|pem| matches!(pem, Pem::File(_)))
    }

    /// Reads the files, without looking at their content.
    pub(crate) fn read(&self) -> Result<Texts<'_>, TlsError> {
        Ok(Texts {
            certificate: self.certificate.read()?,
            key: self.key.read()?,
            clients: self.clients.as_ref().map(Pem::read).transpose()?,
        })
    }

    /// Makes the configuration from the content of the files.
    pub(crate) fn build(&self, texts: &Texts<'_>) -> Result<ServerConfig, TlsError> {
        let chain = self.certificate.certificates(&texts.certificate)?;
        let private = self.key.private_key(&texts.key)?;
        let cryptography = cryptography()?;
        let verifier = match (&self.clients, &texts.clients) {
            (Some(pem), Some(text)) => {
                let roots = Arc::new(pem.authorities(text)?);
                WebPkiClientVerifier::builder_with_provider(roots, cryptography.clone())
                    .build()
                    .map_err(|error| pem.invalid(format!("cannot be used for clients: {error}")))?
            }
            _ => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(cryptography)
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsError::NoCryptography)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, private)
            .map_err(|error| self.key.mismatch(&self.certificate, error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}
