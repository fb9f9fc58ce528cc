//! Warnings: what is in a flag definition that flagd accepts but that its published schema refuses, or
//! that cannot be meant.

mod targeting;

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use serde_json::Value as Json;

use super::{
    location::Position,
    problem::{self, DefinitionError},
    surrogates,
    tree::{Entry, Kind, Tree},
    yaml,
};

/// What is doubtful in a flag definition, though it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The flag, unless it is the definition itself.
    pub flag: Option<String>,
    /// What is doubtful.
    pub message: String,
    /// Where, counted from 1.
    pub line: usize,
    /// Where in the line, in characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = (self.line, self.column);
        problem::write_finding(f, self.flag.as_deref(), place, &self.message)
    }
}

/// Looks through a flag definition in JSON for what flagd's schema would refuse although flagd (and
/// [`FlagSet::parse`](super::FlagSet::parse)) accepts it. The warnings come in the order of the text.
///
/// Beyond the schema, it warns of names that are there twice and of references to evaluators that
/// are not there.
///
/// # Errors
///
/// When the text is no JSON. What else `parse` refuses is not looked for.
pub fn lint(text: &str) -> Result<Vec<Warning>, DefinitionError> {
    Ok(warnings(&Tree::of_json(&surrogates::mended(text))?))
}

/// As [`lint`], for YAML.
///
/// # Errors
///
/// When the text is no YAML.
pub fn lint_yaml(text: &str) -> Result<Vec<Warning>, DefinitionError> {
    Ok(warnings(&*yaml::parse(text)?))
}

fn warnings(definition: &Tree) -> Vec<Warning> {
    let mut linter = Linter::default();
    linter.definition(definition);
    linter.warnings.sort_by_key(|warning| (warning.line, warning.column));
    linter.warnings
}

#[derive(Default)]
struct Linter<'t> {
    /// The flag that is looked at.
    flag: Option<&'t str>,
    evaluators: HashSet<&'t str>,
    warnings: Vec<Warning>,
}

impl<'t> Linter<'t> {
    fn warn(&mut self, at: Position, message: impl Into<String>) {
        let flag = self.flag.map(str::to_owned);
        let Position { line, column } = at;
        self.warnings.push(Warning { flag, message: message.into(), line, column });
    }

    /// The entries of an object, of two with one name the later; None if it is no object.
    fn entries(&mut self, tree: &'t Tree) -> Option<Vec<&'t Entry>> {
        let Kind::Object(entries) = &tree.kind else { return None };
        let last: HashMap<_, _> = entries.iter().map(|entry| &entry.name).zip(0..).collect();
        let mut counted = Vec::with_capacity(last.len());
        for (index, entry) in entries.iter().enumerate() {
            if last.get(&entry.name) == Some(&index) {
                counted.push(entry);
            } else {
                let message = format!("`{}` is there twice: only the last counts", entry.name);
                self.warn(entry.at, message);
            }
        }
        Some(counted)
    }

    /// The entries of an object, with a warning if it is none.
    fn object(&mut self, tree: &'t Tree, what: &str) -> Vec<&'t Entry> {
        self.entries(tree).unwrap_or_else(|| {
            self.warn(tree.at, format!("{what} should be an object"));
            Vec::new()
        })
    }

    fn definition(&mut self, definition: &'t Tree) {
        let sections = self.object(definition, "a flag definition");
        let section = |name: &str| sections.iter().find(|entry| entry.name == name);
        if let Some(evaluators) = section("$evaluators") {
            let rules = self.object(&evaluators.value, "`$evaluators`");
            self.evaluators = rules.iter().map(|rule| &*rule.name).collect();
            for rule in rules {
                self.name(rule, "an evaluator");
                self.targeting(&rule.value);
            }
        }
        if let Some(metadata) = section("metadata") {
            self.metadata(&metadata.value);
        }
        match section("flags").map(|flags| &*flags.value) {
            None => self.warn(definition.at, "`flags` is missing"),
            Some(Tree { kind: Kind::List(flags), .. }) => {
                for flag in flags {
                    self.listed(flag);
                }
            }
            Some(flags) => {
                for flag in self.object(flags, "`flags`") {
                    self.flag = Some(&flag.name);
                    self.name(flag, "a flag");
                    self.flag(&flag.value);
                }
            }
        }
    }

    /// A flag of a list.
    fn listed(&mut self, flag: &'t Tree) {
        let key = flag.get("key");
        self.flag = key.and_then(text).filter(|key| !key.is_empty());
        match key {
            _ if self.flag.is_some() => {}
            Some(key) => self.warn(key.at, "`key` should be a text, and not empty"),
            None => self.warn(flag.at, "a flag in a list needs a `key`"),
        }
        self.flag(flag);
    }

    fn name(&mut self, entry: &Entry, what: &str) {
        if entry.name.is_empty() || entry.name.contains('\n') {
            self.warn(entry.at, format!("the name of {what} should be a line of text"));
        }
    }

    fn flag(&mut self, flag: &'t Tree) {
        let fields = self.object(flag, "a flag");
        if !matches!(flag.kind, Kind::Object(_)) {
            return;
        }
        let field = |name: &str| fields.iter().find(|field| field.name == name).map(|f| &*f.value);
        match field("state") {
            None => self.warn(flag.at, "`state` is missing: the flag counts as enabled"),
            Some(state) if !matches!(text(state), Some("ENABLED" | "DISABLED")) => {
                self.warn(state.at, "`state` should be `ENABLED` or `DISABLED`");
            }
            Some(_) => {}
        }
        match field("variants") {
            None => self.warn(flag.at, "`variants` is missing"),
            Some(variants) => self.variants(variants),
        }
        if let Some(name) = field("defaultVariant")
            && !matches!(name.kind, Kind::Scalar(Json::String(_) | Json::Null))
        {
            self.warn(name.at, "`defaultVariant` should be a text or null");
        }
        if let Some(metadata) = field("metadata") {
            self.metadata(metadata);
        }
        if let Some(rule) = field("targeting") {
            self.targeting(rule);
        }
    }

    fn variants(&mut self, variants: &'t Tree) {
        let entries = self.object(variants, "`variants`");
        let Some(&first) = entries.first() else {
            if matches!(variants.kind, Kind::Object(_)) {
                self.warn(variants.at, "`variants` is empty");
            }
            return;
        };
        let expected = kind(&first.value);
        for variant in entries {
            self.name(variant, "a variant");
            match kind(&variant.value) {
                kind @ ("a list" | "null") => {
                    let message = format!(
                        "the variant `{}` is {kind}: values should be booleans, texts, numbers or objects",
                        variant.name
                    );
                    self.warn(variant.value.at, message);
                }
                kind if kind != expected => {
                    let (name, first) = (&variant.name, &first.name);
                    let message =
                        format!("the variant `{name}` is {kind}, but `{first}` is {expected}");
                    self.warn(variant.value.at, message);
                }
                _ => {}
            }
        }
    }

    fn metadata(&mut self, metadata: &'t Tree) {
        for field in self.object(metadata, "`metadata`") {
            if !matches!(kind(&field.value), "a text" | "a number" | "a boolean") {
                let message = format!(
                    "the metadata `{}` should be a text, a number or a boolean",
                    field.name
                );
                self.warn(field.value.at, message);
            }
        }
    }
}

fn text(tree: &Tree) -> Option<&str> {
    match &tree.kind {
        Kind::Scalar(scalar) => scalar.as_str(),
        _ => None,
    }
}

/// The type of a value, for messages.
fn kind(tree: &Tree) -> &'static str {
    match &tree.kind {
        Kind::Scalar(Json::Bool(_)) => "a boolean",
        Kind::Scalar(Json::Number(_)) => "a number",
        Kind::Scalar(Json::String(_)) => "a text",
        Kind::Scalar(_) => "null",
        Kind::List(_) => "a list",
        Kind::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(text: &str) -> Vec<String> {
        lint(text).unwrap().iter().map(ToString::to_string).collect()
    }

    fn of_flag(fields: &str) -> Vec<String> {
        let warnings = lint(&format!(r#"{{"flags":{{"f":{{{fields}}}}}}}"#)).unwrap();
        assert!(warnings.iter().all(|warning| warning.flag.as_deref() == Some("f")));
        warnings.into_iter().map(|warning| warning.message).collect()
    }

    #[test]
    fn nothing_to_warn_of() {
        let definition = r#"{"$schema": "x", "metadata": {"flagSetId": "s", "n": 1, "b": true},
            "$evaluators": {"e": {"==": [{"var": "a"}, 1]}}, "flags": {
            "f": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": null,
                "targeting": {"if": [{"$ref": "e"}, "on"]}, "metadata": {}, "note": 1},
            "g": {"state": "DISABLED", "variants": {"o": {"x": []}}, "targeting": {}}}}"#;
        assert_eq!(warned(definition), [""; 0]);
        assert_eq!(
            warned(r#"{"flags": [{"key": "f", "state": "ENABLED", "variants": {"a": ""}}]}"#),
            [""; 0]
        );
    }

    #[test]
    fn sections() {
        assert_eq!(warned("{}"), ["line 1, column 1: `flags` is missing"]);
        assert_eq!(
            warned(
                "{\"flags\": null,\n\"$evaluators\": [],\n\"metadata\": {\"x\": [], \"y\": null}}"
            ),
            [
                "line 1, column 11: `flags` should be an object",
                "line 2, column 16: `$evaluators` should be an object",
                "line 3, column 19: the metadata `x` should be a text, a number or a boolean",
                "line 3, column 28: the metadata `y` should be a text, a number or a boolean",
            ]
        );
        assert_eq!(
            warned(r#"{"flags": {}, "$evaluators": {"": {"var": "x"}, "e": 1}}"#),
            [
                "line 1, column 31: the name of an evaluator should be a line of text",
                "line 1, column 54: a rule should be an object",
            ]
        );
    }

    #[test]
    fn flags_and_their_keys() {
        let flag = r#""state": "ENABLED", "variants": {"a": 1}"#;
        assert_eq!(
            warned(&format!(r#"{{"flags": {{"": {{{flag}}}, "b": null}}}}"#)),
            [
                "flag `` (line 1, column 12): the name of a flag should be a line of text",
                "flag `b` (line 1, column 65): a flag should be an object",
            ]
        );
        assert_eq!(
            warned(&format!(r#"{{"flags": [{{{flag}}}, {{"key": "", {flag}}}]}}"#)),
            [
                "line 1, column 12: a flag in a list needs a `key`",
                "line 1, column 64: `key` should be a text, and not empty",
            ]
        );
    }

    #[test]
    fn fields_of_flags() {
        for (fields, messages) in [
            (
                r#""x": 1"#,
                vec!["`state` is missing: the flag counts as enabled", "`variants` is missing"],
            ),
            (
                r#""state": "enabled", "variants": {}"#,
                vec!["`state` should be `ENABLED` or `DISABLED`", "`variants` is empty"],
            ),
            (
                r#""state": "ENABLED", "variants": null, "defaultVariant": 1"#,
                vec!["`variants` should be an object", "`defaultVariant` should be a text or null"],
            ),
            (
                r#""state": "ENABLED", "variants": {"a": 1, "b": "x", "c": [], "": 2}"#,
                vec![
                    "the variant `b` is a text, but `a` is a number",
                    "the variant `c` is a list: values should be booleans, texts, numbers or objects",
                    "the name of a variant should be a line of text",
                ],
            ),
            (
                r#""state": "DISABLED", "state": "ENABLED", "variants": {"a": 1}"#,
                vec!["`state` is there twice: only the last counts"],
            ),
            (
                r#""state": "ENABLED", "variants": {"a": 1}, "metadata": null, "targeting": null"#,
                vec!["`metadata` should be an object", "a rule should be an object"],
            ),
        ] {
            assert_eq!(of_flag(fields), messages, "{fields}");
        }
    }

    #[test]
    fn yaml_has_places_too() {
        let warnings = lint_yaml("flags:\n  f:\n    state: On\n    variants: {a: 1}\n").unwrap();
        assert_eq!(
            warnings[0].to_string(),
            "flag `f` (line 3, column 12): `state` should be `ENABLED` or `DISABLED`"
        );
        assert!(lint("{").is_err());
        assert!(lint_yaml("a: [").is_err());
    }
}
