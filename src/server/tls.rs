//! Encryption: of the listeners, and of sources over HTTP.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::error::ServerError;

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

/// For listeners with this certificate chain and key, both PEM.
pub(crate) fn server(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, ServerError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid(certificate, "it is no valid PEM"))?;
    if chain.is_empty() {
        return Err(invalid(certificate, "it holds no PEM certificate"));
    }
    // The error would quote a line, which may be of the key.
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|_| invalid(key, "it holds no PEM private key (without a password)"))?;
    let mut config = ServerConfig::builder_with_provider(cryptography()?)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| {
            invalid(key, &format!("with the certificate `{}`: {error}", certificate.display()))
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// How a client encrypts.
pub(crate) struct ClientTls {
    pub(crate) config: ClientConfig,
    /// Whether there is any authority to trust; the system may have none.
    pub(crate) trusts: bool,
}

/// For clients that trust the system's authorities, or only those of a PEM file.
pub(crate) fn client(authorities: Option<&Path>) -> Result<ClientTls, ServerError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            let found: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
                .collect::<Result<_, _>>()
                .map_err(|_| invalid(path, "it is no valid PEM"))?;
            if roots.add_parsable_certificates(found).0 == 0 {
                return Err(invalid(path, "it holds no certificate that can be read"));
            }
        }
    }
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
