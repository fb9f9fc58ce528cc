//! From the text of a flag definition to its flags.

use std::{collections::HashMap, fmt, sync::Arc};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value as Json, value::RawValue};

use super::{
    compile::{self, Rule},
    flag_set::FlagSet,
    json_text,
    problem::{DefinitionError, Finding},
    references::Evaluators,
    tree::Step,
};

/// What is looked up in every evaluation.
pub(super) type ByName<V> = HashMap<Box<str>, V, foldhash::fast::RandomState>;

/// A flag.
#[derive(Debug, Default)]
pub(super) struct Flag {
    pub(super) disabled: bool,
    pub(super) variants: ByName<Json>,
    pub(super) default_variant: Option<Box<str>>,
    pub(super) targeting: Option<Rule>,
    /// The flag set's, with the flag's own over it.
    pub(super) metadata: Arc<Map<String, Json>>,
    /// The flag as flagd sends it: two flags are the same if and only if these texts are.
    pub(super) text: Box<str>,
}

/// The metadata of a flag set: as flagd sends it, which may hold nulls, and without them.
#[derive(Default)]
struct Metadata {
    whole: Map<String, Json>,
    present: Arc<Map<String, Json>>,
}

impl Metadata {
    fn new(whole: Map<String, Json>) -> Self {
        let present = Arc::new(without_nulls(&whole));
        Self { whole, present }
    }
}

/// The names and values of a JSON object in their order, each as a part of the text.
pub(super) struct Entries<'t>(pub(super) Vec<(&'t RawValue, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Entries<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(&'de RawValue, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(map.size_hint().unwrap_or_default());
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Collect).map(Self)
    }
}

/// What of a definition is read so far.
struct Reader<'t> {
    text: &'t str,
    evaluators: Evaluators,
    metadata: Metadata,
    set: FlagSet,
    findings: Vec<Finding>,
}

/// Reads a definition in JSON: gives the flags, or all that is wrong with them.
pub(super) fn read(text: &str) -> Result<Result<FlagSet, Vec<Finding>>, DefinitionError> {
    let whole: &RawValue = serde_json::from_str(text)?;
    let mut reader = Reader {
        text,
        evaluators: Evaluators::default(),
        metadata: Metadata::default(),
        set: FlagSet::default(),
        findings: Vec::new(),
    };
    reader.definition(whole)?;
    Ok(if reader.findings.is_empty() { Ok(reader.set) } else { Err(reader.findings) })
}

impl<'t> Reader<'t> {
    fn definition(&mut self, whole: &'t RawValue) -> Result<(), DefinitionError> {
        if !is_object(whole) {
            self.problem(Vec::new(), "an object was expected");
            return Ok(());
        }
        let (mut flags, mut metadata) = (None, Vec::new());
        for (name, value) in self.part::<Entries<'_>>(whole)?.0 {
            let name = self.part::<String>(name)?;
            match &*folded(&name) {
                "flags" => match &flags {
                    Some((former, _)) if *former > name => drop(self.part::<Json>(value)?),
                    _ => flags = Some((name, value)),
                },
                "metadata" => metadata.push((name, value)),
                "$evaluators" => self.section(&name, value)?,
                _ => drop(self.part::<Json>(value)?),
            }
        }
        self.set_metadata(metadata)?;
        match flags {
            Some((name, flags)) => self.flags(&name, flags),
            None => {
                self.problem(Vec::new(), "`flags` is missing");
                Ok(())
            }
        }
    }

    /// Parses a part of the text.
    fn part<T: Deserialize<'t>>(&self, part: &'t RawValue) -> Result<T, DefinitionError> {
        serde_json::from_str(part.get())
            .map_err(|error| DefinitionError::in_part(&error, self.text, part))
    }

    fn problem(&mut self, path: Vec<Step>, message: &str) {
        self.findings.push(Finding { flag: None, message: message.to_owned(), path });
    }

    /// A section of rules that others refer to.
    fn section(&mut self, title: &str, section: &'t RawValue) -> Result<(), DefinitionError> {
        if section.get() == "null" {
            self.evaluators = Evaluators::default();
            return Ok(());
        }
        if !is_object(section) {
            self.problem(path([title]), "`$evaluators` must be an object");
            return Ok(());
        }
        for (name, rule) in self.part::<Entries<'_>>(section)?.0 {
            let name: String = self.part(name)?;
            // flagd takes any text so short for an empty object.
            if rule.get().len() < 3 {
                self.problem(path([title, &name]), &format!("the evaluator `{name}` is empty"));
                continue;
            }
            let rule = self.part(rule)?;
            self.evaluators.add(name, rule);
        }
        Ok(())
    }

    fn set_metadata(
        &mut self,
        mut sections: Vec<(String, &'t RawValue)>,
    ) -> Result<(), DefinitionError> {
        sections.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut metadata = Map::new();
        for (name, section) in sections {
            match self.evaluators.expanded(self.part(section)?) {
                Json::Object(fields) => metadata.extend(fields),
                Json::Null => metadata.clear(),
                _ => self.problem(path([&name]), "`metadata` must be an object"),
            }
        }
        metadata.values_mut().for_each(json_text::normalize);
        self.metadata = Metadata::new(metadata);
        self.set.metadata = self.metadata.present.clone();
        Ok(())
    }

    fn flags(&mut self, title: &str, flags: &'t RawValue) -> Result<(), DefinitionError> {
        match flags.get() {
            _ if is_object(flags) => {
                let entries = self.part::<Entries<'_>>(flags)?.0;
                let keys = entries.iter().map(|(key, _)| self.part(key));
                let keys = keys.collect::<Result<Vec<String>, _>>()?;
                let last: HashMap<_, _> = keys.iter().cloned().zip(0..).collect();
                self.set.flags.reserve(last.len());
                for (index, (key, (_, flag))) in keys.into_iter().zip(entries).enumerate() {
                    // Of two with one key the later counts, but the text of both must be JSON.
                    if last.get(&key) == Some(&index) {
                        let path = path([title, &key]);
                        self.flag(Some(key), flag, path)?;
                    } else {
                        self.part::<Json>(flag)?;
                    }
                }
            }
            list if list.starts_with('[') => {
                let flags = self.part::<Vec<&RawValue>>(flags)?;
                for (index, flag) in flags.into_iter().enumerate() {
                    let path = vec![Step::Name(title.to_owned()), Step::Index(index)];
                    self.flag(None, flag, path)?;
                }
            }
            "null" => {}
            _ => self.problem(path([title]), "`flags` must be an object or a list"),
        }
        Ok(())
    }

    /// Adds a flag; one without a key is left out, and of two with one key the later stays.
    fn flag(
        &mut self,
        key: Option<String>,
        flag: &'t RawValue,
        path: Vec<Step>,
    ) -> Result<(), DefinitionError> {
        match Flag::parse(self.part(flag)?, &self.metadata, &self.evaluators) {
            Ok((own_key, flag)) => {
                let key = key.unwrap_or(own_key);
                if !key.is_empty() {
                    self.set.flags.insert(key.into(), Arc::new(flag));
                }
            }
            Err(Broken { key: own_key, faults }) => {
                let flag = key.or(own_key);
                self.findings.extend(faults.into_iter().map(|Fault { field, message }| {
                    let path = path.iter().cloned().chain(field.map(Step::Name)).collect();
                    Finding { flag: flag.clone(), message, path }
                }));
            }
        }
        Ok(())
    }
}

fn path<const N: usize>(names: [&str; N]) -> Vec<Step> {
    names.map(|name| Step::Name(name.to_owned())).into()
}

/// All that is wrong with a flag, and its key where it has one of its own.
struct Broken {
    key: Option<String>,
    faults: Vec<Fault>,
}

struct Fault {
    /// The field as it is written.
    field: Option<String>,
    message: String,
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
    fn parse(
        json: Json,
        set: &Metadata,
        evaluators: &Evaluators,
    ) -> Result<(String, Self), Broken> {
        let (fields, mut faults) = Fields::parse(json, evaluators)?;
        let mut fault =
            |field: &str, message| faults.push(Fault { field: Some(field.to_owned()), message });
        let mut targeting = None;
        if let Some(rule) = fields.targeting.as_ref().filter(|_| !fields.no_rule) {
            match compile::compile(rule) {
                Ok(rule) => targeting = Some(rule),
                Err(_) => {
                    fault(&fields.targeting_name, "`targeting` is nested too deeply".to_owned());
                }
            }
        }
        let default = &*fields.default_variant;
        if !default.is_empty() && fields.variants.as_ref().is_none_or(|v| !v.contains_key(default))
        {
            let message = format!("the default variant `{default}` is not among its variants");
            fault(&fields.default_variant_name, message);
        }
        if !faults.is_empty() {
            return Err(Broken { key: Some(fields.key), faults });
        }
        let (text, metadata) = fields.text_and_metadata(set);
        let variants = fields.variants.unwrap_or_default().into_iter();
        let flag = Self {
            disabled: fields.state == "DISABLED",
            variants: variants.map(|(name, value)| (name.into(), value)).collect(),
            default_variant: (!default.is_empty()).then(|| default.into()),
            targeting,
            metadata,
            text: text.into(),
        };
        Ok((fields.key, flag))
    }
}

impl Fields {
    /// The fields, and what is wrong with them.
    fn parse(json: Json, evaluators: &Evaluators) -> Result<(Self, Vec<Fault>), Broken> {
        let referred = evaluators.get(&json);
        let nothing_shared = Evaluators::default();
        let evaluators = if referred.is_some() { &nothing_shared } else { evaluators };
        let entries = match referred.cloned().unwrap_or(json) {
            Json::Object(entries) => entries,
            Json::Null => Map::new(),
            _ => {
                let message = "an object was expected".to_owned();
                return Err(Broken { key: None, faults: vec![Fault { field: None, message }] });
            }
        };
        let (mut fields, mut faults) = (Self::default(), Vec::new());
        for (name, value) in sorted(entries) {
            let no_rule = value.as_object().is_some_and(Map::is_empty);
            let mut expected = None;
            match (&*folded(&name), evaluators.expanded(value)) {
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
                ("key" | "state" | "source" | "defaultvariant", _) => expected = Some("a text"),
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

    /// The flag as flagd sends it, and its metadata with the flag set's under them.
    fn text_and_metadata(&self, set: &Metadata) -> (String, Arc<Map<String, Json>>) {
        let (merged, present);
        let metadata = if self.metadata.is_empty() {
            present = set.present.clone();
            &set.whole
        } else {
            let mut own = set.whole.clone();
            own.extend(self.metadata.clone());
            merged = own;
            present = Arc::new(without_nulls(&merged));
            &merged
        };
        let mut text = String::from(r#"{"state":"#);
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
        (text, present)
    }
}

fn without_nulls(fields: &Map<String, Json>) -> Map<String, Json> {
    let present = fields.iter().filter(|(_, value)| !value.is_null());
    present.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn is_object(part: &RawValue) -> bool {
    part.get().starts_with('{')
}

/// The name of a field without regard to case, since flagd has none.
pub(super) fn folded(name: &str) -> String {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

/// The fields in the order of their names: of two that differ in case only, the later counts.
fn sorted(fields: Map<String, Json>) -> Vec<(String, Json)> {
    let mut fields: Vec<_> = fields.into_iter().collect();
    fields.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    fields
}
