//! The errors of a TLS configuration.

use std::{io, path::PathBuf};

use crate::excerpt::excerpt;

/// Why a TLS configuration cannot be used.
///
/// An error names the file, but never quotes its content, which may be a private
/// key.
///
/// ```
/// use std::{error::Error as _, path::Path};
///
/// use flagstaff::http::tls::{Pem, TlsError};
///
/// let error = Pem::from(Path::new("/no/such/ca.pem")).read().unwrap_err();
/// assert!(matches!(error, TlsError::File { .. }));
/// assert_eq!(error.to_string(), "cannot read the TLS file `/no/such/ca.pem`");
/// assert!(error.source().is_some());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is not a regular file.
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
        /// Where the PEM text comes from: a file or memory.
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
    /// rustls has no cryptography, or none that supports TLS 1.2 or 1.3.
    #[error(
        "rustls has no cryptography: add the feature `tls-ring` or `tls-aws-lc`, \
         or install a `CryptoProvider`"
    )]
    NoCryptography,
}
