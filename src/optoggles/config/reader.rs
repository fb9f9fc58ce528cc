//! Reads typed values from the tree of a configuration, and gathers problems.
//!
//! Each method reads one type of value. If it is invalid, the method notes a
//! [`Diagnostic`] with line and column and returns a default or nothing, so that the caller
//! can go on and report every problem of a file at once.
//!
//! YAML is lenient about types where people are: `token: 12345` is the string `12345`.
//! `null` counts as left out. So does an empty string at an optional key, because that is
//! how `${TOKEN:-}` says that there is no token.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde_json::{Map, Value};

use super::{table::keys, variables::substituted};
use crate::{
    duration,
    evaluator::{
        Diagnostic,
        load::tree::{Kind, Tree},
        location::Position,
    },
    http::Listen,
};

/// Reads values, and gathers problems.
pub(super) struct Reader<'e> {
    /// Looks up an environment variable.
    pub(super) variable: &'e dyn Fn(&str) -> Option<String>,
    /// The problems so far, in the order in which they were found.
    pub(super) problems: Vec<Diagnostic>,
}

/// The members of an object, by their names in the table, whatever letter case the file
/// has.
pub(super) struct Fields<'t> {
    /// Where the object begins, for problems with keys that are missing.
    pub(super) at: Position,
    found: HashMap<&'static str, &'t Tree>,
}

impl<'t> Fields<'t> {
    /// Returns the value of a key. Null counts as left out.
    pub(super) fn get(&self, key: &str) -> Option<&'t Tree> {
        let value = self.found.get(key).copied();
        value.filter(|value| !matches!(value.kind, Kind::Scalar(Value::Null)))
    }
}

impl Reader<'_> {
    /// Notes a problem.
    pub(super) fn problem(&mut self, at: Position, message: impl Into<String>) {
        let Position { line, column } = at;
        self.problems.push(Diagnostic { flag: None, message: message.into(), line, column });
    }

    /// Reads the members of an object, whose keys the table lists below `prefix`. Unknown
    /// keys, and keys that come twice in whatever letter case, are problems.
    pub(super) fn fields<'t>(&mut self, tree: &'t Tree, prefix: &str) -> Fields<'t> {
        let mut fields = Fields { at: tree.at, found: HashMap::new() };
        let Kind::Object(entries) = &tree.kind else {
            let place = prefix.trim_end_matches(['.', '[', ']']);
            let place = if place.is_empty() { "the configuration" } else { place };
            self.problem(tree.at, format!("{place} must be an object"));
            return fields;
        };
        let known = keys(prefix);
        for entry in entries {
            match known.iter().find(|key| key.eq_ignore_ascii_case(&entry.name)) {
                None => {
                    let message = format!(
                        "unknown key `{prefix}{}`: expected {}",
                        entry.name,
                        listed(&known)
                    );
                    self.problem(entry.at, message);
                }
                Some(key) => {
                    if fields.found.insert(key, &entry.value).is_some() {
                        self.problem(entry.at, format!("`{prefix}{key}` is given twice"));
                    }
                }
            }
        }
        fields
    }

    /// Returns the value of a key; it is a problem if there is none.
    pub(super) fn required<'t>(&mut self, fields: &Fields<'t>, key: &str) -> Option<&'t Tree> {
        let found = fields.get(key);
        if found.is_none() {
            self.problem(fields.at, format!("`{key}` is missing"));
        }
        found
    }

    /// Reads a string, with the values of its variables. A number or a boolean becomes the
    /// string that it is in JSON. `key` is for the problem.
    pub(super) fn string(&mut self, tree: &Tree, key: &str) -> Option<String> {
        let text = match &tree.kind {
            Kind::Scalar(Value::String(text)) => text.clone(),
            Kind::Scalar(scalar @ (Value::Number(_) | Value::Bool(_))) => scalar.to_string(),
            _ => {
                self.problem(tree.at, format!("`{key}` must be a string"));
                return None;
            }
        };
        match substituted(&text, self.variable) {
            Ok(text) => Some(text),
            Err(reason) => {
                self.problem(tree.at, format!("`{key}`: {reason}"));
                None
            }
        }
    }

    /// Reads the string at a key; `None` if it is left out or empty.
    pub(super) fn optional(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let tree = fields.get(key)?;
        self.string(tree, key).filter(|text| !text.is_empty())
    }

    /// Reads the string at a key; it is a problem if it is left out or empty.
    pub(super) fn text(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let tree = self.required(fields, key)?;
        let text = self.string(tree, key)?;
        if text.is_empty() {
            self.problem(tree.at, format!("`{key}` must not be empty"));
            return None;
        }
        Some(text)
    }

    /// Reads one of several words in any letter case, and returns what it stands for. The
    /// first word is the default; there must be one.
    pub(super) fn word<T: Copy>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        words: &[(&str, T)],
    ) -> T {
        let default = words[0].1;
        let Some(tree) = fields.get(key) else { return default };
        let Some(text) = self.string(tree, key) else { return default };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
        if let Some((_, value)) = found {
            return *value;
        }
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        self.problem(tree.at, format!("`{key}`: expected {}, got `{text}`", listed(&words)));
        default
    }

    /// Reads a duration such as `30s`, `1h30m` or `0`.
    pub(super) fn duration(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        default: Duration,
    ) -> Duration {
        let Some(text) = self.optional(fields, key) else { return default };
        duration::parse(&text).unwrap_or_else(|reason| {
            let at = fields.get(key).map_or(fields.at, |tree| tree.at);
            self.problem(at, format!("`{key}`: {reason}, got `{text}`"));
            default
        })
    }

    /// Reads an address to listen on: `ip:port`, `localhost:port`, or `:port` for every
    /// interface.
    pub(super) fn listen(&mut self, tree: &Tree, key: &str) -> Option<Listen> {
        let text = self.string(tree, key)?;
        let found = address(&text);
        if found.is_none() {
            let message =
                format!("`{key}`: expected an address such as `127.0.0.1:8080`, got `{text}`");
            self.problem(tree.at, message);
        }
        found
    }

    /// Returns the items of the list at a key; none if it is left out.
    pub(super) fn list<'t>(&mut self, fields: &Fields<'t>, key: &str) -> Vec<&'t Tree> {
        match fields.get(key).map(|tree| (tree, &tree.kind)) {
            None => Vec::new(),
            Some((_, Kind::List(items))) => items.iter().map(|item| &**item).collect(),
            Some((tree, _)) => {
                self.problem(tree.at, format!("`{key}` must be a list"));
                Vec::new()
            }
        }
    }

    /// Reads the strings of the list at a key, with their places.
    pub(super) fn strings(&mut self, fields: &Fields<'_>, key: &str) -> Vec<(Position, String)> {
        let items = self.list(fields, key);
        items.into_iter().filter_map(|item| Some((item.at, self.string(item, key)?))).collect()
    }

    /// Reads the object at a key as JSON, with the values of the variables in its strings.
    /// Its keys are taken as they are, and nothing in it is unknown.
    pub(super) fn object(&mut self, fields: &Fields<'_>, key: &str) -> Map<String, Value> {
        let Some(tree) = fields.get(key) else { return Map::new() };
        if let Value::Object(object) = self.json(tree, key) {
            return object;
        }
        self.problem(tree.at, format!("`{key}` must be an object"));
        Map::new()
    }

    /// Reads any value as JSON. A string with an invalid variable becomes null.
    fn json(&mut self, tree: &Tree, key: &str) -> Value {
        match &tree.kind {
            Kind::Scalar(Value::String(_)) => {
                self.string(tree, key).map_or(Value::Null, Value::String)
            }
            Kind::Scalar(scalar) => scalar.clone(),
            Kind::List(items) => items.iter().map(|item| self.json(item, key)).collect(),
            Kind::Object(entries) => {
                let member = |entry: &crate::evaluator::load::tree::Entry| {
                    (entry.name.clone(), self.json(&entry.value, key))
                };
                Value::Object(entries.iter().map(member).collect())
            }
        }
    }
}

/// Words in backticks as a person lists them: `` `a`, `b` or `c` ``.
fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "nothing".to_owned(),
    }
}

/// Parses an address to listen on. Names of hosts other than `localhost` are not resolved:
/// an interface has an address.
fn address(text: &str) -> Option<Listen> {
    if let Some(port) = text.strip_prefix(':') {
        return Some(Listen::from((IpAddr::from([0_u8; 16]), port.parse().ok()?)));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(Listen::from((IpAddr::from([127, 0, 0, 1]), port.parse().ok()?)));
    }
    text.parse::<SocketAddr>().ok().map(Listen::from)
}
