//! TLS for everything in the crate that uses it: the provider, the HTTP client and
//! the servers.
//!
//! Certificates and keys are [`Pem`]: a file, or text in memory. [`ClientTls`] and
//! [`ServerTls`] make a configuration of rustls from them. It is then an ordinary
//! `rustls::ClientConfig` or `rustls::ServerConfig`, which a program can also use
//! elsewhere. TLS 1.2 and 1.3 are supported.
//!
//! The cryptography is that of the `CryptoProvider` that the program has installed,
//! otherwise that of the feature `tls-ring` or `tls-aws-lc`. With the feature `tls`
//! alone there is no cryptography in the build, and the program must install it.
//!
//! No error of this module quotes the content of a file, since a wrong path may
//! lead to a private key.
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
