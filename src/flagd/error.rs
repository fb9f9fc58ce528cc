//! Errors of the provider outside of an evaluation.

use std::{error::Error, io, path::PathBuf, time::Duration};

use crate::excerpt::{excerpt, shown};

/// What goes wrong outside of an evaluation. Its text does not repeat the cause, which is its
/// [`source`](Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlagdError {
    /// An option has the wrong type, is out of range, or does not fit the others.
    #[error("option `{option}` ({variable}): {reason}")]
    InvalidOption {
        /// The name of the option in [`FlagdOptions::TABLE`](crate::flagd::options::table::FlagdOptions::TABLE).
        option: &'static str,
        /// Its environment variable.
        variable: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A file that an option names cannot be read.
    #[error("option `{option}` ({variable}): cannot read {path}", path = shown(path))]
    File {
        /// The name of the option in [`FlagdOptions::TABLE`](crate::flagd::options::table::FlagdOptions::TABLE).
        option: &'static str,
        /// Its environment variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The transport does not accept its configuration.
    #[error("cannot set up the connection to {}", excerpt(target))]
    Transport {
        /// Where flagd is.
        target: String,
        /// What the transport says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The provider did not become ready in time; it goes on trying.
    #[error("the provider is not ready after {waited:?}: {message}")]
    NotReady {
        /// How long was waited.
        waited: Duration,
        /// The last thing that went wrong, or what the provider waits for.
        message: String,
    },
    /// The provider has given up for good.
    #[error("fatal: {message}")]
    Fatal {
        /// Why.
        message: String,
    },
}
