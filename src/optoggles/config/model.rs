//! The types of a configuration, and of what may be wrong with one.
//!
//! They say what was configured and do nothing: `runtime/factory.rs` makes sources and
//! targets of them. All can be compared, because a source or a target that is configured
//! as before is kept when the file is read again.

use std::{io, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    evaluator::Diagnostic,
    excerpt::shown,
    http::{Listen, Secret},
    optoggles::{machine::Settings, target::Removal, toggle::Toggle},
};

/// Where the configuration is looked for if no path is given: where the original looks.
pub(crate) const SEARCH: [&str; 2] = ["/etc/optoggles/config.yaml", "./config.yaml"];

/// A valid configuration of an [`Engine`](crate::optoggles::Engine).
///
/// It can be read from a file ([`load`](Self::load)) or a string ([`parse`](Self::parse)),
/// and turned into an engine with `Engine::from`.
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
    /// The address for callbacks and health.
    pub(crate) bind: Listen,
    /// The address for metrics, details and confirmations.
    pub(crate) management_bind: Listen,
    /// The token for confirmations. `None`: they are rejected.
    pub(crate) confirm_token: Option<Secret>,
    /// The name of this installation.
    pub(crate) instance: String,
    /// The file of the [`Record`](crate::optoggles::Record).
    pub(crate) state: Option<PathBuf>,
    /// What callback tokens are derived from. `None`: a random secret.
    pub(crate) callback_secret: Option<Secret>,
    /// How often everything is compared afresh. Zero: never.
    pub(crate) resync: Duration,
    /// `emptyConfirmation` and `maxRemoved`.
    pub(crate) settings: Settings,
    /// What becomes of toggles that have left the file. `None`: they stay.
    pub(crate) removal: Option<Removal>,
    /// The sources with their ids, which are distinct, in the order of the file.
    pub(crate) sources: Vec<(String, SourceConfig)>,
    /// The targets with their ids, which are distinct: `target`, then `targets`.
    pub(crate) targets: Vec<(String, TargetConfig)>,
    /// The toggles in the order of the file. Their keys are distinct, and their sources
    /// and targets exist.
    pub(crate) toggles: Vec<ToggleConfig>,
}

/// A source of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceConfig {
    pub(crate) kind: SourceKind,
    /// The base URL of OPA or of the OPAL client. Checked when the source is made.
    pub(crate) url: String,
    /// The bearer token for it.
    pub(crate) token: Option<Secret>,
    /// Paths of data that are defined once OPA has its data.
    pub(crate) guard: Vec<String>,
}

/// What is configured for one kind of sources only.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SourceKind {
    /// An OPAL client.
    Opal {
        /// Where OPAL reaches this program: `host:port` or a URL. `None`: this machine's
        /// address towards the OPAL client.
        advertised_address: Option<String>,
        /// The base URL of OPA. `None`: what the OPAL client says.
        opa_url: Option<String>,
        /// The token for OPA. `None`: what the OPAL client says.
        opa_token: Option<Secret>,
    },
    /// An OPA without OPAL.
    Opa {
        /// The pause between two polls. Not zero.
        interval: Duration,
    },
}

/// A target of the configuration.
#[derive(Clone, Debug)]
pub(crate) enum TargetConfig {
    LaunchDarkly {
        /// The API access token.
        token: Secret,
        /// The base URL. `None`: that of the commercial instance.
        base: Option<String>,
        /// Whether users whom somebody has targeted by hand stay (`mode: merge`).
        merges: bool,
    },
    Rest {
        /// The base URL of the toggles.
        url: String,
        /// Headers of each request. Values may be tokens. Names are in lower case.
        headers: Vec<(String, SecretString)>,
    },
    /// At least one of these is given.
    Flagd {
        file: Option<PathBuf>,
        /// The address for evaluation.
        evaluation: Option<Listen>,
        sync: Option<Listen>,
        ofrep: Option<Listen>,
    },
}

/// Written out, because secret strings cannot be compared. Patterns name every field, so
/// that one that is added does not compile until it is compared too.
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
    /// The id of its source.
    pub(crate) source: String,
    /// The ids of its targets, each once.
    pub(crate) targets: Vec<String>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration in {path}", path = shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// No file exists where [`Config::find`] looks for one.
    #[error("there is no configuration at {first} or {second}: name one with `--config`", first = SEARCH[0], second = SEARCH[1])]
    Missing,
    /// The configuration is invalid. Holds everything that is wrong with it, in the order of
    /// the file; never empty.
    #[error("the configuration is invalid: {}", problems(.0))]
    Invalid(Vec<Diagnostic>),
}

/// All problems in one line.
fn problems(problems: &[Diagnostic]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Config {
    /// Returns the toggles in the order of the file.
    #[must_use]
    pub fn toggles(&self) -> Vec<&Toggle> {
        self.toggles.iter().map(|toggle| &toggle.toggle).collect()
    }
}
