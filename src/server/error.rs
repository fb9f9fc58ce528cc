//! Why a server does not start.
//!
//! Only starting can fail. A server that runs handles everything later by
//! itself: invalid definitions and certificates are logged, and what was valid
//! last stays in use.

use std::io;

use crate::http::tls::TlsError;

/// Why a server does not start.
///
/// The text does not repeat the cause, which is the
/// [`source`](std::error::Error::source). Print the whole chain to show both.
///
/// ```
/// use flagstaff::server::{Server, ServerError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let first = Server::builder().ephemeral().bind().await?;
/// let taken = first.evaluation_addr().ok_or("no address")?;
/// match Server::builder().ephemeral().evaluation(taken).bind().await {
///     Err(ServerError::Listen { service, source, .. }) => {
///         assert_eq!(service, "evaluation");
///         assert_eq!(source.kind(), std::io::ErrorKind::AddrInUse);
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A port cannot be opened: the address is in use, or not allowed.
    #[error("cannot listen for {service} at `{address}`")]
    Listen {
        /// What the listener is for: `evaluation`, `sync`, `ofrep` or `management`.
        service: &'static str,
        /// The address, or the path of the unix socket.
        address: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// A certificate or a key cannot be used, or there is no cryptography for TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An option is invalid.
    #[error("{option}: {reason}")]
    Option {
        /// The option, as an error names it, such as `CORS origin`.
        option: &'static str,
        /// What is wrong with it, and the remedy.
        reason: String,
    },
}

impl ServerError {
    /// An invalid option; `reason` says what is wrong and how to mend it.
    pub(crate) fn option(option: &'static str, reason: impl Into<String>) -> Self {
        Self::Option { option, reason: reason.into() }
    }
}
