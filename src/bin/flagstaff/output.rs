//! Lines of standard output and standard error.

use std::io::{self, Write as _};

/// Writes a line at once. An error means that nobody reads any more.
pub(crate) fn line(text: &impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Says on standard error what went wrong, if anybody reads that.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "flagstaff: {message}");
}
