//! Lines of standard output.

use std::io::{self, Write as _};

/// Writes a line at once. An error means that nobody reads any more.
pub(crate) fn line(text: &impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
