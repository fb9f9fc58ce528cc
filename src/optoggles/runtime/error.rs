//! Why an engine does not start.

use crate::{
    http::BindError,
    optoggles::{
        callbacks::NoRandomNumbers, config::ConfigError, failure::Failure, record::RecordError,
        secret::SecretError,
    },
    server::ServerError,
};

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// There is no valid configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A source cannot be made.
    #[error("source `{id}`")]
    Source {
        /// Its id.
        id: String,
        /// Why.
        source: Failure,
    },
    /// A target cannot be made.
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
    /// An address cannot be listened at.
    #[error("cannot start the HTTP server")]
    Bind(#[source] Box<BindError>),
    /// A secret cannot be read.
    #[error("cannot read the secret for callbacks")]
    Secret(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Callback tokens cannot be made.
    #[error(transparent)]
    Random(#[from] NoRandomNumbers),
    /// A toggle names a source or a target that does not exist, or comes twice.
    #[error("toggle `{key}`: {reason}")]
    Toggle {
        /// Its key.
        key: String,
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
