//! TLS, in one place for everything that speaks it: the provider, the HTTP client and the servers.
//!
//! Certificates and keys are [`Pem`]: a file, or text in memory. [`ClientTls`] and [`ServerTls`] make
//! the configuration of rustls out of them, with the `CryptoProvider` that the program has installed,
//! else with that of the feature `tls-ring` or `tls-aws-lc`.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use flagstaff::http::tls::{ClientTls, Pem};
//!
//! # fn example(downloaded: Vec<u8>) -> Result<(), flagstaff::http::tls::TlsError> {
//! let config: rustls::ClientConfig = ClientTls::new()
//!     .authorities(Path::new("/etc/ssl/internal-ca.pem"))
//!     .identity(Pem::Memory(downloaded), Path::new("/run/secrets/client.key"))
//!     .config()?;
//! # Ok(()) }
//! ```

mod client;
mod cryptography;
mod error;
mod pem;
mod server;

pub use self::{client::ClientTls, error::TlsError, pem::Pem, server::ServerTls};
#[cfg(feature = "http")]
pub(crate) use server::Texts;
