//! Why an engine cannot be created or started.

use crate::{
    http::{BindError, secret::SecretError},
    optoggles::{
        callbacks::NoRandomNumbers, config::ConfigError, failure::Failure, record::RecordError,
    },
    server::ServerError,
};

/// Why an engine cannot be created or started.
///
/// All of these are errors of the configuration or of this machine. That a source or a
/// target is unreachable is never one: the engine starts, retries, and reports it in its
/// [`Status`](super::Status).
///
/// ```
/// use flagstaff::optoggles::{Engine, EngineError};
///
/// let error = Engine::from_config("no-such-file.yaml").unwrap_err();
/// assert!(matches!(error, EngineError::Config(_)));
/// assert_eq!(error.to_string(), "cannot read the configuration in no-such-file.yaml");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The configuration cannot be read or is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state file cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The configuration of a source cannot be used.
    #[error("source `{id}`")]
    Source {
        /// Its id.
        id: String,
        /// Why.
        source: Failure,
    },
    /// The configuration of a target cannot be used.
    #[error("target `{id}`")]
    Target {
        /// Its id.
        id: String,
        /// Why.
        source: Failure,
    },
    /// The embedded server of a target cannot be started.
    #[error("target `{id}`")]
    Server {
        /// Its id.
        id: String,
        /// Why.
        source: Box<ServerError>,
    },
    /// An address cannot be listened on.
    #[error("cannot start the HTTP server")]
    Bind(#[source] Box<BindError>),
    /// The secret for callback tokens cannot be read.
    #[error("cannot read the secret for callbacks")]
    Secret(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Callback tokens cannot be made.
    #[error(transparent)]
    Random(#[from] NoRandomNumbers),
    /// A toggle has the key of another one, or names a source or a target that does not
    /// exist, or a target twice.
    #[error("toggle `{key}`: {reason}")]
    Toggle {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// An option of the builder is invalid.
    #[error("option `{option}`: {reason}")]
    Option {
        /// The method of [`EngineBuilder`](super::EngineBuilder) that sets it.
        option: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl From<BindError> for EngineError {
    fn from(error: BindError) -> Self {
        Self::Bind(Box::new(error))
    }
}

impl From<SecretError> for EngineError {
    fn from(error: SecretError) -> Self {
        Self::Secret(Box::new(error))
    }
}
