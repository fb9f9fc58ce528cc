//! A secret, given literally or as a file that is read whenever the secret is needed.

use std::{fmt, fs, io, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::excerpt::shown;

/// The longest secret in a file, in bytes. It keeps a wrong path from filling the memory.
const MAX: u64 = 64 << 10;

/// A secret such as a token: its text, or the file that contains it.
///
/// A file is read again for each request, so that a renewed token takes effect without
/// a restart. White space around the text in the file, such as a final line break, is
/// ignored. `Debug` shows the path of the file and never a text, and the text is erased
/// from memory when the secret is dropped.
///
/// ```
/// use flagstaff::http::Secret;
///
/// let literal = Secret::from("hush");
/// assert_eq!(format!("{literal:?}"), "Text");
///
/// let mounted = Secret::file("/run/secrets/token");
/// assert_eq!(format!("{mounted:?}"), r#"File("/run/secrets/token")"#);
/// ```
#[derive(Clone)]
pub struct Secret(Kind);

#[derive(Clone)]
enum Kind {
    /// The secret itself.
    Text(SecretString),
    /// The path of a file that contains the secret.
    File(PathBuf),
}

/// Why a secret cannot be read from its file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("cannot read the secret in {}", shown(.0))]
    Read(PathBuf, #[source] io::Error),
    #[error("the secret in {} is longer than {MAX} bytes", shown(.0))]
    TooLong(PathBuf),
    #[error("the secret file {} is empty", shown(.0))]
    Empty(PathBuf),
}

impl Secret {
    /// A secret in a regular file: UTF-8, at most 64 KiB. The file need not exist yet.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Kind::File(path.into()))
    }

    /// Returns the text, which is read from the file if it is in one.
    ///
    /// The file is read synchronously: it is small, and usually in memory.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not a regular file, is too long, is not UTF-8,
    /// or contains nothing but white space.
    pub(crate) fn read(&self) -> Result<SecretString, SecretError> {
        match &self.0 {
            Kind::Text(text) => Ok(text.clone()),
            Kind::File(path) => {
                let failed = |error| SecretError::Read(path.clone(), error);
                let metadata = fs::metadata(path).map_err(failed)?;
                if !metadata.is_file() {
                    let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
                    return Err(failed(error));
                }
                if metadata.len() > MAX {
                    return Err(SecretError::TooLong(path.clone()));
                }
                let text = SecretString::from(fs::read_to_string(path).map_err(failed)?);
                match text.expose_secret().trim() {
                    "" => Err(SecretError::Empty(path.clone())),
                    text => Ok(text.into()),
                }
            }
        }
    }
}

/// A literal secret.
impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Kind::Text(text.into()))
    }
}

/// A literal secret.
impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Kind::Text(text.into()))
    }
}

/// Compares what was configured, to see whether a configuration has changed: two
/// secrets in files are equal if their paths are.
///
/// The comparison takes a time that depends on the texts, so it must not be used to
/// authenticate anybody.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Text(a), Kind::Text(b)) => a.expose_secret() == b.expose_secret(),
            (Kind::File(a), Kind::File(b)) => a == b,
            _ => false,
        }
    }
}

/// Shows the path of a file, and nothing of a text.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Text(_) => f.write_str("Text"),
            Kind::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewed_file_takes_effect() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = Secret::file(file.path().to_owned());
        for text in ["first\n", " second\r\n"] {
            fs::write(file.path(), text).unwrap();
            assert_eq!(secret.read().unwrap().expose_secret(), text.trim());
        }
    }

    #[test]
    fn a_file_that_is_of_no_use_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("token");
        let error = Secret::file(missing.clone()).read().unwrap_err().to_string();
        assert_eq!(error, format!("cannot read the secret in {}", missing.display()));
        let error = Secret::file(directory.path().to_owned()).read().unwrap_err();
        assert!(matches!(error, SecretError::Read(..)), "{error}");
        // An empty secret would sign callback tokens that anybody can make.
        fs::write(&missing, " \n").unwrap();
        let error = Secret::file(missing.clone()).read().unwrap_err();
        assert!(error.to_string().ends_with("is empty"), "{error}");
        fs::write(&missing, " ".repeat(70_000)).unwrap();
        let error = Secret::file(missing).read().unwrap_err();
        assert!(error.to_string().ends_with("longer than 65536 bytes"), "{error}");
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", Secret::from("hush")), "Text");
    }
}
