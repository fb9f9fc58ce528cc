//! Why a server does not listen.

use std::io;

/// Why a server does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// An address or a socket cannot be opened.
    #[error("cannot listen at `{address}`")]
    Listen {
        /// The address, or the path of the socket.
        address: String,
        /// What the system says.
        source: io::Error,
    },
}
