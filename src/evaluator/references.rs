//! `$evaluators`: rules that others refer to by `{"$ref": "name"}`.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::{json_text, value};

/// The rules of `$evaluators` by their names.
#[derive(Default)]
pub(super) struct Evaluators(HashMap<String, Json>);

impl Evaluators {
    pub(super) fn add(&mut self, name: String, rule: Json) {
        self.0.insert(name, rule);
    }

    /// The rule that `value` refers to. The name is compared as JSON text, as flagd does.
    pub(super) fn get(&self, value: &Json) -> Option<&Json> {
        let fields = value.as_object().filter(|fields| !self.0.is_empty() && fields.len() == 1)?;
        let name = fields.get("$ref")?.as_str()?;
        if value::is_plain(name) {
            return self.0.get(name);
        }
        let mut text = String::new();
        json_text::write_text(name, &mut text);
        self.0.get(&text[1..text.len() - 1])
    }

    /// `value` with the rules in the places of references; those inside of a rule stay.
    pub(super) fn expanded(&self, mut value: Json) -> Json {
        if !self.0.is_empty() {
            self.expand(&mut value);
        }
        value
    }

    fn expand(&self, value: &mut Json) {
        if let Some(rule) = self.get(value) {
            *value = rule.clone();
            return;
        }
        match value {
            Json::Array(items) => items.iter_mut().for_each(|item| self.expand(item)),
            Json::Object(fields) => fields.values_mut().for_each(|value| self.expand(value)),
            _ => {}
        }
    }
}
