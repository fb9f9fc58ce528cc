//! The errors of the provider outside an evaluation: options that cannot be
//! used, and a provider that does not become ready.
//!
//! An evaluation fails with the SDK's `EvaluationError` instead.

use std::{error::Error, io, path::PathBuf, time::Duration};

use crate::excerpt::{excerpt, shown};

/// An error outside an evaluation.
///
/// The message names the option, its environment variable and what would be
/// right, as far as the error is about an option. It does not repeat the cause,
/// which is the [`source`](Error::source): print the whole chain. No message
/// contains a secret.
///
/// ```
/// use flagstaff::{FlagdError, FlagdOptions};
///
/// let error = FlagdOptions::builder().port(0).without_env().build().unwrap_err();
/// assert!(matches!(error, FlagdError::InvalidOption { option: "port", .. }));
/// assert_eq!(
///     error.to_string(),
///     "option `port` (FLAGD_PORT): `0` is not a whole number from 1 to 65535",
/// );
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlagdError {
    /// An option has the wrong type, is out of range, or contradicts another option.
    #[error("option `{option}` ({variable}): {reason}")]
    InvalidOption {
        /// The name of the option in [`FlagdOptions::TABLE`](crate::flagd::options::table::FlagdOptions::TABLE).
        option: &'static str,
        /// Its environment variable.
        variable: &'static str,
        /// What is wrong with the value, and what would be right.
        reason: String,
    },
    /// A file that an option names cannot be read.
    #[error("option `{option}` ({variable}): cannot read {path}", path = shown(path))]
    File {
        /// The name of the option in [`FlagdOptions::TABLE`](crate::flagd::options::table::FlagdOptions::TABLE).
        option: &'static str,
        /// Its environment variable.
        variable: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The transport does not accept its configuration, such as an address that
    /// is not a valid URI.
    #[error("cannot set up the connection to {}", excerpt(target))]
    Transport {
        /// The address of flagd, as `host:port` or `unix:/path`.
        target: String,
        /// The error of the transport.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The provider did not become ready in time. It continues to try.
    #[error("the provider is not ready after {waited:?}: {message}")]
    NotReady {
        /// How long the caller has waited.
        waited: Duration,
        /// The last failure, or what the provider is waiting for.
        message: String,
    },
    /// The provider has given up and will not try again.
    ///
    /// It gives up if its options cannot be used, or if it was never ready and
    /// flagd responds with one of the `fatalStatusCodes`.
    #[error("fatal: {message}")]
    Fatal {
        /// Why it has given up.
        message: String,
    },
}
