//! What is wrong with a flag definition: the error of a definition that is
//! rejected, and the single finding.
//!
//! A definition is rejected as a whole, as flagd does it: an update with one
//! broken flag changes none. For the author of the definition the first problem
//! is not enough, and so a [`DefinitionError::Invalid`] holds all of them with
//! their places in the text. Syntax errors are different: after the first one
//! nothing that follows can be trusted, and so there is only one.
//!
//! Lines and columns are counted from 1, and columns in characters, as editors
//! show them. The text of an error is made for a log line or a status message:
//! names and values that it quotes from the definition are cut and escaped, and
//! the list of problems ends with the number of those left out.
//!
//! ```text
//! the flag definition is invalid: flag `a` (line 2, column 64): the default variant `off`
//!     is not among its variants; line 5, column 28: `metadata` must be an object
//! ```

use std::fmt;

use crate::{
    evaluator::location::{Lines, Position},
    excerpt::excerpt,
};

/// How many problems the text of an error lists. The number of the others
/// follows.
const MOST_LISTED: usize = 20;

/// Why a definition was rejected.
///
/// ```
/// use flagstaff::evaluator::{DefinitionError, FlagSet};
///
/// let error = FlagSet::parse("{\"flags\": {\n  \"f\": {\"state\": 1}\n}}").unwrap_err();
/// match error {
///     DefinitionError::Invalid(problems) => {
///         assert_eq!(problems[0].flag.as_deref(), Some("f"));
///         assert_eq!(problems[0].line, 2);
///     }
///     other => panic!("{other}"),
/// }
/// let error = FlagSet::parse("{\"flags\": ").unwrap_err();
/// assert!(matches!(error, DefinitionError::Syntax { line: 1, .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The text is not valid JSON or YAML, or is nested too deeply.
    #[error(
        "the flag definition cannot be read: {} (line {line}, column {column})",
        excerpt(message)
    )]
    Syntax {
        /// What is wrong, in the words of the parser.
        message: String,
        /// The line, counted from 1.
        line: usize,
        /// The column in the line, in characters, counted from 1.
        column: usize,
    },
    /// Parts of the definition are invalid. The vector holds all of them, in the
    /// order of the text; the text of the error lists the first 20.
    #[error("the flag definition is invalid: {}", Listed(.0))]
    Invalid(Vec<Diagnostic>),
}

/// A finding about one part of a flag definition or a configuration: what makes it
/// invalid, or what [`lint`](super::lint()) warns about.
///
/// Its text names the flag and the place:
///
/// ```
/// use flagstaff::evaluator::lint;
///
/// let warnings = lint(r#"{"flags": {"f": {"state": "on", "variants": {"a": 1}}}}"#)?;
/// assert_eq!(
///     warnings[0].to_string(),
///     "flag `f` (line 1, column 27): `state` should be `ENABLED` or `DISABLED`: \
///      the flag counts as enabled",
/// );
/// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The key of the flag; `None` if the finding is about another part of the
    /// definition, such as its metadata.
    pub flag: Option<String>,
    /// What is wrong, without the flag and the place. It may quote parts of the
    /// definition in full; the text of the whole diagnostic cuts it.
    pub message: String,
    /// The line in the text, counted from 1.
    pub line: usize,
    /// The column in the line, in characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flag, message, line, column } = self;
        let message = excerpt(message);
        match flag.as_deref().map(excerpt) {
            Some(flag) => write!(f, "flag `{flag}` (line {line}, column {column}): {message}"),
            None => write!(f, "line {line}, column {column}: {message}"),
        }
    }
}

/// Writes the first [`MOST_LISTED`] problems, and the number of the others.
struct Listed<'p>(&'p [Diagnostic]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(MOST_LISTED).enumerate() {
            write!(f, "{}{problem}", if index > 0 { "; " } else { "" })?;
        }
        match self.0.len().saturating_sub(MOST_LISTED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl DefinitionError {
    /// A syntax error of a whole definition.
    pub(crate) fn in_text(error: &serde_json::Error, text: &str) -> Self {
        Self::at(error, text, 0, text)
    }

    /// A syntax error of one part of a definition, with its place in the whole
    /// text. `part` must be a slice of `text`: its place is found by its address.
    pub(crate) fn in_part(error: &serde_json::Error, text: &str, part: &str) -> Self {
        Self::at(error, text, part.as_ptr().addr() - text.as_ptr().addr(), part)
    }

    /// `start` is the byte of `text` at which the part begins that the error is
    /// about.
    fn at(error: &serde_json::Error, text: &str, start: usize, part: &str) -> Self {
        let lines = Lines::new(text);
        let offset = start + Lines::new(part).offset(error.line(), error.column());
        let Position { line, column } = lines.position(offset);
        // The message of serde_json ends with the place within the part, which would mislead.
        let said = error.to_string();
        let message = said.split(" at line ").next().unwrap_or(&said).to_owned();
        Self::Syntax { message, line, column }
    }
}
