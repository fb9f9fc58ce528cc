//! Warnings about everything except rules: sections, flags, variants, metadata,
//! numbers.
//!
//! flagd reads names of fields without regard to case, and its providers in other
//! languages do not. So a field is looked up as flagd does it, and a warning says
//! that other providers do not know it. Where two fields differ in case only, the
//! one that flagd ignores is named.
//!
//! Flags are checked one after the other, each with a linter of its own, because
//! the tree of a flag may live only while the flag is checked.

use std::{collections::HashSet, rc::Rc};

use serde_json::Value as Json;

use super::{
    linter::{Linter, text},
    near::near,
    operators::Kinds,
};
use crate::evaluator::{
    diagnostic::DefinitionError,
    load::{
        text::folded,
        tree::{Entry, Kind, Tree, Unread},
    },
};

/// The sections of a definition, as the schema writes them.
const SECTIONS: [&str; 3] = ["flags", "metadata", "$evaluators"];
/// The fields of a flag, as the schema writes them.
const FIELDS: [&str; 5] = ["state", "variants", "defaultVariant", "targeting", "metadata"];

/// The value of a field, by its name without regard to case. Of several, the one
/// whose name sorts last counts, as in flagd.
fn field<'t>(fields: &[&'t Entry], name: &str) -> Option<&'t Tree> {
    let name = name.to_ascii_lowercase();
    let named = fields.iter().filter(|field| folded(&field.name) == name);
    named.max_by(|a, b| a.name.cmp(&b.name)).map(|field| &*field.value)
}

/// The field that takes the place of `entry` although its name differs in case,
/// where `meant` is the name in the schema.
fn instead<'t>(fields: &[&'t Entry], entry: &Entry, meant: &str) -> Option<&'t Entry> {
    let is_null = |field: &Entry| matches!(field.value.kind, Kind::Scalar(Json::Null));
    // The entries of these objects add up, so that none is ignored.
    let counts = !matches!(meant, "variants" | "metadata" | "$evaluators");
    let other = |field: &&Entry| {
        field.name.eq_ignore_ascii_case(meant) && field.name > entry.name && !is_null(field)
    };
    fields.iter().copied().find(|field| counts && other(field))
}

impl<'t> Linter<'t> {
    /// Checks a whole definition: shared rules first, because flags refer to
    /// them, then the metadata and the flags.
    ///
    /// Flags in `unread` are parsed one by one. In an array of flags, the last
    /// one is checked first, because it is the one that counts if several have
    /// the same key.
    ///
    /// # Errors
    ///
    /// When a flag in `unread` is nested too deeply, or contains a number that is
    /// out of range.
    pub(crate) fn definition(
        &mut self,
        definition: &'t Tree,
        unread: Option<&Unread<'_>>,
    ) -> Result<(), DefinitionError> {
        let sections = self.object(definition, "a flag definition");
        self.spelling(&sections, &SECTIONS, "a flag definition");
        if let Some(evaluators) = field(&sections, "$evaluators") {
            let rules = self.object(evaluators, "`$evaluators`");
            let named = rules.iter().map(|rule| (&*rule.name, &*rule.value));
            self.evaluators = Rc::new(named.collect());
            self.in_evaluator = true;
            for rule in rules {
                self.name(rule, "an evaluator");
                self.numbers(&rule.value);
                self.targeting(&rule.value);
            }
            self.in_evaluator = false;
        }
        if let Some(metadata) = field(&sections, "metadata") {
            self.metadata(metadata);
        }
        let read = |flag: &Tree| unread.and_then(|unread| unread.read(flag.at)).transpose();
        match field(&sections, "flags") {
            None => self.warn(definition.at, "`flags` is missing"),
            Some(Tree { kind: Kind::List(flags), .. }) => {
                let mut seen = HashSet::new();
                for flag in flags.iter().rev() {
                    let read = read(flag)?;
                    let mut linter = self.within();
                    linter.listed(read.as_ref().unwrap_or(flag), &mut seen);
                    self.warnings = linter.warnings;
                }
            }
            Some(flags) => {
                for flag in self.object(flags, "`flags`") {
                    self.flag = Some(&flag.name);
                    self.name(flag, "a flag");
                    let read = read(&flag.value)?;
                    let mut linter = self.within();
                    linter.flag(read.as_ref().unwrap_or(&flag.value));
                    self.warnings = linter.warnings;
                }
            }
        }
        Ok(())
    }

    /// A linter for a part whose tree may live shorter than this one's. It takes
    /// the warnings so far along, and the caller takes them back.
    fn within<'f>(&mut self) -> Linter<'f>
    where
        't: 'f,
    {
        let warnings = std::mem::take(&mut self.warnings);
        let evaluators = self.evaluators.clone();
        Linter { flag: self.flag, evaluators, warnings, ..Linter::default() }
    }

    /// Checks a flag in an array. `seen` are the keys of the flags that follow
    /// it.
    fn listed(&mut self, flag: &'t Tree, seen: &mut HashSet<String>) {
        let key = flag.get("key");
        self.flag = key.and_then(text).filter(|key| !key.is_empty());
        match (key, self.flag) {
            (_, Some(known)) if !seen.insert(known.to_owned()) => {
                return self.warn(flag.at, "a later flag has the same key: only the last counts");
            }
            (_, Some(_)) => {}
            (Some(key), None) => self.warn(key.at, "`key` should be a string, and not empty"),
            (None, None) => self.warn(flag.at, "a flag in an array needs a `key`"),
        }
        self.flag(flag);
    }

    /// Checks the name of an evaluator, a flag or a variant.
    fn name(&mut self, entry: &Entry, what: &str) {
        if entry.name.is_empty() || entry.name.contains('\n') {
            let message = format!("the name of {what} should be one line, and not empty");
            self.warn(entry.at, message);
        }
    }

    /// Warns about names that are nearly those of known fields: misspelled, or in
    /// another case.
    ///
    /// A misspelled name is not reported if the field that was probably meant is
    /// there, too: then it is more likely a field of the author's own.
    fn spelling(&mut self, fields: &[&'t Entry], known: &[&str], of: &str) {
        for entry in fields {
            let name = &*entry.name;
            let lower = folded(name);
            if let Some(meant) = known.iter().find(|known| known.to_ascii_lowercase() == lower) {
                let message = if let Some(other) = instead(fields, entry, meant) {
                    format!("flagd ignores `{name}` beside `{}`", other.name)
                } else if name == *meant {
                    continue;
                } else {
                    format!("providers other than flagd know only `{meant}`, not `{name}`")
                };
                self.warn(entry.at, message);
            } else if let Some(meant) = near(name, known.iter().copied())
                && !fields.iter().any(|field| field.name == meant)
            {
                let message = format!("`{name}` is not a field of {of}: did you mean `{meant}`?");
                self.warn(entry.at, message);
            }
        }
    }

    /// Checks the fields of a flag.
    fn flag(&mut self, flag: &'t Tree) {
        let fields = self.object(flag, "a flag");
        if !matches!(flag.kind, Kind::Object(_)) {
            return;
        }
        self.spelling(&fields, &FIELDS, "a flag");
        match field(&fields, "state") {
            None => self.warn(flag.at, "`state` is missing: the flag counts as enabled"),
            Some(state) if !matches!(text(state), Some("ENABLED" | "DISABLED")) => {
                let known = ["ENABLED", "DISABLED"];
                let near = text(state).map(|state| super::near::suggestion(state, known));
                let message = format!(
                    "`state` should be `ENABLED` or `DISABLED`: the flag counts as enabled{}",
                    near.unwrap_or_default()
                );
                self.warn(state.at, message);
            }
            Some(_) => {}
        }
        self.variants = None;
        match field(&fields, "variants") {
            None => self.warn(flag.at, "`variants` is missing"),
            Some(variants) => self.variants(variants),
        }
        if let Some(name) = field(&fields, "defaultVariant")
            && !matches!(name.kind, Kind::Scalar(Json::String(_) | Json::Null))
        {
            self.warn(name.at, "`defaultVariant` should be a string or null");
        }
        if let Some(metadata) = field(&fields, "metadata") {
            self.metadata(metadata);
        }
        if let Some(rule) = field(&fields, "targeting") {
            self.numbers(rule);
            self.targeting(rule);
            self.results(rule);
        }
    }

    /// Checks the variants of a flag, which should be of one type, and remembers
    /// their names for the results of the rule.
    fn variants(&mut self, variants: &'t Tree) {
        let entries = self.object(variants, "`variants`");
        let Kind::Object(_) = &variants.kind else { return };
        self.variants = Some(entries.iter().map(|variant| &*variant.name).collect());
        self.numbers(variants);
        let Some(&first) = entries.first() else {
            return self.warn(variants.at, "`variants` is empty");
        };
        let expected = Kinds::of(&first.value);
        for variant in entries {
            self.name(variant, "a variant");
            let (kind, name) = (Kinds::of(&variant.value), &variant.name);
            let message = if kind == Kinds::ARRAY || kind == Kinds::NULL {
                format!(
                    "the variant `{name}` is {kind}: values should be booleans, strings, numbers or objects"
                )
            } else if kind != expected {
                format!("the variant `{name}` is {kind}, but `{}` is {expected}", first.name)
            } else {
                continue;
            };
            self.warn(variant.value.at, message);
        }
    }

    /// Checks the metadata of the set or of a flag.
    fn metadata(&mut self, metadata: &'t Tree) {
        self.numbers(metadata);
        for field in self.object(metadata, "`metadata`") {
            let scalar = Kinds::STRING | Kinds::NUMBER | Kinds::BOOLEAN;
            if !scalar.meets(Kinds::of(&field.value)) {
                let message = format!(
                    "the metadata `{}` should be a string, a number or a boolean",
                    field.name
                );
                self.warn(field.value.at, message);
            }
            if field.name == "flagSetId" && text(&field.value) == Some("") {
                self.warn(field.value.at, "flags of a flag set without a name are left out");
            }
        }
    }

    /// Warns about numbers that are read as other values than are written.
    fn numbers(&mut self, tree: &'t Tree) {
        match &tree.kind {
            Kind::Scalar(_) if tree.exact => {}
            Kind::Scalar(Json::Number(number)) => {
                let read = number.as_f64().unwrap_or_default();
                let message =
                    format!("a 64-bit float cannot represent this number, which is read as {read}");
                self.warn(tree.at, message);
            }
            Kind::Scalar(_) => {
                let message =
                    "this number is too large for a 64-bit float, and is read as a string";
                self.warn(tree.at, message);
            }
            Kind::List(items) => items.iter().for_each(|item| self.numbers(item)),
            Kind::Object(entries) => entries.iter().for_each(|entry| self.numbers(&entry.value)),
        }
    }
}
