//! Facts in the database.
//!
//! Each function runs in a transaction that its caller began. A change takes the next number
//! of the sequence `change`; the versions of the facts with these numbers are the stream of
//! changes, so nothing has to be kept in step with it.

mod read;
mod sql;
mod write;

use axum::http::StatusCode;
use service::problem::Problem;

pub use self::{
    read::{
        CHANGES_AT_ONCE, Change, Fact, Facts, Page, Version, all, any_expired, changes, history,
        identities, identity, one, page,
    },
    write::{Condition, Context, Value, after_restore, delete, erase, expire, merge, purge, put},
};

pub(crate) use sql::ALL as STATEMENTS;

/// The sequence that counts changes.
pub const CHANGES: &str = "change";
/// The sequence that holds the number of the last change that a stream can no longer resume
/// from, because something before it has been forgotten.
pub const HORIZON: &str = "horizon";

/// The longest value, in bytes.
pub const MAX_VALUE: usize = 64 << 10;
/// How many facts an identity may have.
pub const MAX_FACTS: i64 = 1_000;
/// Values that are longer than this have at most [`MAX_LONG`] bytes together in an identity, so that
/// clients can take the facts of each identity as a whole.
pub const LONG: i64 = 4 << 10;
/// How many bytes an identity has at most in values that are longer than [`LONG`].
pub const MAX_LONG: i64 = 4 << 20;
/// How many versions of a fact are kept.
pub const VERSIONS: i64 = 100;

/// Checks the value of a fact.
///
/// # Errors
///
/// 400 with the rule that it breaks.
pub fn check_value(value: &str) -> Result<(), Problem> {
    let reason = if value.is_empty() {
        "must not be empty".to_owned()
    } else if value.len() > MAX_VALUE {
        format!("has {} bytes, and at most {MAX_VALUE} are allowed", value.len())
    } else if value.contains('\0') {
        // PostgreSQL cannot store it.
        "must not contain the character U+0000".to_owned()
    } else {
        return Ok(());
    };
    Err(Problem::invalid(format!("the value {reason}")))
}

pub(crate) fn precondition_failed() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        "it has changed since it was read, or it exists already: read it again",
    )
}

/// 404 for an identity that has no fact.
#[must_use]
pub fn identity_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "identity_not_found", "the identity has no facts")
}

/// 404 for a fact.
#[must_use]
pub fn fact_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "fact_not_found", "the identity has no such fact")
}
