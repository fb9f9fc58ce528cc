//! Completes options from the environment and the defaults.
//!
//! The rules for one option, in this order:
//!
//! 1. The value set in the program.
//! 2. Its variable, unless that is empty. The port with the resolver
//!    `in-process` has two variables: `FLAGD_SYNC_PORT`, then `FLAGD_PORT`.
//! 3. The default from the table, which is read like a variable.
//!
//! Step 2 is skipped for host, port, target URI and socket path as soon as the
//! program sets any of the four: `FLAGD_TARGET_URI` in the environment must not
//! override a host that the program chose.

use std::ffi::OsString;

use super::kind::{OptionInfo, Resolver};
use crate::{excerpt::excerpt, flagd::error::FlagdError};

/// The options that together form flagd's address.
const ADDRESS: [&str; 4] = ["host", "port", "targetUri", "socketPath"];

/// The variable whose value is a secret, which no error may show.
const SECRET: &str = "FLAGD_HEADERS";

/// The environment as the options see it.
pub(crate) struct Environment<'a> {
    /// Returns the value of a variable.
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    /// Decides on the variables and the default of the port.
    pub(crate) resolver: Resolver,
    /// Whether the program sets a part of the address.
    address_set: bool,
}

impl<'a> Environment<'a> {
    /// Creates the environment with the default resolver. The caller completes
    /// the option `resolver` with it, and then sets [`resolver`](Self::resolver),
    /// before it completes the other options.
    pub(crate) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>, address_set: bool) -> Self {
        Self { lookup, resolver: Resolver::Rpc, address_set }
    }

    /// Returns the value set in the program, or else the variable's, or else the
    /// default. An empty default in the table is the default of the type: `None`
    /// or an empty list.
    ///
    /// # Errors
    ///
    /// The variable's value does not parse. The error names the variable that was
    /// read, which is not always the one in the table.
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

    /// The variables to read, in order; the first that is set counts.
    fn variables(&self, row: &OptionInfo) -> Vec<&'static str> {
        if self.address_set && ADDRESS.contains(&row.name) {
            return Vec::new();
        }
        match (row.name, self.resolver) {
            ("port", Resolver::InProcess) => vec!["FLAGD_SYNC_PORT", row.variable],
            _ => vec![row.variable],
        }
    }

    /// The default as a variable would hold it; empty if there is none.
    fn default(&self, row: &OptionInfo) -> &'static str {
        match (row.name, self.resolver) {
            ("port", Resolver::InProcess) => "8015",
            _ => row.default,
        }
    }

    /// The variable's value without surrounding whitespace; `None` if it is empty
    /// or not meant for this program.
    ///
    /// Kubernetes sets `FLAGD_PORT=tcp://10.0.0.7:8013` in each pod of a namespace
    /// that has a Service `flagd`. Such a value is ignored with a warning, because
    /// a program would otherwise fail for a reason that is not in its
    /// configuration.
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
