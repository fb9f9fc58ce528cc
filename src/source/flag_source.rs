//! What a source of flag definitions is, and what it gives.

use std::{error::Error, fmt, path::Path, time::Duration};

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::evaluator::{DefinitionError, FlagSet};

/// An interval that neither keeps a core busy nor leads to a time that cannot be told.
pub(crate) fn bounded(interval: Duration) -> Duration {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    interval.clamp(Duration::from_millis(1), YEAR)
}

/// A source of flag definitions, pulled one after the other.
#[async_trait]
pub trait FlagSource: Send + 'static {
    /// What the source is called: in messages, in logs, and by selectors. The server publishes it,
    /// in its metrics and to clients: it must hold no secret.
    fn name(&self) -> &str;

    /// Waits for the next flag definition, always a whole one. The first call gives the current
    /// definition as soon as it is known, later ones return when there is another.
    ///
    /// After an error it is called again, after a delay: the source then connects anew, and gives
    /// the definition that is current then.
    ///
    /// It must lose nothing when it is dropped before it is ready.
    async fn next(&mut self) -> Result<Definition, SourceError>;
}

/// A flag definition as it was received, not looked into yet.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Definition {
    /// The text.
    pub text: String,
    /// What the text is written in.
    pub format: Format,
    /// Facts that belong into the evaluation context of these flags (flagd's `sync_context`).
    pub context: Map<String, Value>,
}

/// What a flag definition is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JSON.
    #[default]
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// What a file of this name is written in: YAML with the ending `.yaml` or `.yml`, in any case,
    /// else JSON.
    #[must_use]
    pub fn of_path(path: impl AsRef<Path>) -> Self {
        let ending = path.as_ref().extension().unwrap_or_default();
        let is = |name| ending.eq_ignore_ascii_case(name);
        if is("yaml") || is("yml") { Self::Yaml } else { Self::Json }
    }
}

impl Definition {
    /// Parses the text.
    ///
    /// # Errors
    ///
    /// When anything in it is not valid, the definition is refused as a whole.
    pub fn parse(&self) -> Result<FlagSet, DefinitionError> {
        match self.format {
            Format::Json => FlagSet::parse(&self.text),
            Format::Yaml => FlagSet::parse_yaml(&self.text),
        }
    }

    /// A flag definition in JSON.
    #[must_use]
    pub fn json(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A flag definition in YAML.
    #[must_use]
    pub fn yaml(text: impl Into<String>) -> Self {
        Self { text: text.into(), format: Format::Yaml, ..Self::default() }
    }

    /// Adds facts to the evaluation context of these flags.
    #[must_use]
    pub fn with_context(mut self, context: Map<String, Value>) -> Self {
        self.context = context;
        self
    }
}

/// Why a source gives no flag definition for now: in text and causes, the error that it was made of.
#[derive(Debug)]
pub struct SourceError {
    cause: Box<dyn Error + Send + Sync>,
    fatal: bool,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

impl SourceError {
    /// The source is lost for now; another attempt may succeed.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), fatal: false }
    }

    /// No attempt can ever succeed; a provider that never was ready gives up.
    pub fn fatal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), fatal: true }
    }

    /// Whether no attempt can ever succeed.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }
}
