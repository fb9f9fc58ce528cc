//! Warnings about variables: their names, and what flagd sets itself.
//!
//! What a context contains is not known, and so most names are right. Known are
//! `targetingKey`, which is a string, and `$flagd`, which has two fields. A name
//! that differs from these in case only is a mistake, since names of variables
//! are case-sensitive, and so is a field of theirs that does not exist. Within
//! the body of an operator that iterates, names refer to other data: see
//! [`Scope`].

use serde_json::Value as Json;

use super::{
    linter::{Linter, Scope, text},
    near::suggestion,
    operators::Kinds,
    read::operation,
};
use crate::evaluator::load::tree::{Kind, Tree};

/// The fields of `$flagd`.
const FLAGD_FIELDS: [&str; 2] = ["flagKey", "timestamp"];

impl<'t> Linter<'t> {
    /// Checks the names of variables in the arguments of `missing` and
    /// `missing_some`.
    pub(crate) fn names(&mut self, names: &[&'t Tree]) {
        for name in names {
            match text(name) {
                Some(text) => self.variable_name(name, text),
                None => self.warn(name.at, "the name of a variable should be a string"),
            }
        }
    }

    /// Checks the arguments of `var`.
    pub(crate) fn variable(&mut self, value: &'t Tree) {
        match &value.kind {
            Kind::List(items) => {
                if items.len() > 2 {
                    let message = "`var` takes a name and a default value: with more, the default \
                        value is ignored";
                    self.warn(value.at, message);
                }
                match items.first().map(|name| (name, text(name))) {
                    Some((name, Some(text))) => self.variable_name(name, text),
                    Some((name, None)) => self.argument(name),
                    None => {}
                }
                items.iter().skip(1).for_each(|item| self.argument(item));
            }
            Kind::Scalar(Json::String(text)) => self.variable_name(value, text),
            _ => self.argument(value),
        }
    }

    /// Checks the name of a variable, as far as the scope knows which there are.
    fn variable_name(&mut self, name: &Tree, text: &str) {
        let mut parts = text.split('.').filter(|part| !part.is_empty());
        let Some(first) = parts.next() else { return };
        let (second, third) = (parts.next(), parts.next());
        match self.scope {
            Scope::Item => {}
            Scope::Scalar => {
                if matches!(first, "current" | "accumulator") {
                    let message = format!(
                        "only the rule of `reduce` has `{first}`: here the item itself is \
                         `{{\"var\": \"\"}}`"
                    );
                    self.warn(name.at, message);
                }
            }
            Scope::Context => {
                for known in ["targetingKey", "$flagd"] {
                    if first != known && first.eq_ignore_ascii_case(known) {
                        let mut near = text.replacen(first, known, 1);
                        if let Some(field) = second.filter(|_| known == "$flagd")
                            && let Some(meant) =
                                FLAGD_FIELDS.iter().find(|it| it.eq_ignore_ascii_case(field))
                        {
                            near = near.replacen(field, meant, 1);
                        }
                        let message = format!("names are case-sensitive: did you mean `{near}`?");
                        self.warn(name.at, message);
                    }
                }
                if let Some(field) = second.filter(|_| first == "$flagd") {
                    self.field(name, field, &FLAGD_FIELDS, "`$flagd`");
                }
                match (first, second, third) {
                    ("$flagd", Some(scalar @ ("flagKey" | "timestamp")), Some(field)) => {
                        self.fieldless(name, &format!("$flagd.{scalar}"), field);
                    }
                    ("targetingKey", Some(field), _) => self.fieldless(name, first, field),
                    _ => {}
                }
            }
            Scope::Accumulation => {
                let fields = &["current", "accumulator", "valueType"];
                self.field(name, first, fields, "what `reduce` evaluates");
            }
        }
    }

    /// Warns about a field that an object does not have, of which all fields are
    /// known.
    fn field(&mut self, at: &Tree, field: &str, fields: &[&str], of: &str) {
        if !fields.contains(&field) {
            let near = suggestion(field, fields.iter().copied());
            let has =
                fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
            self.warn(at.at, format!("{of} has only the fields {has}{near}"));
        }
    }

    /// Warns about a field of a value that is not an object.
    fn fieldless(&mut self, at: &Tree, variable: &str, field: &str) {
        let message = format!("`{variable}` has no fields: `{variable}.{field}` is always null");
        self.warn(at.at, message);
    }

    /// The types that a variable may have. Only those of the variables that flagd
    /// sets are known. A default value does not matter for them, because they are
    /// always there.
    pub(crate) fn variable_kinds(&self, value: &Tree) -> Kinds {
        // A shared rule may be referred to in the body of an operator, where the names mean
        // something else.
        if self.scope != Scope::Context || self.in_evaluator {
            return Kinds::ANY;
        }
        let name = match &value.kind {
            Kind::List(items) => items.first().map_or(Some(""), |first| text(first)),
            _ => text(value),
        };
        let Some(name) = name else { return Kinds::ANY };
        let parts: Vec<_> = name.split('.').filter(|part| !part.is_empty()).take(3).collect();
        match *parts {
            // The whole context.
            [] | ["$flagd"] => Kinds::OBJECT,
            ["$flagd", "flagKey"] => Kinds::STRING,
            ["$flagd", "timestamp"] => Kinds::NUMBER,
            _ => Kinds::ANY,
        }
    }

    /// Whether this reads the key of the flag, which is the same for everybody.
    pub(crate) fn is_flag_key(&self, tree: &Tree) -> bool {
        let variable = operation(tree).filter(|operation| operation.name == "var");
        self.scope == Scope::Context
            && variable.and_then(|variable| text(&variable.value)) == Some("$flagd.flagKey")
    }
}
