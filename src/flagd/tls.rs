//! The TLS configuration of a connection, with errors that name option and file.

use std::path::Path;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::{error::FlagdError, options::FlagdOptions};

/// Trusts `certPath`, or the system's roots without it; shows the client's certificate if there is
/// one. The files are read at each connection, so that renewed certificates are picked up.
pub(super) fn client_config(
    options: &FlagdOptions,
    server_name: &str,
) -> Result<ClientTlsConfig, FlagdError> {
    // An IPv6 address stands in brackets in an authority, and without them in a certificate.
    let server_name = server_name.trim_start_matches('[').trim_end_matches(']');
    let mut config = ClientTlsConfig::new().domain_name(server_name);
    config = match options.cert_path() {
        Some(path) => config.ca_certificate(Certificate::from_pem(certificates("certPath", path)?)),
        None => config.with_native_roots(),
    };
    if let (Some(cert), Some(key)) = (options.client_cert_path(), options.client_key_path()) {
        let chain = certificates("clientCertPath", cert)?;
        config = config.identity(Identity::from_pem(chain, private_key("clientKeyPath", key)?));
    }
    Ok(config)
}

/// tonic takes a file without any certificate, and fails later with an unrelated error.
fn certificates(option: &str, path: &Path) -> Result<Vec<u8>, FlagdError> {
    let pem = read(option, path)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match parsed {
        Ok(found) if !found.is_empty() => Ok(pem),
        Ok(_) => Err(no_pem(option, path, "holds no PEM certificate")),
        Err(error) => Err(no_pem(option, path, &format!("is no valid PEM: {error}"))),
    }
}

fn private_key(option: &str, path: &Path) -> Result<Vec<u8>, FlagdError> {
    let pem = read(option, path)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(pem),
        // The error's text could quote the file.
        Err(_) => Err(no_pem(option, path, "holds no PEM private key")),
    }
}

fn no_pem(option: &str, path: &Path, reason: &str) -> FlagdError {
    FlagdOptions::error(option, format!("`{}` {reason}", path.display()))
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, FlagdError> {
    std::fs::read(path).map_err(|source| FlagdOptions::file_error(option, path, source))
}
