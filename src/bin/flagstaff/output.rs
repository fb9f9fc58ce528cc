//! Lines of standard output and standard error.
//!
//! `println!` panics if nobody reads the output any more, as in `flagstaff watch | head -1`.
//! These functions return the error, or ignore it where there is nobody left to tell.

use std::io::{self, Write as _};

/// Writes a line to standard output and flushes it, so that a reader at the other end of a
/// pipe gets each event when it happens.
///
/// # Errors
///
/// The output cannot be written. With [`io::ErrorKind::BrokenPipe`], it was closed.
pub(crate) fn line(text: &impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes an error or a warning to standard error. If that fails, nothing is left that could
/// be done about it.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "flagstaff: {message}");
}
