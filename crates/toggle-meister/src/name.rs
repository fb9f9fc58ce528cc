//! What features and environments may be called.

use axum::http::StatusCode;
use service::problem::Problem;

/// The longest name, in bytes.
pub const MAX: usize = 128;

/// Whether a name is an identifier: a letter or an underscore, then letters, digits and
/// underscores, of any script.
#[must_use]
pub fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    name.len() <= MAX
        && letters.next().is_some_and(|it| it == '_' || unicode_ident::is_xid_start(it))
        && letters.all(unicode_ident::is_xid_continue)
}

/// Checks the name of a new feature, which is not folded.
///
/// # Errors
///
/// 400 for a name that is no identifier, or has capital letters.
pub fn feature(name: &str) -> Result<(), Problem> {
    if is_identifier(name) && name.to_lowercase() == name {
        return Ok(());
    }
    Err(said(StatusCode::BAD_REQUEST, "Name must be only lower case with underscores"))
}

/// Checks the name of an environment and folds it to lower case.
///
/// # Errors
///
/// 400 for a name that is no identifier.
pub fn environment(name: &str) -> Result<String, Problem> {
    let name = name.to_lowercase();
    if is_identifier(&name) {
        return Ok(name);
    }
    Err(said(StatusCode::BAD_REQUEST, "Not a valid name"))
}

/// A problem that the original has too: its clients get the message in the original's form.
#[must_use]
pub fn said(status: StatusCode, message: impl Into<String>) -> Problem {
    Problem::new(status, SAID, message)
}

/// The code of problems that the original has too.
pub const SAID: &str = "said";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers() {
        for name in ["a", "_a1", "größe", "日本", &"x".repeat(MAX)] {
            assert!(feature(name).is_ok(), "{name}");
        }
        for name in ["", "1a", "a-b", "a b", "a.b", "A", "a\n", &"x".repeat(MAX + 1)] {
            assert!(feature(name).is_err(), "{name}");
        }
        assert_eq!(environment("Stage").ok().as_deref(), Some("stage"));
        assert!(environment("my stage").is_err());
    }
}
