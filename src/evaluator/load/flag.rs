//! A flag of a definition, checked, and its rule compiled.
//!
//! [`Flag::parse`] takes one flag as JSON and does all work that does not depend
//! on a context: it replaces references to shared rules, checks the types of the
//! fields, merges the metadata of the set under the flag's, compiles the rule,
//! and writes the text that flagd would send to other providers. An evaluation
//! then only reads.
//!
//! Where flagd's JSON library has its own ways, they are kept, because a
//! definition that flagd loads must load here with the same meaning:
//!
//! - Names of fields are compared without regard to case. Fields are read in the
//!   order of their names, which for two that differ in case only means that the
//!   later one counts: `targeting` beats `Targeting`. For `variants` and
//!   `metadata`, which are objects, the entries add up.
//! - Null leaves a string as it is, empties an object, and for `targeting` is a
//!   rule that returns null.
//! - Unknown fields are ignored.
//!
//! ```text
//! {"state": "ENABLED", "defaultVariant": "off",
//!  "variants": {"on": true, "off": false}, "targeting": {"if": [{"$ref": "r"}, "on"]}}
//!
//! disabled: false      variants: on -> true, off -> false      default_variant: off
//! targeting: the compiled rule      metadata: the set's
//! text: {"state":"ENABLED","defaultVariant":"off","variants":{"off":false,"on":true},
//!        "targeting":{"if":[{"==":[..]},"on"]},"metadata":{..}}
//! ```

use std::{mem, sync::Arc};

use serde_json::{Map, Value as Json};

use super::{
    references::{Evaluators, TooLarge},
    text::folded,
};
use crate::evaluator::{
    by_name::ByName,
    json_text,
    rule::{
        compile::{self, TooDeep},
        node::Rule,
    },
};

/// The capacity, in bytes, with which the text of a flag begins. Most are
/// shorter.
const USUAL_TEXT: usize = 512;

/// A flag, ready to be evaluated.
///
/// It does not know its key, which is that of the map that holds it.
#[derive(Debug, Default)]
pub(crate) struct Flag {
    /// Whether the state is `DISABLED`. Any other state counts as enabled.
    pub(crate) disabled: bool,
    /// The values by the names of their variants, with numbers
    /// [normalized](json_text::normalize).
    pub(crate) variants: ByName<Json>,
    /// The default variant, which is one of `variants`. `None` if it is absent,
    /// null or the empty string.
    pub(crate) default_variant: Option<Box<str>>,
    /// The rule. `None` if it is absent or written as `{}`: the reason is then
    /// `STATIC`.
    pub(crate) targeting: Option<Rule>,
    /// The metadata of the flag set with that of the flag over it, without nulls.
    /// Flags without metadata of their own share that of the set.
    pub(crate) metadata: Arc<Map<String, Json>>,
    /// The flag as flagd sends it. It determines all other fields, except whether
    /// there is a rule: `{}` also stands for a reference to an empty object,
    /// which is a rule.
    pub(crate) text: Box<str>,
}

/// The metadata of a flag set in two forms: with the nulls, as flagd sends it to
/// other providers, and without them, as results contain it.
#[derive(Default)]
pub(crate) struct Metadata {
    /// With nulls.
    whole: Map<String, Json>,
    /// Without nulls.
    pub(crate) present: Arc<Map<String, Json>>,
}

impl Metadata {
    /// Keeps the fields, and a copy of them without those that are null.
    pub(crate) fn new(whole: Map<String, Json>) -> Self {
        let present = Arc::new(without_nulls(whole.clone()));
        Self { whole, present }
    }

    /// Adds to the metadata of a flag what only the flag set has. Nulls of the
    /// flag stay, and hide the field of the set.
    fn under(&self, mut own: Map<String, Json>) -> Map<String, Json> {
        for (name, value) in &self.whole {
            if !own.contains_key(name) {
                own.insert(name.clone(), value.clone());
            }
        }
        own
    }
}

/// All that is wrong with a flag.
pub(crate) struct Broken {
    /// The field `key`, by which flags in an array are named. Empty or `None` if
    /// there is none.
    pub(crate) key: Option<String>,
    /// What is wrong; never empty.
    pub(crate) faults: Vec<Fault>,
}

/// One thing that is wrong with a flag.
pub(crate) struct Fault {
    /// The name of the field as it is written, by which its place is found.
    /// `None` if it is the flag as a whole.
    pub(crate) field: Option<String>,
    /// What is wrong, without the place.
    pub(crate) message: String,
}

/// The fields of a flag as they are written, with references replaced.
#[derive(Default)]
struct Fields {
    key: String,
    state: String,
    default_variant: String,
    /// The names of the fields for the default variant and the rule as they are
    /// written, which may differ in case: the place of a fault is looked up by
    /// them.
    default_variant_name: String,
    targeting_name: String,
    /// `None` is sent as null, and an empty object as `{}`.
    variants: Option<Map<String, Json>>,
    targeting: Option<Json>,
    metadata: Map<String, Json>,
    /// Whether the rule is written as `{}`, which is not a rule. A reference to
    /// an empty object is one, although it is the same once the reference is
    /// replaced.
    no_rule: bool,
}

impl Flag {
    /// Checks and compiles a flag.
    ///
    /// It also returns the field `key`, which is empty for flags in an object:
    /// these are named by their place.
    ///
    /// # Errors
    ///
    /// When the flag is invalid, with all faults and not only the first, so that
    /// the author of the definition sees them at once.
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
        // The rule is compiled from a copy. Moving its parts out of the JSON would leave a few
        // small allocations alive among many that are freed: the heap would fragment, and later
        // loads would become slower.
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
    /// Reads the fields, and returns them with the faults found on the way.
    ///
    /// A flag that is itself a reference is replaced by the shared rule.
    /// References within that rule stay, because those within a shared rule are
    /// never replaced.
    ///
    /// # Errors
    ///
    /// When the flag is not an object, or a reference makes the definition too
    /// large: its fields are then not known.
    fn parse(json: Json, evaluators: &Evaluators) -> Result<(Self, Vec<Fault>), Broken> {
        let rejected = |message: &str| {
            let message = message.to_owned();
            Broken { key: None, faults: vec![Fault { field: None, message }] }
        };
        let referred =
            evaluators.referred(&json).map_err(|TooLarge| rejected(TooLarge::MESSAGE))?;
        let nothing_shared = Evaluators::default();
        let evaluators = if referred.is_some() { &nothing_shared } else { evaluators };
        let entries = match referred.unwrap_or(json) {
            Json::Object(entries) => entries,
            Json::Null => Map::new(),
            _ => return Err(rejected("expected an object")),
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

    /// Writes the flag as flagd sends it to other providers: fields in a fixed
    /// order, `targeting` and `metadata` only if there are any.
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

/// Removes the fields that are null. Nulls deeper within stay.
fn without_nulls(mut fields: Map<String, Json>) -> Map<String, Json> {
    fields.retain(|_, value| !value.is_null());
    fields
}

/// The fields in the order of their names, in which a later one overrides an
/// earlier one that differs in case only.
fn sorted(fields: Map<String, Json>) -> Vec<(String, Json)> {
    let mut fields: Vec<_> = fields.into_iter().collect();
    fields.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    fields
}
