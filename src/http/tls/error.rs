//! Why there is no TLS.

use std::{io, path::PathBuf};

use crate::excerpt::excerpt;

/// Why a TLS configuration cannot be used.
///
/// An error names the file, but never quotes its content, which may be a private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the TLS file `{}`", excerpt(&.path.to_string_lossy()))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate or a key is invalid.
    #[error("{pem} {reason}")]
    Invalid {
        /// Where the PEM text comes from: a file, or memory.
        pem: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate and a key do not belong together, or rustls rejects them.
    #[error("cannot use {key} with the certificate in {certificate}")]
    Pair {
        /// Where the key comes from.
        key: String,
        /// Where the certificate comes from.
        certificate: String,
        /// What rustls says.
        source: rustls::Error,
    },
    /// rustls has no cryptography.
    #[error(
        "rustls has no cryptography: add the feature `tls-ring` or `tls-aws-lc`, \
         or install a `CryptoProvider`"
    )]
    NoCryptography,
}
