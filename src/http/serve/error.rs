//! The error of binding a server.

use std::io;

/// Why a server cannot listen, from [`ServerBuilder::bind`](super::ServerBuilder::bind).
///
/// ```
/// use flagstaff::http::{BindError, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let first = Server::builder().listen(([127, 0, 0, 1], 0)).bind().await?;
/// let taken = first.addresses()[0];
/// let BindError::Listen { address, source } =
///     Server::builder().listen(taken).bind().await.unwrap_err()
/// else {
///     unreachable!("there is no other reason")
/// };
/// assert_eq!(address, taken.to_string());
/// assert_eq!(source.kind(), std::io::ErrorKind::AddrInUse);
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A listener cannot be opened, for example because the address is in use.
    #[error("cannot listen at `{address}`")]
    Listen {
        /// The address, or the path of the socket.
        address: String,
        /// What the system says.
        source: io::Error,
    },
}
