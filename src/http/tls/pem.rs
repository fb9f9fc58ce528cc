//! PEM text, and the certificates and keys in it.
//!
//! ```text
//! -----BEGIN CERTIFICATE-----
//! MIIB...
//! -----END CERTIFICATE-----
//! ```
//!
//! The text may contain several such blocks, and other text between them. Blocks of
//! another kind are ignored, so a certificate and its key may be in one file.

use std::{
    borrow::Cow,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::error::TlsError;
use crate::excerpt::excerpt;

/// Certificates or a private key as PEM: a file, or the text itself.
///
/// A file is read whenever it is needed, so a renewed one takes effect. There is no
/// conversion from `&str`, which could be a path as well as a key: write
/// `Path::new("tls.key")`.
///
/// ```
/// use std::path::Path;
///
/// use flagstaff::http::tls::Pem;
///
/// let file = Pem::from(Path::new("/run/secrets/tls.key"));
/// assert_eq!(file.to_string(), "the TLS file `/run/secrets/tls.key`");
///
/// let memory = Pem::Memory(b"hush".to_vec());
/// assert_eq!(format!("{memory:?}"), "Memory(..)");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pem {
    /// The path of a file.
    File(PathBuf),
    /// The text, for example from a secret store. `Debug` does not show it.
    Memory(Vec<u8>),
}

impl From<PathBuf> for Pem {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&PathBuf> for Pem {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Path> for Pem {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

/// Names where the text comes from, for errors.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the TLS file `{}`", excerpt(&path.to_string_lossy())),
            Self::Memory(_) => f.write_str("the PEM text in memory"),
        }
    }
}

/// Shows the path of a file, and nothing of a text in memory.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Memory(_) => f.debug_tuple("Memory").finish_non_exhaustive(),
        }
    }
}

/// Reads a regular file. Reading a pipe could wait for its writer forever.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() {
        return fs::read(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

impl Pem {
    /// Reads the file, or returns the text in memory. It does not check that the
    /// text is PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError::File`], if the file cannot be read.
    pub fn read(&self) -> Result<Cow<'_, [u8]>, TlsError> {
        match self {
            Self::File(path) => match read_file(path) {
                Ok(text) => Ok(text.into()),
                Err(source) => Err(TlsError::File { path: path.clone(), source }),
            },
            Self::Memory(text) => Ok(text.into()),
        }
    }

    /// The certificates in the text, in their order.
    ///
    /// # Errors
    ///
    /// If the text is not valid PEM, or contains no certificate. Certificates are
    /// not decoded here.
    pub(crate) fn certificates(
        &self,
        text: &[u8],
    ) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        match CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>() {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(self.invalid("contains no PEM certificate")),
            // The error of the parser quotes a line, which is one of a key if the path is wrong.
            Err(_) => Err(self.invalid("is not valid PEM")),
        }
    }

    /// The certificate authorities in the text. Those that rustls cannot decode are
    /// left out, as in the system's own list, but at least one must remain.
    pub(crate) fn authorities(&self, text: &[u8]) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match roots.add_parsable_certificates(self.certificates(text)?) {
            (0, _) => Err(self.invalid("contains no certificate that can be read")),
            _ => Ok(roots),
        }
    }

    /// The first private key in the text. Keys with a password are not supported.
    pub(crate) fn private_key(&self, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
        // The error is dropped for the same reason as above.
        PrivateKeyDer::from_pem_slice(text)
            .map_err(|_| self.invalid("contains no PEM private key (without a password)"))
    }

    /// The error of a text with something wrong in it.
    pub(crate) fn invalid(&self, reason: impl Into<String>) -> TlsError {
        TlsError::Invalid { pem: self.to_string(), reason: reason.into() }
    }

    /// The error of a certificate and a key that cannot be used together, of which
    /// this is the key.
    pub(crate) fn mismatch(&self, certificate: &Self, source: rustls::Error) -> TlsError {
        TlsError::Pair { key: self.to_string(), certificate: certificate.to_string(), source }
    }
}
