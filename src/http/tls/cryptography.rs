//! The cryptography that rustls uses.
//!
//! It is passed to each configuration rather than installed for the process, which
//! is for the program to do and not for a library.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use super::error::TlsError;

/// The cryptography that the program has installed, otherwise that of the crate's
/// features. With both features, it is ring.
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
