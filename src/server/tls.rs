//! Encryption: of the listeners, and of sources over HTTP.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::{certificates::TlsFiles, error::ServerError};

/// The cryptography that the program has installed, else that of the crate's features.
fn cryptography() -> Result<Arc<CryptoProvider>, ServerError> {
    if let Some(installed) = CryptoProvider::get_default() {
        return Ok(installed.clone());
    }
    #[cfg(feature = "tls-ring")]
    let built_in = Some(rustls::crypto::ring::default_provider());
    #[cfg(all(feature = "tls-aws-lc", not(feature = "tls-ring")))]
    let built_in = Some(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
    let built_in = None;
    built_in.map(Arc::new).ok_or(ServerError::NoCryptography)
}

/// What the files of a server hold.
#[derive(Hash)]
pub(crate) struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
    clients: Option<Vec<u8>>,
}

impl Pem {
    pub(crate) fn read(files: &TlsFiles) -> Result<Self, ServerError> {
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            clients: files.clients.as_deref().map(read).transpose()?,
        })
    }
}

/// For listeners with what these files hold.
pub(crate) fn server(files: &TlsFiles, pem: &Pem) -> Result<Arc<ServerConfig>, ServerError> {
    let TlsFiles { certificate, key, clients } = files;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem.certificate)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid(certificate, "it is not valid PEM"))?;
    if chain.is_empty() {
        return Err(invalid(certificate, "it contains no PEM certificate"));
    }
    // The error would quote a line, which may be of the key.
    let private = PrivateKeyDer::from_pem_slice(&pem.key)
        .map_err(|_| invalid(key, "it contains no PEM private key (without a password)"))?;
    let cryptography = cryptography()?;
    let verifier = match (clients, &pem.clients) {
        (Some(path), Some(pem)) => {
            let roots = Arc::new(authorities(path, pem)?);
            WebPkiClientVerifier::builder_with_provider(roots, cryptography.clone())
                .build()
                .map_err(|error| invalid(path, &error.to_string()))?
        }
        _ => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_provider(cryptography)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_client_cert_verifier(verifier).with_single_cert(chain, private)
        })
        .map_err(|error| {
            invalid(key, &format!("with the certificate `{}`: {error}", certificate.display()))
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The authorities of a PEM file that holds this.
fn authorities(path: &Path, pem: &[u8]) -> Result<RootCertStore, ServerError> {
    let mut roots = RootCertStore::empty();
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid(path, "it is not valid PEM"))?;
    if roots.add_parsable_certificates(found).0 == 0 {
        return Err(invalid(path, "it contains no certificate that can be read"));
    }
    Ok(roots)
}

/// How a client encrypts.
pub(crate) struct ClientTls {
    pub(crate) config: ClientConfig,
    /// Whether there is any authority to trust; the system may have none.
    pub(crate) trusts: bool,
}

/// For clients that trust the system's authorities, or only those of a PEM file.
pub(crate) fn client(trusted: Option<&Path>) -> Result<ClientTls, ServerError> {
    let roots = match trusted {
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
        Some(path) => authorities(path, &read(path)?)?,
    };
    let builder = ClientConfig::builder_with_provider(cryptography()?)
        .with_safe_default_protocol_versions()
        .map_err(|_| ServerError::NoCryptography)?;
    let trusts = !roots.is_empty();
    Ok(ClientTls { config: builder.with_root_certificates(roots).with_no_client_auth(), trusts })
}

fn invalid(path: &Path, reason: &str) -> ServerError {
    ServerError::TlsFile { path: path.to_owned(), reason: reason.to_owned() }
}

fn read(path: &Path) -> Result<Vec<u8>, ServerError> {
    fs::read(path).map_err(|error| invalid(path, &error.to_string()))
}
