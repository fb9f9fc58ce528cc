//! Completes options from the environment and the defaults.

use std::ffi::OsString;

use super::kind::{OptionInfo, Resolver};
use crate::{excerpt::excerpt, flagd::error::FlagdError};

/// The options that say where flagd is; a program sets them together.
const ADDRESS: [&str; 4] = ["host", "port", "targetUri", "socketPath"];

/// The variable whose value is a secret, so that no error may show it.
const SECRET: &str = "FLAGD_HEADERS";

/// The environment as the options see it.
pub(crate) struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    pub(crate) resolver: Resolver,
    address_set: bool,
}

impl<'a> Environment<'a> {
    /// Without the resolver, which decides on the variable and the default of the port.
    pub(crate) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>, address_set: bool) -> Self {
        Self { lookup, resolver: Resolver::Rpc, address_set }
    }

    /// The value set in the program, else the variable's, else the default.
    pub(crate) fn complete<T: Default>(
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
