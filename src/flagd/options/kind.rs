//! What the options are made of: the choices that some have, and a row of their table.

use std::fmt;
#[cfg(feature = "tls")]
use std::{io, path::Path};

use crate::flagd::error::FlagdError;

/// Where flags are evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolver {
    /// In flagd, with a call for each evaluation that the cache does not answer.
    #[default]
    Rpc,
    /// In this process, with flag definitions synchronized from flagd. Needs the feature `in-process`.
    InProcess,
    /// In this process, with flag definitions read from a file. Needs the feature `in-process`.
    File,
}

/// As the option and the variable spell it.
impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rpc => "rpc",
            Self::InProcess => "in-process",
            Self::File => "file",
        })
    }
}

/// Whether STATIC results are cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheType {
    /// Keep up to [`max_cache_size`](crate::FlagdOptions::max_cache_size) results. The least recently used
    /// goes first, to a second chance: one that was read since it was inserted is spared once.
    #[default]
    Lru,
    /// Ask flagd for every evaluation.
    Disabled,
}

/// One row of the table of options, [`FlagdOptions::TABLE`](crate::FlagdOptions::TABLE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionInfo {
    /// The name that the flagd documentation uses.
    pub name: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// What the variable holds.
    pub kind: &'static str,
    /// The default as a variable would hold it; empty for none.
    pub default: &'static str,
    /// What the option does, in Markdown.
    pub meaning: &'static str,
}

impl OptionInfo {
    /// This option has a value that cannot be used.
    pub(crate) fn error(self, reason: impl Into<String>) -> FlagdError {
        let Self { name: option, variable, .. } = self;
        FlagdError::InvalidOption { option, variable, reason: reason.into() }
    }

    /// The file that this option names cannot be read.
    #[cfg(feature = "tls")]
    pub(crate) fn file_error(self, path: &Path, source: io::Error) -> FlagdError {
        let Self { name: option, variable, .. } = self;
        FlagdError::File { option, variable, path: path.to_owned(), source }
    }
}
