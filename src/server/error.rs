//! Why a server does not start.

use std::io;

use crate::http::tls::TlsError;

/// Why a server does not start. Its text does not repeat the cause, which is its
/// [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A listener cannot be opened.
    #[error("cannot listen for {service} at `{address}`")]
    Listen {
        /// What the listener is for: `evaluation`, `sync`, `ofrep` or `management`.
        service: &'static str,
        /// The address or the path of the socket.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate or a key cannot be used, or there is no cryptography for TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An option is not valid.
    #[error("{option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong with it, and the remedy.
        reason: String,
    },
}

impl ServerError {
    pub(crate) fn option(option: &'static str, reason: impl Into<String>) -> Self {
        Self::Option { option, reason: reason.into() }
    }
}
