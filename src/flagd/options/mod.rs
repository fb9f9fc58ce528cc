//! The options of the provider: a [table], the builder that completes it, and the [checks](check).

mod check;
mod enricher;
mod table;

use std::{ffi::OsString, fmt};
#[cfg(feature = "tls")]
use std::{io, path::Path};

use secrecy::SecretString;
use serde_json::{Map, Value};

pub(super) use enricher::Enricher;
pub(super) use table::row;
pub use table::{FlagdOptions, FlagdOptionsBuilder};

use super::{env::Environment, error::FlagdError};

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
    /// Keep up to [`max_cache_size`](FlagdOptions::max_cache_size) results. The least recently used
    /// goes first, to a second chance: one that was read since it was inserted is spared once.
    #[default]
    Lru,
    /// Ask flagd for every evaluation.
    Disabled,
}

/// One row of the table of options, [`FlagdOptions::TABLE`].
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

impl FlagdOptions {
    /// Starts with nothing set.
    pub fn builder() -> FlagdOptionsBuilder {
        FlagdOptionsBuilder::default()
    }

    /// How many results the cache may hold; 0 without a cache.
    pub(crate) fn cache_capacity(&self) -> usize {
        match (self.resolver(), self.cache()) {
            (Resolver::Rpc, CacheType::Lru) => self.max_cache_size(),
            _ => 0,
        }
    }

    /// An error of the option called `option` in the table.
    pub(crate) fn error(option: &'static str, reason: impl Into<String>) -> FlagdError {
        FlagdError::InvalidOption {
            option,
            variable: Self::variable_of(option),
            reason: reason.into(),
        }
    }

    /// The file of the option called `option` in the table cannot be read.
    #[cfg(feature = "tls")]
    pub(crate) fn file_error(option: &'static str, path: &Path, source: io::Error) -> FlagdError {
        let variable = Self::variable_of(option);
        FlagdError::File { option, variable, path: path.to_owned(), source }
    }

    fn variable_of(option: &str) -> &'static str {
        let row = Self::TABLE.iter().find(|row| row.name == option);
        debug_assert!(row.is_some(), "`{option}` is not in the table of options");
        row.map_or("", |row| row.variable)
    }
}

impl FlagdOptionsBuilder {
    /// Adds one header to [`headers`](Self::headers).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.get_or_insert_default().push((name.into(), value.into()));
        self
    }

    /// What evaluation in process adds to each evaluation context: made of the facts that flagd, or
    /// another source, sends along with its flags (`contextEnricher`). By default, these facts.
    ///
    /// It is called for each flag definition that arrives, not for each evaluation.
    ///
    /// ```
    /// use flagstaff::FlagdOptions;
    /// use serde_json::{Map, json};
    ///
    /// let options = FlagdOptions::builder()
    ///     .context_enricher(|facts| Map::from_iter([("flagd".to_owned(), json!(facts))]))
    ///     .build_with_env(|_| None)?;
    /// # Ok::<(), flagstaff::FlagdError>(())
    /// ```
    pub fn context_enricher(
        mut self,
        enricher: impl Fn(&Map<String, Value>) -> Map<String, Value> + Send + Sync + 'static,
    ) -> Self {
        self.enricher = Enricher::new(enricher);
        self
    }

    /// Completes the options from the process's environment and the defaults, and checks them. No
    /// file and no network is touched.
    ///
    /// A program that sets any of host, port, target URI or socket path takes none of these from
    /// the environment. An empty variable counts as not set.
    ///
    /// # Errors
    ///
    /// [`FlagdError::InvalidOption`] names the option, its variable and the value when that has the
    /// wrong type or is out of range. What only shows later is accepted here, and makes the
    /// provider fatal when it is initialized: a target URI that does not parse, files that cannot
    /// be read, unknown status codes, a resolver that is not part of the build.
    pub fn build(self) -> Result<FlagdOptions, FlagdError> {
        self.build_with_env(|name| std::env::var_os(name))
    }

    /// As [`build`](Self::build), with `lookup` in place of the process's environment.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with_env(
        self,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<FlagdOptions, FlagdError> {
        let address_set = self.host.is_some()
            || self.port.is_some()
            || self.target_uri.is_some()
            || self.socket_path.is_some();
        let environment = Environment::new(&lookup, self.resolver, address_set)?;
        let mut options = self.complete(&environment)?;
        if options.resolver() == Resolver::InProcess && options.offline_flag_source_path().is_some()
        {
            options = options.with_resolver(Resolver::File);
        }
        check::check(&options)?;
        Ok(options)
    }
}
