//! A flag of a definition, checked, and its rule compiled.

use std::{mem, sync::Arc};

use serde_json::{Map, Value as Json};

use super::{by_name::ByName, json_text};
use crate::evaluator::{
    load::{
        references::{Evaluators, TooLarge},
        text::folded,
    },
    rule::{
        compile::{self, TooDeep},
        node::Rule,
    },
};

/// So many bytes hold the text of most flags.
const USUAL_TEXT: usize = 512;

/// A flag.
#[derive(Debug, Default)]
pub(crate) struct Flag {
    pub(crate) disabled: bool,
    pub(crate) variants: ByName<Json>,
    pub(crate) default_variant: Option<Box<str>>,
    pub(crate) targeting: Option<Rule>,
    /// The flag set's, with the flag's own over it.
    pub(crate) metadata: Arc<Map<String, Json>>,
    /// The flag as flagd sends it. It tells all fields above but whether there is a rule: `{}` is also
    /// what a reference to an empty object is written as, and that is one.
    pub(crate) text: Box<str>,
}

/// The metadata of a flag set: as flagd sends it, which may hold nulls, and without them.
#[derive(Default)]
pub(crate) struct Metadata {
    whole: Map<String, Json>,
    pub(crate) present: Arc<Map<String, Json>>,
}

impl Metadata {
    pub(crate) fn new(whole: Map<String, Json>) -> Self {
        let present = Arc::new(without_nulls(whole.clone()));
        Self { whole, present }
    }

    /// A flag's own metadata, with the flag set's under them.
    fn under(&self, mut own: Map<String, Json>) -> Map<String, Json> {
        for (name, value) in &self.whole {
            if !own.contains_key(name) {
                own.insert(name.clone(), value.clone());
            }
        }
        own
    }
}

/// All that is wrong with a flag, and its key where it has one of its own.
pub(crate) struct Broken {
    pub(crate) key: Option<String>,
    pub(crate) faults: Vec<Fault>,
}

pub(crate) struct Fault {
    /// The field as it is written.
    pub(crate) field: Option<String>,
    pub(crate) message: String,
}

/// The fields of a flag as they are written.
#[derive(Default)]
struct Fields {
    key: String,
    state: String,
    default_variant: String,
    /// The names of these two as they are written.
    default_variant_name: String,
    targeting_name: String,
    variants: Option<Map<String, Json>>,
    targeting: Option<Json>,
    metadata: Map<String, Json>,
    /// Whether the rule is written as `{}`, which is none; a reference to an empty object is one.
    no_rule: bool,
}

impl Flag {
    /// A flag and its key, which only flags in a list have.
    pub(crate) fn parse(
        json: Json,
        set: &Metadata,
        evaluators: &Evaluators,
    ) -> Result<(String, Self), Broken> {
        let (mut fields, mut faults) = Fields::parse(json, evaluators)?;
        let mut fault =
            |field: &str, message| faults.push(Fault { field: Some(field.to_owned()), message });
        let own = mem::take(&mut fields.metadata);
        let metadata = (!own.is_empty()).then(|| set.under(own));
        let text = fields.text(metadata.as_ref().unwrap_or(&set.whole));
        // Copied out of the JSON, not moved: parts that stay among parts that are freed would leave
        // the heap in pieces, and each later load slower.
        let rule = fields.targeting.as_ref().filter(|_| !fields.no_rule);
        let targeting = rule.map(compile::compile).transpose().unwrap_or_else(|TooDeep| {
            fault(&fields.targeting_name, "`targeting` is nested too deeply".to_owned());
            None
        });
        let default = &*fields.default_variant;
        if !default.is_empty() && fields.variants.as_ref().is_none_or(|v| !v.contains_key(default))
        {
            let message = format!("the default variant `{default}` is not among its variants");
            fault(&fields.default_variant_name, message);
        }
        if !faults.is_empty() {
            return Err(Broken { key: Some(fields.key), faults });
        }
        let metadata = metadata.map(|fields| Arc::new(without_nulls(fields)));
        let variants = fields.variants.unwrap_or_default().into_iter();
        let flag = Self {
            disabled: fields.state == "DISABLED",
            variants: variants.map(|(name, value)| (name.into(), value)).collect(),
            default_variant: (!default.is_empty()).then(|| default.into()),
            targeting,
            metadata: metadata.unwrap_or_else(|| set.present.clone()),
            text: text.into(),
        };
        Ok((fields.key, flag))
    }
}

impl Fields {
    /// The fields, and what is wrong with them.
    fn parse(json: Json, evaluators: &Evaluators) -> Result<(Self, Vec<Fault>), Broken> {
        let refused = |message: &str| {
            let message = message.to_owned();
            Broken { key: None, faults: vec![Fault { field: None, message }] }
        };
        let referred = evaluators.referred(&json).map_err(|TooLarge| refused(TooLarge::MESSAGE))?;
        let nothing_shared = Evaluators::default();
        let evaluators = if referred.is_some() { &nothing_shared } else { evaluators };
        let entries = match referred.unwrap_or(json) {
            Json::Object(entries) => entries,
            Json::Null => Map::new(),
            _ => return Err(refused("expected an object")),
        };
        let (mut fields, mut faults) = (Self::default(), Vec::new());
        for (name, value) in sorted(entries) {
            let no_rule = value.as_object().is_some_and(Map::is_empty);
            let Ok(value) = evaluators.expanded(value) else {
                let message = format!("`{name}`: {}", TooLarge::MESSAGE);
                faults.push(Fault { field: Some(name), message });
                continue;
            };
            let mut expected = None;
            match (&*folded(&name), value) {
                ("targeting", rule) => {
                    (fields.targeting, fields.no_rule) = (Some(rule), no_rule);
                    fields.targeting_name.clone_from(&name);
                }
                ("defaultvariant", Json::String(text)) => {
                    fields.default_variant = text;
                    fields.default_variant_name.clone_from(&name);
                }
                ("key", Json::String(text)) => fields.key = text,
                ("state", Json::String(text)) => fields.state = text,
                ("variants", Json::Null) => fields.variants = None,
                ("metadata", Json::Null) => fields.metadata.clear(),
                ("variants", Json::Object(variants)) => {
                    fields.variants.get_or_insert_default().extend(variants);
                }
                ("metadata", Json::Object(metadata)) => fields.metadata.extend(metadata),
                (_, Json::Null) | ("source", Json::String(_)) => {}
                ("key" | "state" | "source" | "defaultvariant", _) => expected = Some("a string"),
                ("variants" | "metadata", _) => expected = Some("an object"),
                _ => {}
            }
            if let Some(expected) = expected {
                let message = format!("`{name}` must be {expected}");
                faults.push(Fault { field: Some(name), message });
            }
        }
        fields.variants.iter_mut().flat_map(Map::values_mut).for_each(json_text::normalize);
        fields.metadata.values_mut().for_each(json_text::normalize);
        Ok((fields, faults))
    }

    /// The flag as flagd sends it.
    fn text(&self, metadata: &Map<String, Json>) -> String {
        let mut text = String::with_capacity(USUAL_TEXT);
        text.push_str(r#"{"state":"#);
        json_text::write_text(&self.state, &mut text);
        text.push_str(r#","defaultVariant":"#);
        json_text::write_text(&self.default_variant, &mut text);
        text.push_str(r#","variants":"#);
        match &self.variants {
            Some(variants) => json_text::write_object(variants, &mut text),
            None => text.push_str("null"),
        }
        if let Some(rule) = &self.targeting {
            text.push_str(r#","targeting":"#);
            json_text::write(rule, &mut text);
        }
        if !metadata.is_empty() {
            text.push_str(r#","metadata":"#);
            json_text::write_object(metadata, &mut text);
        }
        text.push('}');
        text
    }
}

fn without_nulls(mut fields: Map<String, Json>) -> Map<String, Json> {
    fields.retain(|_, value| !value.is_null());
    fields
}

/// The fields in the order of their names: of two that differ in case only, the later counts.
fn sorted(fields: Map<String, Json>) -> Vec<(String, Json)> {
    let mut fields: Vec<_> = fields.into_iter().collect();
    fields.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    fields
}
