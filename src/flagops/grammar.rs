//! Which names identities and keys can have. They are checked before a request, so that
//! none can lead to another path: `../secret/ID` is not an identity.

use crate::{excerpt::excerpt, flagops::error::FactsError};

/// The longest identity, in bytes.
const MAX_IDENTITY: usize = 160;
/// The longest key, in bytes.
const MAX_KEY: usize = 128;
/// The longest value, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// Checks the name of an identity.
///
/// # Errors
///
/// If it is empty, longer than 160 bytes, `.` or `..`, or contains `/` or a control
/// character.
pub(crate) fn identity(name: &str) -> Result<&str, FactsError> {
    checked("identity", name, MAX_IDENTITY)
}

/// Checks the key of a fact or a secret: as an identity, with at most 128 bytes.
pub(crate) fn key(name: &str) -> Result<&str, FactsError> {
    checked("key", name, MAX_KEY)
}

/// Checks the value of a fact. The error does not quote it.
pub(crate) fn value(key: &str, value: &str) -> Result<(), FactsError> {
    if (1..=MAX_VALUE).contains(&value.len()) {
        return Ok(());
    }
    let reason = format!("the value must have 1 to {MAX_VALUE} bytes, got {}", value.len());
    Err(FactsError::Name { kind: "fact", name: excerpt(key).into_owned(), reason })
}

fn checked<'n>(kind: &'static str, name: &'n str, max: usize) -> Result<&'n str, FactsError> {
    let reason = match name {
        "" => "it must not be empty".to_owned(),
        "." | ".." => "it would lead to another path".to_owned(),
        _ if name.len() > max => format!("it must have at most {max} bytes, got {}", name.len()),
        _ if name.contains('/') => "it must not contain `/`".to_owned(),
        _ if name.contains(char::is_control) => "it must not contain control characters".to_owned(),
        _ => return Ok(name),
    };
    Err(FactsError::Name { kind, name: excerpt(name).into_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["a", "...", "a:b", "*", "a b", "100%", "a%20b", "ž", &"x".repeat(128)] {
            assert_eq!(identity(name).unwrap(), name);
            assert_eq!(key(name).unwrap(), name);
        }
        for name in ["", ".", "..", "a/b", "../secret/ID", "a\nb", "a\u{85}", &"x".repeat(161)] {
            let error = identity(name).unwrap_err();
            assert!(matches!(error, FactsError::Name { .. }), "{error}");
            assert!(!error.to_string().contains('\n') && error.to_string().len() < 300, "{error}");
            key(name).unwrap_err();
        }
        key(&"x".repeat(129)).unwrap_err();
        identity(&"x".repeat(160)).unwrap();
    }

    #[test]
    fn values() {
        value("k", "v").unwrap();
        value("k", &"v".repeat(MAX_VALUE)).unwrap();
        for text in ["", &"v".repeat(MAX_VALUE + 1)] {
            assert!(!value("k", text).unwrap_err().to_string().contains("vvv"));
        }
    }
}
