//! What a configuration says, and what may be wrong with one.

use std::{fmt, io, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    excerpt::{excerpt, shown},
    http::Listen,
    optoggles::{machine::Settings, secret::Secret, target::Removal, toggle::Toggle},
};

/// Where the configuration is looked for, if no path is given.
pub(crate) const SEARCH: [&str; 2] = ["/etc/optoggles/config.yaml", "./config.yaml"];

/// A configuration that is valid.
///
/// ```
/// use flagstaff::optoggles::Config;
///
/// let config = Config::parse("
/// sources: [{id: opa, sourceType: opa, url: http://127.0.0.1:8181}]
/// target: {targetType: flagd, targetSpec: {file: /run/flags.json}}
/// toggles:
///   - {key: us, usersPolicy: {source: opa, package: app.rbac, rule: us_users}}
/// ")?;
/// # assert_eq!(config.toggles().len(), 1);
/// # Ok::<(), flagstaff::optoggles::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub(crate) bind: Listen,
    pub(crate) management_bind: Listen,
    pub(crate) confirm_token: Option<Secret>,
    pub(crate) instance: String,
    pub(crate) state: Option<PathBuf>,
    pub(crate) callback_secret: Option<Secret>,
    pub(crate) resync: Duration,
    pub(crate) settings: Settings,
    pub(crate) removal: Option<Removal>,
    pub(crate) sources: Vec<(String, SourceConfig)>,
    pub(crate) targets: Vec<(String, TargetConfig)>,
    pub(crate) toggles: Vec<ToggleConfig>,
}

/// A source of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceConfig {
    pub(crate) kind: SourceKind,
    pub(crate) url: String,
    pub(crate) token: Option<Secret>,
    pub(crate) guard: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SourceKind {
    Opal { advertised_address: Option<String>, opa_url: Option<String>, opa_token: Option<Secret> },
    Opa { interval: Duration },
}

/// A target of the configuration.
#[derive(Clone, Debug)]
pub(crate) enum TargetConfig {
    LaunchDarkly {
        token: Secret,
        base: Option<String>,
        merges: bool,
    },
    Rest {
        url: String,
        headers: Vec<(String, SecretString)>,
    },
    Flagd {
        file: Option<PathBuf>,
        evaluation: Option<Listen>,
        sync: Option<Listen>,
        ofrep: Option<Listen>,
    },
}

impl PartialEq for TargetConfig {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::LaunchDarkly { token, base, merges },
                Self::LaunchDarkly { token: token_2, base: base_2, merges: merges_2 },
            ) => (token, base, merges) == (token_2, base_2, merges_2),
            (Self::Rest { url, headers }, Self::Rest { url: url_2, headers: headers_2 }) => {
                let texts = |headers: &[(String, SecretString)]| -> Vec<(String, String)> {
                    let text = |(name, value): &(String, SecretString)| {
                        (name.clone(), value.expose_secret().to_owned())
                    };
                    headers.iter().map(text).collect()
                };
                url == url_2 && texts(headers) == texts(headers_2)
            }
            (
                Self::Flagd { file, evaluation, sync, ofrep },
                Self::Flagd { file: f, evaluation: e, sync: s, ofrep: o },
            ) => (file, evaluation, sync, ofrep) == (f, e, s, o),
            _ => false,
        }
    }
}

/// A toggle of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToggleConfig {
    pub(crate) toggle: Toggle,
    pub(crate) source: String,
    /// The targets it goes to.
    pub(crate) targets: Vec<String>,
}

/// Something wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, in characters, counted from 1.
    pub column: usize,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, excerpt(&self.message))
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration in {path}", path = shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no file at any of the places where it is looked for.
    #[error("there is no configuration at {first} or {second}: name one with `--config`", first = SEARCH[0], second = SEARCH[1])]
    Missing,
    /// The configuration is invalid: all that is wrong with it.
    #[error("the configuration is invalid: {}", problems(.0))]
    Invalid(Vec<Problem>),
}

fn problems(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Config {
    /// The toggles.
    #[must_use]
    pub fn toggles(&self) -> Vec<&Toggle> {
        self.toggles.iter().map(|toggle| &toggle.toggle).collect()
    }
}
