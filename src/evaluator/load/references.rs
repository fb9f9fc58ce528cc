//! `$evaluators`: rules that others refer to by `{"$ref": "name"}`.

use std::{cell::Cell, collections::HashMap};

use serde_json::Value as Json;

use crate::evaluator::json_text;

/// How many times its own size a definition may grow by references, and how many bytes it may in any
/// case.
const GROWTH: usize = 16;
const FREE_GROWTH: usize = 8 << 20;

/// The references make a definition larger than it may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl TooLarge {
    pub(crate) const MESSAGE: &str = "references to evaluators make the definition too large: \
        make the evaluators smaller, or refer to them in fewer flags";
}

/// The rules of `$evaluators` by their names.
#[derive(Default)]
pub(crate) struct Evaluators {
    rules: HashMap<String, Rule>,
    /// How many bytes may still take the places of references.
    room: Cell<usize>,
}

struct Rule {
    json: Json,
    /// How long its text is.
    size: usize,
}

impl Evaluators {
    /// Those of a definition of so many bytes.
    pub(crate) fn new(size: usize) -> Self {
        let room = size.saturating_mul(GROWTH).saturating_add(FREE_GROWTH);
        Self { room: Cell::new(room), ..Self::default() }
    }

    pub(crate) fn add(&mut self, name: String, json: Json) {
        let mut text = String::new();
        json_text::write(&json, &mut text);
        self.rules.insert(name, Rule { json, size: text.len() });
    }

    /// A copy of the rule that `value` refers to, if it does. The name is compared as JSON text, as
    /// flagd does.
    pub(crate) fn referred(&self, value: &Json) -> Result<Option<Json>, TooLarge> {
        let Some(Rule { json, size }) = self.get(value) else { return Ok(None) };
        let Some(room) = self.room.get().checked_sub(*size) else { return Err(TooLarge) };
        self.room.set(room);
        Ok(Some(json.clone()))
    }

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

    /// `value` with the rules in the places of references; those inside of a rule stay.
    pub(crate) fn expanded(&self, mut value: Json) -> Result<Json, TooLarge> {
        if !self.rules.is_empty() {
            self.expand(&mut value)?;
        }
        Ok(value)
    }

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
