//! Options of a service: one table for flags, variables and the file.
//!
//! An option is taken from its flag, else from the first of its variables that is set, else
//! from the file, else it has its default. An empty variable counts as not set.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf};

use axum::{Router, middleware::from_fn};
use flagstaff::http::{
    Certificates,
    tls::{ServerTls, TlsError},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    access::{SESSION_KEY as KEY, local_host},
    storage::{Database, StorageError},
};

/// An option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Its name, as a flag (`--listen`) and in the file.
    pub name: &'static str,
    /// The variables that set it, ours first.
    pub variables: &'static [&'static str],
    /// Its default, as it would be written; empty: none.
    pub default: &'static str,
    /// Whether it is switched on by its name alone.
    pub is_switch: bool,
    /// What it is for, in a sentence.
    pub help: &'static str,
}

/// An option with a value.
#[must_use]
pub const fn opt(
    name: &'static str,
    variables: &'static [&'static str],
    default: &'static str,
    help: &'static str,
) -> Opt {
    Opt { name, variables, default, is_switch: false, help }
}

/// An option that is true or false.
#[must_use]
pub const fn switch(
    name: &'static str,
    variables: &'static [&'static str],
    default: &'static str,
    help: &'static str,
) -> Opt {
    Opt { name, variables, default, is_switch: true, help }
}

/// An option that is invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A value is invalid.
    #[error("option {option} ({origin}): {reason}")]
    Value {
        /// The name of the option.
        option: &'static str,
        /// Where the value comes from.
        origin: String,
        /// What is expected, and the value if it is no secret.
        reason: String,
    },
    /// The database's address is invalid.
    #[error("option {option} ({origin})")]
    Database {
        /// The name of the option.
        option: &'static str,
        /// Where the value comes from.
        origin: String,
        /// What is wrong with it.
        #[source]
        source: StorageError,
    },
    /// The file has a name that is no option.
    #[error("{}: unknown option {name:?}", file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// Options that exclude each other, or one that lacks another.
    #[error("{0}")]
    Together(String),
}

/// A value and where it comes from. It may be a secret.
#[derive(Clone)]
struct Found {
    value: SecretString,
    origin: String,
}

/// The values of the options of a table.
pub struct Values(HashMap<&'static str, Found>);

impl Values {
    /// Reads the options of a table: `flags` by the names of the options, `file` the options in
    /// a file, and `variable` the environment.
    ///
    /// # Errors
    ///
    /// The file has an option that is not in the table.
    pub fn read(
        options: &[Opt],
        flags: &HashMap<&'static str, String>,
        file: Option<&(PathBuf, HashMap<String, String>)>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        if let Some((path, values)) = file {
            let unknown = values.keys().find(|name| !options.iter().any(|it| it.name == **name));
            if let Some(name) = unknown {
                return Err(SettingsError::Unknown { file: path.clone(), name: name.clone() });
            }
        }
        let find = |option: &Opt| -> Option<Found> {
            if let Some(value) = flags.get(option.name) {
                let origin = format!("--{}", option.name);
                return Some(Found { value: value.clone().into(), origin });
            }
            for name in option.variables {
                if let Some(value) = variable(name).filter(|it| !it.is_empty()) {
                    return Some(Found { value: value.into(), origin: (*name).to_owned() });
                }
            }
            if let Some((path, values)) = file
                && let Some(value) = values.get(option.name)
            {
                let origin = path.display().to_string();
                return Some(Found { value: value.clone().into(), origin });
            }
            let default = Found { value: option.default.into(), origin: "default".to_owned() };
            (!option.default.is_empty()).then_some(default)
        };
        let found =
            options.iter().filter_map(|option| find(option).map(|found| (option.name, found)));
        Ok(Self(found.collect()))
    }

    /// The text of an option; without a value, nothing.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        self.0.get(name).map(|it| it.value.expose_secret().to_owned()).unwrap_or_default()
    }

    /// The text of an option that is set.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|it| !it.is_empty())
    }

    /// The value of an option that is a secret.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        self.0.get(name).map(|it| it.value.clone())
    }

    /// A list that is separated by commas.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name);
        let entries = text.split(',').map(str::trim).filter(|it| !it.is_empty());
        entries.map(str::to_owned).collect()
    }

    /// A path.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.optional(name).map(PathBuf::from)
    }

    /// An option that is true or false.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn switch(&self, name: &'static str) -> Result<bool, SettingsError> {
        match self.text(name).to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => Ok(true),
            "false" | "f" | "0" => Ok(false),
            other => Err(self.invalid(name, format!("expected true or false, got {other:?}"))),
        }
    }

    /// A number.
    ///
    /// # Errors
    ///
    /// It is none, or out of bounds.
    pub fn number(&self, name: &'static str, least: i64, most: i64) -> Result<i64, SettingsError> {
        let text = self.text(name);
        text.parse().ok().filter(|it| (least..=most).contains(it)).ok_or_else(|| {
            self.invalid(name, format!("expected a number from {least} to {most}, got {text:?}"))
        })
    }

    /// An address and a port.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn address(&self, name: &'static str) -> Result<SocketAddr, SettingsError> {
        let text = self.text(name);
        text.parse().map_err(|_| {
            let reason =
                format!("expected an address and a port such as 127.0.0.1:8080, got {text:?}");
            self.invalid(name, reason)
        })
    }

    /// A database, whose server has its certification authorities in the option `authorities`.
    ///
    /// # Errors
    ///
    /// The address is invalid, or the file of certificates is.
    pub fn database(
        &self,
        name: &'static str,
        authorities: &'static str,
    ) -> Result<Database, SettingsError> {
        Database::parse(&self.text(name), self.path(authorities)).map_err(|source| {
            SettingsError::Database { option: name, origin: self.origin(name), source }
        })
    }

    /// What signs the cookies of sessions: the option `session-key`.
    ///
    /// # Errors
    ///
    /// It is too short, even if nobody can sign in yet.
    pub fn session_key(&self) -> Result<Option<SecretString>, SettingsError> {
        let key = self.secret("session-key");
        let length = key.as_ref().map_or(KEY, |it| it.expose_secret().len());
        if length < KEY {
            let reason = format!(
                "expected at least {KEY} random bytes, such as the output of \
                 `openssl rand -base64 32`, got {length}"
            );
            return Err(self.invalid("session-key", reason));
        }
        Ok(key)
    }

    /// How the service is reached: the options `listen`, `tls-cert-file`, `tls-key-file`,
    /// `require-auth`, `insecure` and `dev`.
    ///
    /// # Errors
    ///
    /// One of them is invalid, or together they would serve other machines in the clear.
    pub fn serving(&self) -> Result<Serving, SettingsError> {
        let tls = match (self.path("tls-cert-file"), self.path("tls-key-file")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                return Err(SettingsError::Together(
                    "the options tls-cert-file and tls-key-file go together".to_owned(),
                ));
            }
        };
        let serving = Serving {
            listen: self.address("listen")?,
            tls,
            require_auth: self.switch("require-auth")?,
            insecure: self.switch("insecure")?,
            dev: self.switch("dev")?,
        };
        serving.check()?;
        Ok(serving)
    }

    /// Where the value of an option comes from.
    #[must_use]
    pub fn origin(&self, name: &str) -> String {
        self.0.get(name).map(|it| it.origin.clone()).unwrap_or_default()
    }

    /// An error for the value of an option.
    #[must_use]
    pub fn invalid(&self, option: &'static str, reason: String) -> SettingsError {
        SettingsError::Value { option, origin: self.origin(option), reason }
    }
}

/// How a service is reached.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Clone, Debug)]
pub struct Serving {
    /// Where to serve.
    pub listen: SocketAddr,
    /// The certificate and the key to serve with.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether requests need a token or a session.
    pub require_auth: bool,
    /// Whether other machines are served without authentication or without TLS.
    pub insecure: bool,
    /// For a first look.
    pub dev: bool,
}

impl Serving {
    /// The address as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.listen)
    }

    /// The certificate to serve with, if there is one.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or what is in them cannot be used.
    pub fn certificates(&self) -> Result<Option<Certificates>, TlsError> {
        let files = self.tls.as_ref();
        let tls =
            files.map(|(certificate, key)| ServerTls::new(certificate.as_path(), key.as_path()));
        tls.map(Certificates::load).transpose()
    }

    /// Adds what protects a server on loopback that demands no authentication.
    pub fn protect(&self, router: Router) -> Router {
        if self.require_auth || self.insecure {
            return router;
        }
        router.layer(from_fn(local_host))
    }

    /// What the options must not be together.
    fn check(&self) -> Result<(), SettingsError> {
        let is_local = self.listen.ip().is_loopback();
        let problem = if self.dev && !is_local {
            format!("--dev listens on loopback only, and listen is {}", self.listen)
        } else if self.insecure || is_local {
            return Ok(());
        } else if !self.require_auth {
            format!(
                "without authentication, listen ({}) must be an address of loopback; --insecure \
                 lifts this",
                self.listen
            )
        } else if self.tls.is_none() {
            format!(
                "listen ({}) is not loopback, so tls-cert-file and tls-key-file are needed; \
                 --insecure lifts this, for a server behind a proxy that terminates TLS",
                self.listen
            )
        } else {
            return Ok(());
        };
        Err(SettingsError::Together(problem))
    }
}
