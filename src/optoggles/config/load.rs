//! Finds and reads a configuration.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    model::{Config, ConfigError, SEARCH},
    read,
};

/// The longest configuration, in bytes.
const MAX: u64 = 16 << 20;

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is invalid.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        use io::Read as _;

        let path = path.as_ref();
        let mut text = String::new();
        let file = fs::File::open(path);
        let read = file.and_then(|file| file.take(MAX + 1).read_to_string(&mut text));
        let read = read.and_then(|length| {
            let long = || io::Error::other(format!("it is longer than {} MiB", MAX >> 20));
            if length as u64 > MAX { Err(long()) } else { Ok(()) }
        });
        read.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// The path of the first file that exists where the original looks for one:
    /// `/etc/optoggles/config.yaml`, then `./config.yaml`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn find() -> Result<PathBuf, ConfigError> {
        let found = SEARCH.iter().map(Path::new).find(|path| path.exists());
        found.map(Path::to_owned).ok_or(ConfigError::Missing)
    }

    /// Parses a configuration in YAML. `${VAR}` and `${VAR:-default}` in its strings stand for
    /// variables of the environment.
    ///
    /// # Errors
    ///
    /// When it is invalid.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        read::parse(text, &|name| std::env::var(name).ok())
    }
}
