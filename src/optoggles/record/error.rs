//! Why a record cannot be used.

use std::{io, path::PathBuf};

use crate::excerpt::shown;

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file cannot be read or written.
    #[error("cannot {action} the state in {path}", path = shown(path))]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not a record of a known version.
    #[error("{path} is not a state file of flagstaff: {reason}", path = shown(path))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file belongs to another instance.
    #[error(
        "the state in {path} belongs to the instance `{found}`, not `{expected}`: give each instance a \
         file of its own",
        path = shown(path)
    )]
    Instance {
        /// The file.
        path: PathBuf,
        /// The instance that the file names.
        found: String,
        /// The instance that was configured.
        expected: String,
    },
}
