//! The types that options are made of: the choices that some have, and a row of
//! their table.

use std::fmt;
#[cfg(feature = "tls")]
use std::{io, path::Path};

use crate::flagd::error::FlagdError;

/// Where flags are evaluated.
///
/// All resolvers return the same results, apart from a few exceptions that
/// `docs/resolvers.md` lists, together with advice on which one to choose. See
/// also the [specification].
///
/// ```
/// use flagstaff::{FlagdOptions, flagd::Resolver};
///
/// // `FLAGD_RESOLVER=in-process` in the environment does the same.
/// let options = FlagdOptions::builder().resolver(Resolver::InProcess).without_env().build()?;
/// assert_eq!(options.resolver().to_string(), "in-process");
/// # Ok::<(), flagstaff::FlagdError>(())
/// ```
///
/// [specification]: https://flagd.dev/reference/specifications/providers/#overview-of-resolver-types
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolver {
    /// In flagd, with a call for each evaluation whose result is not cached.
    #[default]
    Rpc,
    /// In this process, with flag definitions from flagd's sync service. Needs
    /// the feature `in-process`.
    InProcess,
    /// In this process, with flag definitions from a file. Needs the feature
    /// `in-process`, and the option `offlineFlagSourcePath`.
    File,
}

/// Writes the value as `FLAGD_RESOLVER` has it.
impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rpc => "rpc",
            Self::InProcess => "in-process",
            Self::File => "file",
        })
    }
}

/// Whether results with the reason STATIC are [cached].
///
/// It only has an effect with the resolver `rpc`. Disable the cache if each
/// evaluation must be seen by flagd, for example in its metrics.
///
/// ```
/// use flagstaff::{FlagdOptions, flagd::CacheType};
///
/// let options = FlagdOptions::builder().cache(CacheType::Disabled).without_env().build()?;
/// assert_eq!(options.cache(), CacheType::Disabled);
/// # Ok::<(), flagstaff::FlagdError>(())
/// ```
///
/// [cached]: https://flagd.dev/reference/specifications/providers/#flag-evaluation-caching
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheType {
    /// Keep up to [`max_cache_size`](crate::FlagdOptions::max_cache_size) results.
    /// A full cache removes the least recently used result, to a second chance: a
    /// result that was read since it was inserted, or since it was last spared, is
    /// spared once.
    #[default]
    Lru,
    /// Call flagd for every evaluation.
    Disabled,
}

/// One row of the table of options,
/// [`FlagdOptions::TABLE`](crate::FlagdOptions::TABLE).
///
/// Use it to generate help or to check a configuration.
///
/// ```
/// use flagstaff::FlagdOptions;
///
/// let row = FlagdOptions::TABLE.iter().find(|row| row.name == "deadlineMs").unwrap();
/// assert_eq!(row.variable, "FLAGD_DEADLINE_MS");
/// assert_eq!(row.default, "500");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionInfo {
    /// The name in the flagd provider specification, such as `deadlineMs`.
    pub name: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// The type of the variable's value, with its unit and bounds, such as
    /// `ms, at least 1`.
    pub kind: &'static str,
    /// The default as a variable would hold it; empty if there is none.
    pub default: &'static str,
    /// What the option does, in Markdown.
    pub meaning: &'static str,
}

impl OptionInfo {
    /// The error for this option with a value that cannot be used. `reason` must
    /// not contain a secret.
    pub(crate) fn error(self, reason: impl Into<String>) -> FlagdError {
        let Self { name: option, variable, .. } = self;
        FlagdError::InvalidOption { option, variable, reason: reason.into() }
    }

    /// The error for this option with a file that cannot be read.
    #[cfg(feature = "tls")]
    pub(crate) fn file_error(self, path: &Path, source: io::Error) -> FlagdError {
        let Self { name: option, variable, .. } = self;
        FlagdError::File { option, variable, path: path.to_owned(), source }
    }
}
