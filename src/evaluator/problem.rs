//! What is wrong with a flag definition.

use std::fmt;

use crate::{
    evaluator::load::location::{Lines, Position},
    excerpt::excerpt,
};

/// Why a definition was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The text is no JSON or no YAML, or nested too deeply.
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
    /// Parts of the definition are not what they must be: all of them are named.
    #[error("the flag definition is not valid: {}", Listed(.0))]
    Invalid(Vec<Problem>),
}

/// What is wrong with a part of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The flag, unless it is the definition itself.
    pub flag: Option<String>,
    /// What is wrong.
    pub message: String,
    /// Where, counted from 1.
    pub line: usize,
    /// Where in the line, in characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_finding(f, self.flag.as_deref(), (self.line, self.column), &self.message)
    }
}

/// What was found, of which flag, and in which line and column.
pub(crate) fn write_finding(
    f: &mut fmt::Formatter<'_>,
    flag: Option<&str>,
    (line, column): (usize, usize),
    message: &str,
) -> fmt::Result {
    let message = excerpt(message);
    match flag.map(excerpt) {
        Some(flag) => write!(f, "flag `{flag}` (line {line}, column {column}): {message}"),
        None => write!(f, "line {line}, column {column}: {message}"),
    }
}

struct Listed<'p>(&'p [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl DefinitionError {
    /// What is wrong with a text.
    pub(crate) fn in_text(error: &serde_json::Error, text: &str) -> Self {
        Self::at(error, text, 0, text)
    }

    /// What is wrong with a part of a text.
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
