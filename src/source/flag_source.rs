//! The trait of a source of flag definitions, and the types that it delivers.

use std::{error::Error, fmt, path::Path, time::Duration};

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::evaluator::{DefinitionError, FlagSet};

/// Limits an interval to between a millisecond and a year, so that a source
/// neither keeps a core busy nor adds up to a time that cannot be represented.
pub(crate) fn bounded(interval: Duration) -> Duration {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    interval.clamp(Duration::from_millis(1), YEAR)
}

/// A source of flag definitions, from which they are pulled one after the other.
///
/// Implement it to load flags from a database, a message queue, or anything else,
/// and pass it to
/// [`FlagdProvider::with_source`](crate::FlagdProvider::with_source). A source is
/// used by one task at a time, so it needs no locks. "Your own source" in
/// `docs/resolvers.md` has the rules in short.
///
/// ```
/// use std::time::Duration;
///
/// use flagstaff::{
///     async_trait,
///     source::{Definition, FlagSource, SourceError},
/// };
///
/// /// Reads definitions from a channel, for example in a test.
/// struct Channel(tokio::sync::mpsc::Receiver<String>);
///
/// #[async_trait]
/// impl FlagSource for Channel {
///     fn name(&self) -> &str {
///         "channel"
///     }
///
///     async fn next(&mut self) -> Result<Definition, SourceError> {
///         // `recv` is cancel-safe, and so is this.
///         match self.0.recv().await {
///             Some(text) => Ok(Definition::json(text)),
///             None => Err(SourceError::fatal("the channel is closed")),
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (sender, receiver) = tokio::sync::mpsc::channel(1);
/// let mut source = Channel(receiver);
/// sender.send(r#"{"flags": {}}"#.to_owned()).await.unwrap();
/// assert!(source.next().await.unwrap().parse().is_ok());
///
/// drop(sender);
/// assert!(source.next().await.unwrap_err().is_fatal());
/// # }
/// ```
#[async_trait]
pub trait FlagSource: Send + 'static {
    /// The name of the source, in messages and logs and for selectors.
    ///
    /// The server publishes it in its metrics and to clients, so it must not
    /// contain a secret.
    fn name(&self) -> &str;

    /// Waits for the next flag definition, which is always a whole one.
    ///
    /// The first call returns the current definition as soon as it is known; later
    /// calls return when there is another one. If definitions arrive faster than
    /// they are pulled, a source may deliver only the latest.
    ///
    /// It must be cancel-safe: if the future is dropped before it is ready, no
    /// definition may be lost. A shutdown of the provider drops it, and the next
    /// initialization calls it again.
    ///
    /// # Errors
    ///
    /// An error means that the source is unavailable, not that a definition is
    /// invalid. The caller calls it again after a delay. The source then returns
    /// the definition that is current by then, whether or not it has changed.
    async fn next(&mut self) -> Result<Definition, SourceError>;
}

/// A flag definition as it was received, not parsed yet.
///
/// ```
/// use flagstaff::source::{Definition, Format};
///
/// let definition = Definition::yaml("flags: {}");
/// assert_eq!(definition.format, Format::Yaml);
/// assert!(definition.parse().is_ok());
///
/// assert!(Definition::json("flags: {}").parse().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Definition {
    /// The text.
    pub text: String,
    /// The language of the text.
    pub format: Format,
    /// The sync context: values that override the fields of the caller in every
    /// evaluation of these flags. flagd sends them as `sync_context`.
    pub context: Map<String, Value>,
}

/// The language in which a flag definition is written.
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
    /// The format of a file with this name: YAML if it ends in `.yaml` or `.yml`,
    /// in upper or lower case, otherwise JSON.
    ///
    /// ```
    /// use flagstaff::source::Format;
    ///
    /// assert_eq!(Format::of_path("/etc/flags/flags.yml"), Format::Yaml);
    /// assert_eq!(Format::of_path("flags.yaml.json"), Format::Json);
    /// assert_eq!(Format::of_path("flags"), Format::Json);
    /// ```
    #[must_use]
    pub fn of_path(path: impl AsRef<Path>) -> Self {
        let ending = path.as_ref().extension().unwrap_or_default();
        let is = |name| ending.eq_ignore_ascii_case(name);
        if is("yaml") || is("yml") { Self::Yaml } else { Self::Json }
    }
}

impl Definition {
    /// Parses and compiles the text. The sync context plays no part in it.
    ///
    /// # Errors
    ///
    /// If anything in the definition is invalid, it is rejected as a whole. The
    /// error names each invalid flag with its line and column.
    pub fn parse(&self) -> Result<FlagSet, DefinitionError> {
        match self.format {
            Format::Json => FlagSet::parse(&self.text),
            Format::Yaml => FlagSet::parse_yaml(&self.text),
        }
    }

    /// Creates a flag definition from JSON, without checking it.
    #[must_use]
    pub fn json(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Creates a flag definition from YAML, without checking it.
    #[must_use]
    pub fn yaml(text: impl Into<String>) -> Self {
        Self { text: text.into(), format: Format::Yaml, ..Self::default() }
    }

    /// Sets the sync context of these flags; see "Sync context" in
    /// `docs/resolvers.md`.
    ///
    /// ```
    /// use flagstaff::source::Definition;
    /// use serde_json::{Map, json};
    ///
    /// let context = Map::from_iter([("region".to_owned(), json!("eu"))]);
    /// let definition = Definition::json(r#"{"flags": {}}"#).with_context(context);
    /// assert_eq!(definition.context["region"], "eu");
    /// ```
    #[must_use]
    pub fn with_context(mut self, context: Map<String, Value>) -> Self {
        self.context = context;
        self
    }
}

/// Why a source has no flag definition at the moment.
///
/// Its text and its [`source`](Error::source) are those of the error that it was
/// created from, so wrapping does not add a level to the chain.
///
/// ```
/// use flagstaff::source::SourceError;
///
/// let lost = SourceError::new(std::io::Error::other("the database is unreachable"));
/// assert_eq!(lost.to_string(), "the database is unreachable");
/// assert!(!lost.is_fatal());
/// assert!(SourceError::fatal("the table `flags` does not exist").is_fatal());
/// ```
#[derive(Debug)]
pub struct SourceError {
    cause: Box<dyn Error + Send + Sync>,
    /// Whether no further attempt can succeed.
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
    /// Creates an error after which another attempt may succeed.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), fatal: false }
    }

    /// Creates an error after which no attempt can succeed.
    ///
    /// A provider that was never ready gives up
    /// ([`State::Fatal`](crate::State::Fatal)). One that was ready serves the last
    /// valid configuration and keeps trying.
    pub fn fatal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), fatal: true }
    }

    /// Whether no further attempt can succeed.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }
}
