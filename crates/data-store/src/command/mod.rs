//! The commands beside the server, one file each.

pub(crate) mod backup;
pub(crate) mod check;
#[cfg(feature = "redis")]
pub(crate) mod import;

use std::error::Error;

/// What ends a command.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// An error with its sources, as it is printed.
pub(crate) fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
