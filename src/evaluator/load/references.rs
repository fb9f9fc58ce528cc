//! `$evaluators`: shared rules, and the references `{"$ref": "name"}` to them.
//!
//! A reference is an object with the only field `$ref`. It is replaced by a copy
//! of the rule before the flag is compiled, wherever it is in the flag, even in
//! the values of variants. References within a shared rule stay, and fail when
//! they are evaluated: flagd replaces some of them by chance, and no definition
//! should rely on that.
//!
//! ```text
//! $evaluators: {"r": {"==": [{"var": "x"}, 1]}}
//! {"if": [{"$ref": "r"}, "on"]}   ->   {"if": [{"==": [{"var": "x"}, 1]}, "on"]}
//! ```
//!
//! Copies are what makes this dangerous: a definition of 1 MB whose flags refer
//! 10,000 times to a rule of 100 kB would become 1 GB. The bytes of all copies in
//! a definition are therefore counted, and limited in proportion to the size of
//! the definition.

use std::{cell::Cell, collections::HashMap};

use serde_json::Value as Json;

use crate::evaluator::json_text;

/// How many times its own size the copies in a definition may have.
const GROWTH: usize = 16;
/// How many bytes the copies may have in addition, so that small definitions are
/// not limited in practice.
const FREE_GROWTH: usize = 8 << 20;

/// The references make a definition larger than it may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl TooLarge {
    /// The message for the author of the definition.
    pub(crate) const MESSAGE: &str = "references to evaluators make the definition too large: \
        make the evaluators smaller, or refer to them in fewer flags";
}

/// The shared rules of a definition, by name.
#[derive(Default)]
pub(crate) struct Evaluators {
    /// The rules by their names, in which escapes are replaced.
    rules: HashMap<String, Rule>,
    /// How many bytes may still be copied. A `Cell`, because flags are parsed
    /// with a shared reference.
    room: Cell<usize>,
}

/// A shared rule.
struct Rule {
    /// The rule. References in it are not replaced.
    json: Json,
    /// The length of its JSON text, in bytes, which a copy is counted with.
    size: usize,
}

impl Evaluators {
    /// No evaluators yet, with room for the copies in a definition of `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        let room = size.saturating_mul(GROWTH).saturating_add(FREE_GROWTH);
        Self { room: Cell::new(room), ..Self::default() }
    }

    /// Adds a rule. It replaces one with the same name.
    pub(crate) fn add(&mut self, name: String, json: Json) {
        let mut text = String::new();
        json_text::write(&json, &mut text);
        self.rules.insert(name, Rule { json, size: text.len() });
    }

    /// A copy of the rule that `value` refers to; `None` if it is not a reference
    /// to a known rule.
    ///
    /// flagd looks for the JSON text of the name, and so finds no rule whose name
    /// has a character that JSON escapes.
    ///
    /// # Errors
    ///
    /// When there is no room for the copy.
    pub(crate) fn referred(&self, value: &Json) -> Result<Option<Json>, TooLarge> {
        let Some(Rule { json, size }) = self.get(value) else { return Ok(None) };
        let Some(room) = self.room.get().checked_sub(*size) else { return Err(TooLarge) };
        self.room.set(room);
        Ok(Some(json.clone()))
    }

    /// The rule that `value` refers to.
    fn get(&self, value: &Json) -> Option<&Rule> {
        let fields =
            value.as_object().filter(|fields| !self.rules.is_empty() && fields.len() == 1)?;
        let name = fields.get("$ref")?.as_str()?;
        if json_text::is_plain(name) {
            return self.rules.get(name);
        }
        let mut text = String::new();
        json_text::write_text(name, &mut text);
        self.rules.get(&text[1..text.len() - 1])
    }

    /// `value` with the rules in the places of references. References within a
    /// rule stay.
    ///
    /// # Errors
    ///
    /// When the copies become too large. How much was replaced before does not
    /// matter, as the definition is then rejected.
    pub(crate) fn expanded(&self, mut value: Json) -> Result<Json, TooLarge> {
        if !self.rules.is_empty() {
            self.expand(&mut value)?;
        }
        Ok(value)
    }

    /// Replaces references in place.
    fn expand(&self, value: &mut Json) -> Result<(), TooLarge> {
        if let Some(rule) = self.referred(value)? {
            *value = rule;
            return Ok(());
        }
        match value {
            Json::Array(items) => items.iter_mut().try_for_each(|item| self.expand(item)),
            Json::Object(fields) => fields.values_mut().try_for_each(|value| self.expand(value)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_may_not_make_a_definition_large_without_bound() {
        let reference = || json!([{"$ref": "r"}]);
        let rule = json!("x".repeat(1 << 20));
        let mut evaluators = Evaluators::new(1 << 16);
        evaluators.add("r".to_owned(), rule.clone());
        for _ in 0..8 {
            assert_eq!(evaluators.expanded(reference()), Ok(json!([rule])));
        }
        assert_eq!(evaluators.expanded(reference()), Err(TooLarge));
        assert_eq!(evaluators.expanded(json!([{"$ref": "other"}])), Ok(json!([{"$ref": "other"}])));
    }
}
