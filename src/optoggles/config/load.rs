//! Finds and reads the configuration file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    model::{Config, ConfigError, SEARCH},
    read,
};

/// The longest configuration file, in bytes. It keeps a wrong path, such as a device, from
/// filling the memory.
const MAX: u64 = 16 << 20;

impl Config {
    /// Reads a configuration from a file of at most 16 MiB; see [`parse`](Self::parse).
    ///
    /// ```no_run
    /// use flagstaff::optoggles::{Config, ConfigError};
    ///
    /// # fn example() -> Result<(), ConfigError> {
    /// let config = Config::load(Config::find()?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is invalid.
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

    /// Finds the configuration file where the original looks for it: returns
    /// `/etc/optoggles/config.yaml` if it exists, else `./config.yaml`.
    ///
    /// # Errors
    ///
    /// When neither exists.
    pub fn find() -> Result<PathBuf, ConfigError> {
        first(SEARCH.map(Path::new)).ok_or(ConfigError::Missing)
    }

    /// Parses a configuration in YAML.
    ///
    /// `${VAR}` and `${VAR:-default}` in its strings stand for environment variables of
    /// this process, and `$${` for the characters `${`. Keys may be written in any letter
    /// case, and unknown ones are errors. URLs and headers are checked by
    /// [`Engine::validate`](crate::optoggles::Engine::validate), and files when the engine starts.
    ///
    /// ```
    /// use flagstaff::optoggles::Config;
    ///
    /// let config = Config::parse("
    /// Sources: [{id: opa, sourceType: opa, url: '${NO_SUCH_VARIABLE:-http://127.0.0.1:8181}'}]
    /// Target: {targetType: restapi, targetSpec: {endpointUrl: 'https://flags.example/v1'}}
    /// ")?;
    /// assert!(config.toggles().is_empty());
    ///
    /// let error = Config::parse("bind: ':8080'\ncolour: blue").unwrap_err().to_string();
    /// assert!(error.contains("line 2, column 1: unknown key `colour`"));
    /// # Ok::<(), flagstaff::optoggles::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When it is invalid, with everything that is wrong.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        read::parse(text, &|name| std::env::var(name).ok())
    }
}

/// The first of these files that exists.
fn first<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Option<PathBuf> {
    paths.into_iter().find(|path| path.exists()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_the_machine_goes_before_that_of_the_directory() {
        assert_eq!(SEARCH, ["/etc/optoggles/config.yaml", "./config.yaml"]);
        let directory = tempfile::tempdir().unwrap();
        let [etc, here] = ["etc", "here"].map(|name| directory.path().join(name));
        let found = || first([&*etc, &*here]);
        assert_eq!(found(), None);
        fs::write(&here, "").unwrap();
        assert_eq!(found().as_deref(), Some(&*here));
        fs::write(&etc, "").unwrap();
        assert_eq!(found().as_deref(), Some(&*etc));
    }
}
