//! What identities and keys may be called.
//!
//! One grammar holds for identities and keys, facts and secrets, and each back end: one
//! segment of a path, in UTF-8, without control characters. What it allows is stored and read
//! back byte for byte. An identity has at most 160 bytes, so that it fits into the name of a
//! secret of AWS even where each of them has to be escaped.

use service::problem::Problem;

/// The longest identity and the longest key, in bytes.
pub const MAX_IDENTITY: usize = 160;
/// The longest key, in bytes.
pub const MAX_KEY: usize = 128;

/// The last code point, which is no character. It stands behind all names with a prefix.
const LAST: char = '\u{10ffff}';

/// A string that sorts after every name with the prefix.
pub(crate) fn after_prefix(prefix: &str) -> String {
    format!("{prefix}{LAST}")
}

/// Checks an identity.
///
/// # Errors
///
/// 400 with the rule that it breaks.
pub fn identity(name: &str) -> Result<(), Problem> {
    check("identity", name, MAX_IDENTITY)
}

/// Checks the key of a fact or of a secret.
///
/// # Errors
///
/// 400 with the rule that it breaks.
pub fn key(name: &str) -> Result<(), Problem> {
    check("key", name, MAX_KEY)
}

fn check(what: &str, name: &str, longest: usize) -> Result<(), Problem> {
    let reason = if name.is_empty() {
        "must not be empty".to_owned()
    } else if name.len() > longest {
        format!("has {} bytes, and at most {longest} are allowed", name.len())
    } else if name.contains('/') {
        "must not contain \"/\"".to_owned()
    } else if name == "." || name == ".." {
        "must not be \".\" or \"..\"".to_owned()
    } else if let Some(found) = name.chars().find(|it| it.is_control() || *it == LAST) {
        format!("must not contain the character {}", found.escape_unicode())
    } else {
        return Ok(());
    };
    Err(Problem::invalid(format!("the {what} {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_a_path_without_control_characters() {
        for good in ["a", "a:b", "*", "100%", "a b", "ä", "...", "a\\b", "'; DROP TABLE fact"] {
            assert!(identity(good).is_ok() && key(good).is_ok(), "{good:?}");
        }
        for bad in ["", "a/b", "/", ".", "..", "a\nb", "\0", "\u{7f}", "\u{85}", "a\u{10ffff}"] {
            assert!(identity(bad).is_err() && key(bad).is_err(), "{bad:?}");
        }
        assert!(identity(&"x".repeat(MAX_IDENTITY)).is_ok());
        assert!(identity(&"x".repeat(MAX_IDENTITY + 1)).is_err());
        assert!(key(&"x".repeat(MAX_KEY + 1)).is_err());
    }
}
