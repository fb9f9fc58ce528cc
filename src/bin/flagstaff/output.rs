//! Lines of standard output and standard error.

use std::{
    error::Error,
    io::{self, Write as _},
    iter::successors,
};

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

/// An error and all its causes in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = successors(Some(error), |&error| error.source());
    let mut texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.dedup(); // as in wrappers that have the text of what they wrap
    texts.join(": ")
}
