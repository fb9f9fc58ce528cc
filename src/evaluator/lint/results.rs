//! What a rule may return, compared with the variants of its flag.
//!
//! The result of a rule must be null or name a variant, or the evaluation is a
//! `GENERAL` error. So the parts of a rule that may become its result are
//! followed: the branches of `if`, the items of `and` and `or`, the variants of
//! `fractional`, the default value of `var`, and the shared rule of a reference.
//! Where such a part is a literal, or its result is known in another way, it is
//! compared with the variants.
//!
//! ```text
//! {"if": [{"==": [..]}, "on", {"fractional": [["red", 1], ["blue", 1]]}]}
//!                        ^                     ^            ^       may be results
//! ```
//!
//! A condition of `if` that is `true` or `false` ends or skips a branch, so that
//! a branch that was switched off on purpose causes no warning.

use serde_json::Value as Json;

use super::{
    buckets,
    linter::Linter,
    near::suggestion,
    operators::{self, Kinds},
    read::{evaluated, literal, operation},
};
use crate::evaluator::{
    json_text,
    load::tree::{Entry, Kind, Tree},
    location::Position,
    value::Value,
};

impl<'t> Linter<'t> {
    /// Warns about results of the rule of a flag that are not one of its
    /// variants: such an evaluation ends with the error `GENERAL`.
    pub(crate) fn results(&mut self, rule: &'t Tree) {
        if !matches!(&rule.kind, Kind::Object(entries) if entries.is_empty()) {
            self.result(rule, None);
        }
    }

    /// Follows a part of a rule that may become its result. `referred` is the
    /// place of the reference to it, if it is within a shared rule: the warning
    /// belongs to the flag.
    fn result(&mut self, rule: &'t Tree, referred: Option<Position>) {
        let at = referred.unwrap_or(rule.at);
        let Some(operation) = operation(rule) else {
            if matches!(rule.kind, Kind::Object(_)) {
                // A value with several fields. The walk over the rule warns about it.
            } else if let Some(value) = literal(rule) {
                self.given(at, &value);
            }
            return;
        };
        let arguments = match &operation.value.kind {
            Kind::List(arguments) => &**arguments,
            _ => &[],
        };
        match &*operation.name {
            "$ref" => self.referring(operation, referred),
            "if" | "?:" => {
                for clause in arguments.chunks(2) {
                    let (condition, result) = match clause {
                        [condition, result] => (literal(condition), result),
                        [otherwise, ..] => (None, otherwise),
                        [] => return,
                    };
                    match condition.map(|value| Value::from(&value).is_true()) {
                        Some(false) => {}
                        Some(true) => return self.result(result, referred),
                        None => self.result(result, referred),
                    }
                }
            }
            name @ ("and" | "or") => self.junction(arguments, name == "or", referred),
            "fractional" => {
                for bucket in buckets::shares(&operation.value) {
                    if let Kind::List(parts) = &bucket.kind
                        && let Some(variant) = parts.first()
                        // The walk over the rule warns about an array.
                        && !matches!(variant.kind, Kind::List(_))
                        && buckets::weight(bucket) != Some(0.0)
                    {
                        self.result(variant, referred);
                    }
                }
            }
            "var" if self.kinds(rule) == Kinds::ANY => {
                if let Some(default) = arguments.get(1).filter(|_| arguments.len() == 2) {
                    self.result(default, referred);
                }
            }
            _ => self.computed(rule, operation, at),
        }
    }

    /// Follows a reference to a shared rule.
    fn referring(&mut self, reference: &'t Entry, referred: Option<Position>) {
        // A reference within an evaluator is not replaced.
        if referred.is_none()
            && let Some(rule) = self.referred(reference)
        {
            self.result(rule, Some(reference.value.at));
        }
    }

    /// Follows `and` or `or`. `and` returns its first item that does not hold,
    /// `or` the first that does, and both the last one otherwise.
    fn junction(&mut self, items: &'t [std::rc::Rc<Tree>], or: bool, referred: Option<Position>) {
        let Some((last, others)) = items.split_last() else { return };
        for item in others {
            let at = referred.unwrap_or(item.at);
            match literal(item) {
                Some(value) if Value::from(&value).is_true() == or => {
                    return self.given(at, &value);
                }
                None if self.kinds(item) == Kinds::BOOLEAN => self.given(at, &Json::Bool(or)),
                _ => {}
            }
        }
        self.result(last, referred);
    }

    /// Checks the result of any other operator: by evaluation if its arguments
    /// are literals, and otherwise by the types that it may have.
    fn computed(&mut self, rule: &'t Tree, operation: &'t Entry, at: Position) {
        let Some(operator) = operators::find(&operation.name) else { return };
        if !operator.reads() && literal(&operation.value).is_some() {
            // The walk over the rule warns about what fails, and about infinity and NaN.
            let value = evaluated(&operation.name, &operation.value);
            if let Some(value) = value.ok().filter(|value| !value.is_object()) {
                self.given(at, &value);
            }
            return;
        }
        if operator.compares() {
            return [true, false].into_iter().for_each(|value| self.given(at, &Json::Bool(value)));
        }
        let kinds = self.kinds(rule);
        let Some(variants) = &self.variants else { return };
        // The result is the name of a variant as JSON text without quotation marks.
        for (kind, begins) in [
            (Kinds::ARRAY, (|c| c == '[') as fn(char) -> bool),
            (Kinds::OBJECT, |c| c == '{'),
            (Kinds::NUMBER, |c| c == '-' || c.is_ascii_digit()),
        ] {
            let only = kinds == kind || kinds == kind | Kinds::NULL;
            if only && !variants.iter().any(|variant| variant.starts_with(begins)) {
                return self.warn(at, format!("{kind} is not a variant of the flag (GENERAL)"));
            }
        }
    }

    /// Checks a result that is known. The message suggests a variant with a
    /// similar name.
    fn given(&mut self, at: Position, value: &Json) {
        let Some(variants) = &self.variants else { return };
        let mut text = String::new();
        json_text::write(value, &mut text);
        text.retain(|c| c != '"');
        if value.is_null() || variants.contains(&*text) {
            return;
        }
        let message = match value.as_str() {
            Some(name) if variants.contains(name) => format!(
                "no rule can choose the variant `{name}` (GENERAL), because JSON escapes a character \
                 in its name"
            ),
            _ => {
                let near = suggestion(&text, variants.iter().copied());
                format!("`{text}` is not a variant of the flag (GENERAL){near}")
            }
        };
        self.warn(at, message);
    }
}
