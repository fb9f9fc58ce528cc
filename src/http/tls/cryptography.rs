//! The cryptography that rustls works with.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use super::error::TlsError;

/// The cryptography that the program has installed, else that of the crate's features.
pub(crate) fn cryptography() -> Result<Arc<CryptoProvider>, TlsError> {
    if let Some(installed) = CryptoProvider::get_default() {
        return Ok(installed.clone());
    }
    #[cfg(feature = "tls-ring")]
    let built_in = Some(rustls::crypto::ring::default_provider());
    #[cfg(all(feature = "tls-aws-lc", not(feature = "tls-ring")))]
    let built_in = Some(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
    let built_in = None;
    built_in.map(Arc::new).ok_or(TlsError::NoCryptography)
}
