//! The options and environment variables that a scenario sets, and the resulting configuration.

use std::{collections::HashMap, ffi::OsString};

use flagstaff::FlagdOptions;

use crate::options::{Type, Value, row};

/// Options that the harness sets unless the scenario does: an outage of a second, and the start of
/// a flagd, must fit into the grace period.
const RETRIES: [(&str, i128); 4] = [
    ("retryBackoffMs", 100),
    ("retryBackoffMaxMs", 250),
    ("retryGracePeriod", 3),
    ("maxEventStreamRetries", -1),
];

/// The configuration of a scenario.
#[derive(Default)]
pub(crate) struct Config {
    /// As the steps set them, in their order.
    options: Vec<Setting>,
    environment: HashMap<String, String>,
    /// What the "config was initialized" with.
    built: Option<Result<FlagdOptions, String>>,
}

struct Setting {
    name: String,
    kind: Type,
    text: String,
}

impl Config {
    /// An error if there is no such option; the value is checked when it is used.
    pub(crate) fn set(&mut self, name: String, kind: Type, text: String) -> Result<(), String> {
        row(&name)?;
        self.options.push(Setting { name, kind, text });
        Ok(())
    }

    pub(crate) fn set_variable(&mut self, name: String, value: String) {
        self.environment.insert(name, value);
    }

    /// Replaces `<port>` in the values with the port that the function returns for the whole value.
    pub(crate) fn fill_in_port(&mut self, mut port: impl FnMut(&str) -> u16) {
        for Setting { text, .. } in &mut self.options {
            if text.contains("<port>") {
                *text = text.replace("<port>", &port(text).to_string());
            }
        }
    }

    pub(crate) fn initialize(&mut self) {
        self.built = Some(self.build([]));
    }

    /// What the config was initialized with.
    pub(crate) fn built(&self) -> Result<&Result<FlagdOptions, String>, String> {
        self.built.as_ref().ok_or_else(|| "no config was initialized".to_owned())
    }

    /// Options for a provider: the scenario's, and otherwise the harness's own and these.
    pub(crate) fn for_provider(
        &self,
        settings: Vec<(&'static str, Value)>,
    ) -> Result<FlagdOptions, String> {
        let retries = RETRIES.map(|(name, value)| (name, Value::Integer(value)));
        let settings = settings.into_iter().chain(retries);
        self.build(settings.filter(|(name, _)| !self.has_variable_of(name)))
    }

    fn has_variable_of(&self, option: &str) -> bool {
        let row = FlagdOptions::TABLE.iter().find(|row| row.name == option);
        row.is_some_and(|row| self.environment.contains_key(row.variable))
    }

    fn build(
        &self,
        defaults: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Result<FlagdOptions, String> {
        let mut builder = FlagdOptions::builder();
        for (name, value) in defaults {
            builder = (row(name)?.set)(builder, value)?;
        }
        for Setting { name, kind, text } in &self.options {
            match Value::parse(*kind, text)? {
                Value::Null => {}
                value => builder = (row(name)?.set)(builder, value)?,
            }
        }
        let variable = |name: &str| self.environment.get(name).map(OsString::from);
        builder.build_with_env(variable).map_err(|error| error.to_string())
    }
}
