//! What is wrong with a flag definition.

use std::fmt;

use crate::{
    evaluator::load::location::{Lines, Position},
    excerpt::excerpt,
};

/// How many problems an error lists; of the others it says the number.
const MOST_LISTED: usize = 20;

/// Why a definition was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The text is not valid JSON or YAML, or is nested too deeply.
    #[error(
        "the flag definition cannot be read: {} (line {line}, column {column})",
        excerpt(message)
    )]
    Syntax {
        /// What is wrong.
        message: String,
        /// Where, counted from 1.
        line: usize,
        /// Where in the line, in characters, counted from 1.
        column: usize,
    },
    /// Parts of the definition are invalid. These are all of them; the text of the error lists the
    /// first 20.
    #[error("the flag definition is invalid: {}", Listed(.0))]
    Invalid(Vec<Diagnostic>),
}

/// A finding about a part of a definition: what makes it invalid, or what [`lint`](super::lint) warns
/// of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The flag, unless it is the definition itself.
    pub flag: Option<String>,
    /// What is wrong.
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
    /// The syntax error of a whole definition.
    pub(crate) fn in_text(error: &serde_json::Error, text: &str) -> Self {
        Self::at(error, text, 0, text)
    }

    /// The syntax error of one part of a definition, located in the whole text.
    pub(crate) fn in_part(error: &serde_json::Error, text: &str, part: &str) -> Self {
        Self::at(error, text, part.as_ptr().addr() - text.as_ptr().addr(), part)
    }

    /// `start` is where the part begins that the error is about.
    fn at(error: &serde_json::Error, text: &str, start: usize, part: &str) -> Self {
        let lines = Lines::new(text);
        let offset = start + Lines::new(part).offset(error.line(), error.column());
        let Position { line, column } = lines.position(offset);
        // What serde_json says ends with the place in the text that it was given.
        let said = error.to_string();
        let message = said.split(" at line ").next().unwrap_or(&said).to_owned();
        Self::Syntax { message, line, column }
    }
}
