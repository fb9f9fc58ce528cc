//! The flag definitions of a set of toggles: how they are written, and read again after a restart.
//! Without I/O.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::optoggles::users::Users;

/// The longest definition that sources of flags read, in bytes.
const MAX: usize = 64 << 20;

/// Toggles and their users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Definitions {
    flags: BTreeMap<String, Flag>,
    /// How long the text is, in bytes.
    length: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Flag {
    users: Users,
    /// How long it is in the text.
    length: usize,
}

/// Why a toggle cannot be published.
#[derive(Debug, thiserror::Error)]
#[error(
    "the flag definitions would be {0} bytes long with toggle `{1}` of {2} users: flagd and other \
     sources read {MAX} at most"
)]
pub(super) struct TooLong(usize, String, usize);

/// Why a definition was not written by this program.
#[derive(Debug, thiserror::Error)]
#[error("it holds something else than the flags of toggles (line {line}, column {column})")]
pub(super) struct ForeignFlag {
    line: usize,
    column: usize,
}

impl Definitions {
    /// The users of a toggle, if it has a flag.
    pub(super) fn users(&self, key: &str) -> Option<&Users> {
        self.flags.get(key).map(|flag| &flag.users)
    }

    /// The keys of all toggles.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.flags.keys().map(String::as_str)
    }

    /// Sets the users of a toggle, unless the text would be too long.
    pub(super) fn set(&mut self, key: &str, users: &Users) -> Result<(), TooLong> {
        let mut text = String::new();
        write_flag(&mut text, key, users);
        let former = self.flags.get(key).map_or(0, |flag| flag.length);
        let length = self.length - former + text.len();
        if length + HEAD.len() + TAIL.len() > MAX {
            return Err(TooLong(length, key.to_owned(), users.len()));
        }
        let flag = Flag { users: users.clone(), length: text.len() };
        self.flags.insert(key.to_owned(), flag);
        self.length = length;
        Ok(())
    }

    /// Removes the flag of a toggle.
    pub(super) fn remove(&mut self, key: &str) {
        if let Some(flag) = self.flags.remove(key) {
            self.length -= flag.length;
        }
    }

    /// The flag of a toggle, if it has one.
    pub(super) fn flag(&self, key: &str) -> Option<Value> {
        let users = self.users(key)?;
        let mut flag = json!({
            "state": "ENABLED",
            "variants": {"on": true, "off": false},
            "defaultVariant": "off",
        });
        // Without users the rule would never hold, which is worth a warning to others.
        if !users.is_empty() {
            let users: Vec<_> = users.iter().collect();
            flag["targeting"] =
                json!({"if": [{"in": [{"var": "targetingKey"}, users]}, "on", "off"]});
        }
        Some(flag)
    }

    /// The whole definition.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.length + HEAD.len() + TAIL.len());
        text.push_str(HEAD);
        for (index, (key, flag)) in self.flags.iter().enumerate() {
            text.push_str(if index == 0 { "\n" } else { ",\n" });
            write_flag(&mut text, key, &flag.users);
        }
        text.push_str(TAIL);
        text
    }

    /// Reads a definition that was written by [`text`](Self::text).
    pub(super) fn parse(text: &[u8]) -> Result<Self, ForeignFlag> {
        let foreign =
            |error: &serde_json::Error| ForeignFlag { line: error.line(), column: error.column() };
        let whole: Whole = serde_json::from_slice(text).map_err(|error| foreign(&error))?;
        let mut definitions = Self::default();
        for (key, flag) in whole.flags {
            let users = flag.users().ok_or(ForeignFlag { line: 1, column: 1 })?;
            // What was written was not too long.
            let _ = definitions.set(&key, &users);
        }
        Ok(definitions)
    }
}

const HEAD: &str = "{\"flags\": {";
const TAIL: &str = "\n}}\n";

/// Writes the flag of a toggle as a member of an object.
fn write_flag(out: &mut String, key: &str, users: &Users) {
    let rest =
        r#": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off""#;
    let _ = write!(out, "{}{rest}", json!(key));
    if !users.is_empty() {
        out.push_str(r#", "targeting": {"if": [{"in": [{"var": "targetingKey"}, ["#);
        for (index, user) in users.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            let _ = write!(out, "{}", json!(user));
        }
        out.push_str(r#"]]}, "on", "off"]}"#);
    }
    out.push('}');
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    flags: BTreeMap<String, Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(
    dead_code,
    reason = "that they are there, and nothing else, is what tells the flag of a toggle"
)]
struct Written {
    state: String,
    variants: BTreeMap<String, bool>,
    default_variant: String,
    targeting: Option<Targeting>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Targeting {
    r#if: (In, String, String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct In {
    r#in: (Variable, Users),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    var: String,
}

impl Written {
    /// The users, if it is the flag of a toggle.
    fn users(self) -> Option<Users> {
        let Some(Targeting { r#if: (In { r#in: (variable, users) }, on, off) }) = self.targeting
        else {
            return Some(Users::default());
        };
        let is_ours = (&*variable.var, &*on, &*off) == ("targetingKey", "on", "off");
        is_ours.then_some(users)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluator::{FlagSet, lint};

    fn users(names: &[&str]) -> Users {
        names.iter().collect()
    }

    fn definitions() -> Definitions {
        let mut definitions = Definitions::default();
        definitions.set("us", &users(&["bob", "al \"q\" é"])).unwrap();
        definitions.set("none", &users(&[])).unwrap();
        definitions
    }

    #[test]
    fn they_are_valid_and_read_again() {
        let definitions = definitions();
        let text = definitions.text();
        assert_eq!(lint(&text).unwrap(), []);
        assert_eq!(FlagSet::parse(&text).unwrap().len(), 2);
        assert_eq!(Definitions::parse(text.as_bytes()).unwrap(), definitions);
        for key in ["us", "none"] {
            let text: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(Some(&text["flags"][key]), definitions.flag(key).as_ref());
        }
        assert_eq!(Definitions::default().text(), "{\"flags\": {\n}}\n");
    }

    #[test]
    fn the_length_is_that_of_the_text() {
        let mut definitions = definitions();
        let separators = |flags: usize| HEAD.len() + TAIL.len() + 2 * flags - 1;
        assert_eq!(definitions.text().len(), definitions.length + separators(2));
        definitions.set("us", &users(&["bob"])).unwrap();
        assert_eq!(definitions.text().len(), definitions.length + separators(2));
        definitions.remove("none");
        assert_eq!(definitions.text().len(), definitions.length + separators(1));
    }

    #[test]
    fn what_is_too_long_is_an_error_with_the_numbers_and_changes_nothing() {
        let mut definitions = definitions();
        let former = definitions.clone();
        let long = "x".repeat(MAX);
        let error = definitions.set("us", &users(&[&long])).unwrap_err().to_string();
        assert!(error.contains("toggle `us` of 1 users") && error.contains("67108864"), "{error}");
        assert_eq!(definitions, former);
    }

    #[test]
    fn flags_of_others_are_seen() {
        for text in [
            "[]",
            r#"{"flags": {}, "$evaluators": {}}"#,
            r#"{"flags": {"a": {"state": "ENABLED", "variants": {"on": 1}, "defaultVariant": "on"}}}"#,
            r#"{"flags": {"a": {"state": "ENABLED", "variants": {}, "defaultVariant": "on",
                "targeting": {"if": [{"in": [{"var": "email"}, []]}, "on", "off"]}}}}"#,
        ] {
            Definitions::parse(text.as_bytes()).unwrap_err();
        }
    }
}
