//! PEM text, and what can be read from it.

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

/// Certificates or a private key as PEM: the file that holds the text, or the text itself.
///
/// A file is read when it is needed, so that a renewed one takes effect. A `&str` does not convert to
/// it, because it could be a path as well as a key: write `Path::new("tls.key")`.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pem {
    /// The path of a file.
    File(PathBuf),
    /// The text. `Debug` does not show it.
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

/// Where the text comes from, for errors.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the TLS file `{}`", excerpt(&path.to_string_lossy())),
            Self::Memory(_) => f.write_str("the PEM text in memory"),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Memory(_) => f.debug_tuple("Memory").finish_non_exhaustive(),
        }
    }
}

/// Reads a regular file: reading a pipe would wait for a writer, perhaps without end.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() {
        return fs::read(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

impl Pem {
    /// Reads the text.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&self) -> Result<Cow<'_, [u8]>, TlsError> {
        match self {
            Self::File(path) => match read_file(path) {
                Ok(text) => Ok(text.into()),
                Err(source) => Err(TlsError::File { path: path.clone(), source }),
            },
            Self::Memory(text) => Ok(text.into()),
        }
    }

    /// The certificates in the text, of which there is at least one.
    pub(crate) fn certificates(
        &self,
        text: &[u8],
    ) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        match CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>() {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(self.invalid("contains no PEM certificate")),
            // The error would quote a line, which may be of a key if the wrong file was named.
            Err(_) => Err(self.invalid("is not valid PEM")),
        }
    }

    /// The certificate authorities in the text. Those that rustls cannot read are left out, as in
    /// the system's own list; there must be another.
    pub(crate) fn authorities(&self, text: &[u8]) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match roots.add_parsable_certificates(self.certificates(text)?) {
            (0, _) => Err(self.invalid("contains no certificate that can be read")),
            _ => Ok(roots),
        }
    }

    /// The private key in the text.
    pub(crate) fn private_key(&self, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
        // As above.
        PrivateKeyDer::from_pem_slice(text)
            .map_err(|_| self.invalid("contains no PEM private key (without a password)"))
    }

    pub(crate) fn invalid(&self, reason: impl Into<String>) -> TlsError {
        TlsError::Invalid { pem: self.to_string(), reason: reason.into() }
    }

    /// The error of a pair of which this is the key.
    pub(crate) fn mismatch(&self, certificate: &Self, source: rustls::Error) -> TlsError {
        TlsError::Pair { key: self.to_string(), certificate: certificate.to_string(), source }
    }
}
