//! Completes options from the environment and the defaults, and reads their text.

use std::{ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

use secrecy::SecretString;

use super::{
    Bucketing,
    error::FlagdError,
    options::{CacheType, OptionInfo, Resolver, row},
};
use crate::excerpt::excerpt;

/// The options that say where flagd is; a program sets them together.
const ADDRESS: [&str; 4] = ["host", "port", "targetUri", "socketPath"];

/// The variable whose value is a secret, so that no error may show it.
const SECRET: &str = "FLAGD_HEADERS";

/// The environment as the options see it.
pub(super) struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    resolver: Resolver,
    address_set: bool,
}

impl<'a> Environment<'a> {
    /// The resolver decides which variable and default the port has, so it is read first.
    pub(super) fn new(
        lookup: &'a dyn Fn(&str) -> Option<OsString>,
        resolver: Option<Resolver>,
        address_set: bool,
    ) -> Result<Self, FlagdError> {
        let mut environment = Self { lookup, resolver: Resolver::Rpc, address_set };
        environment.resolver = environment.complete(&row::resolver(), resolver, self::resolver)?;
        Ok(environment)
    }

    /// The value set in the program, else the variable's, else the default.
    pub(super) fn complete<T: Default>(
        &self,
        row: &OptionInfo,
        set: Option<T>,
        read: fn(&str) -> Result<T, String>,
    ) -> Result<T, FlagdError> {
        if let Some(value) = set {
            return Ok(value);
        }
        let invalid =
            |variable, reason| FlagdError::InvalidOption { option: row.name, variable, reason };
        for variable in self.variables(row) {
            let text = self.lookup(variable).map_err(|reason| invalid(variable, reason))?;
            if let Some(text) = text {
                return read(&text).map_err(|reason| invalid(variable, reason));
            }
        }
        match self.default(row) {
            "" => Ok(T::default()),
            text => read(text).map_err(|reason| invalid(row.variable, reason)),
        }
    }

    fn variables(&self, row: &OptionInfo) -> Vec<&'static str> {
        if self.address_set && ADDRESS.contains(&row.name) {
            return Vec::new();
        }
        match (row.name, self.resolver) {
            ("port", Resolver::InProcess) => vec!["FLAGD_SYNC_PORT", row.variable],
            _ => vec![row.variable],
        }
    }

    fn default(&self, row: &OptionInfo) -> &'static str {
        match (row.name, self.resolver) {
            ("port", Resolver::InProcess) => "8015",
            _ => row.default,
        }
    }

    /// The variable's text; none if it is empty or not meant for us.
    fn lookup(&self, variable: &str) -> Result<Option<String>, String> {
        let Some(value) = (self.lookup)(variable) else { return Ok(None) };
        let text = value.into_string().map_err(|value| match variable {
            SECRET => "the value is not Unicode".to_owned(),
            _ => format!("`{}` is not Unicode", excerpt(&value.to_string_lossy())),
        })?;
        let text = text.trim();
        if variable.ends_with("_PORT") && text.starts_with("tcp://") {
            tracing::warn!(
                variable,
                value = excerpt(text).as_ref(),
                "ignored: Kubernetes injects it for a Service of this name; set `enableServiceLinks: false`"
            );
            return Ok(None);
        }
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}

pub(super) fn resolver(text: &str) -> Result<Resolver, String> {
    match text.to_ascii_lowercase().as_str() {
        "rpc" => Ok(Resolver::Rpc),
        "in-process" => Ok(Resolver::InProcess),
        "file" => Ok(Resolver::File),
        _ => Err(format!("`{}` is none of `rpc`, `in-process`, `file`", excerpt(text))),
    }
}

pub(super) fn cache(text: &str) -> Result<CacheType, String> {
    match text.to_ascii_lowercase().as_str() {
        "lru" => Ok(CacheType::Lru),
        "disabled" => Ok(CacheType::Disabled),
        _ => Err(format!("`{}` is neither `lru` nor `disabled`", excerpt(text))),
    }
}

pub(super) fn bucketing(text: &str) -> Result<Bucketing, String> {
    match text.to_ascii_lowercase().as_str() {
        "string" => Ok(Bucketing::String),
        "cbor" => Ok(Bucketing::Cbor),
        _ => Err(format!("`{}` is neither `string` nor `cbor`", excerpt(text))),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all readers")]
pub(super) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all readers")]
pub(super) fn optional_text(text: &str) -> Result<Option<String>, String> {
    Ok(Some(text.to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all readers")]
pub(super) fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok(Some(PathBuf::from(text)))
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all readers")]
pub(super) fn names(text: &str) -> Result<Vec<String>, String> {
    Ok(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(format!("`{}` is neither `true` nor `false`", excerpt(text))),
    }
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("`{}` is not a whole number from 1 to 65535", excerpt(text))),
    }
}

pub(super) fn count<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{}` is not a whole number from 0", excerpt(text)))
}

pub(super) fn retries(text: &str) -> Result<Option<u32>, String> {
    match text {
        "-1" => Ok(None),
        _ if text.eq_ignore_ascii_case("unlimited") => Ok(None),
        _ => text.parse().map(Some).map_err(|_| {
            format!("`{}` is not a whole number from 0, `-1` or `unlimited`", excerpt(text))
        }),
    }
}

pub(super) fn millis(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_millis)
        .map_err(|_| format!("`{}` is not a whole number of milliseconds", excerpt(text)))
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| format!("`{}` is not a whole number of seconds", excerpt(text)))
}

/// Errors give a place and not the text, which is a secret.
pub(super) fn headers(text: &str) -> Result<Vec<(String, SecretString)>, String> {
    text.split(',')
        .filter(|header| !header.trim().is_empty())
        .enumerate()
        .map(|(index, header)| match header.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().into())),
            None => Err(format!("header {} is not of the form `name=value`", index + 1)),
        })
        .collect()
}
