//! What the secrets of an identity are called in AWS Secrets Manager.
//!
//! The name is that of the original, `flagops-secret-<identity>`. AWS allows letters, digits and
//! `/_+=.@-`; each other byte of an identity is written as `/` with two hexadecimal digits. No
//! identity contains `/`, so no two of them share a name, and one that AWS allows is not altered.

use crate::name;

/// What each name begins with.
pub(super) const PREFIX: &str = "flagops-secret-";

/// The name of an identity, or of those that begin with a prefix.
pub(super) fn escape(identity: &str) -> String {
    use std::fmt::Write as _;
    let mut name = PREFIX.to_owned();
    for byte in identity.bytes() {
        if is_allowed(byte) {
            name.push(byte.into());
        } else {
            // Writing to a string does not fail.
            let _ = write!(name, "/{byte:02X}");
        }
    }
    name
}

/// The identity with this name; `None` for a name that `escape` does not write.
pub(super) fn unescape(secret: &str) -> Option<String> {
    let mut rest = secret.strip_prefix(PREFIX)?.bytes();
    let mut identity = Vec::new();
    while let Some(byte) = rest.next() {
        if byte == b'/' {
            let digits = [rest.next()?, rest.next()?];
            identity.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            identity.push(byte);
        }
    }
    let identity = String::from_utf8(identity).ok()?;
    (escape(&identity) == secret && name::identity(&identity).is_ok()).then_some(identity)
}

/// Whether AWS allows a byte. `/` is not in an identity.
fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=.@-".contains(&byte)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_simple_identity_has_the_name_that_the_original_gave_it() {
        for identity in ["acme-prod", "a_b+c=d.e@f", "...", "0"] {
            assert_eq!(escape(identity), format!("flagops-secret-{identity}"));
            assert_eq!(unescape(&escape(identity)).unwrap(), identity);
        }
    }

    #[test]
    fn d20_each_identity_has_a_name_of_its_own_that_aws_allows() {
        let longest = ":".repeat(name::MAX_IDENTITY);
        for identity in ["a:b", "a b", "*", "100%", "ä", "=3A", "'\"\\", &longest] {
            let name = escape(identity);
            assert!(name.bytes().all(|it| is_allowed(it) || it == b'/'), "{name}");
            assert!(name.len() <= 512, "{identity}");
            assert_eq!(unescape(&name).unwrap(), identity);
        }
        assert_eq!(escape("a:b"), "flagops-secret-a/3Ab");
    }

    #[test]
    fn d18_a_name_that_the_store_does_not_write_is_not_an_identity() {
        for name in [
            "flagops-secrets-x",
            "flagops-secret",
            "flagops-secret-",
            "flagops-secret-a/3ab",
            "flagops-secret-a/41",
            "flagops-secret-a/3",
            "flagops-secret-a/b/c",
            "flagops-secret-/2F",
            "flagops-secret-/FF",
            "flagops-secret-.",
            "other",
        ] {
            assert_eq!(unescape(name), None, "{name}");
        }
    }
}
