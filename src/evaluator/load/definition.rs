//! From the text of a flag definition to its flags.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use foldhash::fast::RandomState;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value as Json, value::RawValue};

use super::{
    finding::Finding,
    references::{Evaluators, TooLarge},
    text::folded,
    tree::Step,
};
use crate::evaluator::{
    by_name::ByName,
    diagnostic::DefinitionError,
    flag::{Broken, Fault, Flag, Metadata},
    json_text,
};

/// The names and values of a JSON object in their order, each as a part of the text.
struct Entries<'t>(Vec<(&'t RawValue, &'t RawValue)>);

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
    /// The flag set that all flags must belong to, if any.
    flag_set: Option<&'t str>,
    evaluators: Evaluators,
    metadata: Metadata,
    contents: Contents,
    findings: Vec<Finding>,
}

/// What a definition holds.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) flags: ByName<Arc<Flag>>,
    pub(crate) metadata: Arc<Map<String, Json>>,
}

/// Reads a definition in JSON: gives the flags, or all that is wrong with them. With a flag set, its
/// id becomes the `flagSetId` of the metadata.
pub(crate) fn read(
    text: &str,
    flag_set: Option<&str>,
) -> Result<Result<Contents, Vec<Finding>>, DefinitionError> {
    let mut reader = Reader {
        text,
        flag_set,
        evaluators: Evaluators::new(text.len()),
        metadata: Metadata::default(),
        contents: Contents::default(),
        findings: Vec::new(),
    };
    reader.definition()?;
    Ok(if reader.findings.is_empty() { Ok(reader.contents) } else { Err(reader.findings) })
}

impl<'t> Reader<'t> {
    fn definition(&mut self) -> Result<(), DefinitionError> {
        if !self.text.trim_ascii_start().starts_with('{') {
            self.whole::<IgnoredAny>()?;
            self.problem(Vec::new(), "expected an object");
            return Ok(());
        }
        let (mut flags, mut metadata, mut rules) = (None, Vec::new(), BTreeMap::new());
        for (name, value) in self.whole::<Entries<'_>>()?.0 {
            let name = self.part::<String>(name)?;
            match &*folded(&name) {
                "flags" => {
                    let unused = match &flags {
                        Some((former, _)) if *former > name => Some(value),
                        _ => flags.replace((name, value)).map(|(_, former)| former),
                    };
                    unused.map(|unused| self.part::<Json>(unused)).transpose()?;
                }
                "metadata" => metadata.push((name, value)),
                "$evaluators" => self.section(&name, value, &mut rules)?,
                _ => drop(self.part::<Json>(value)?),
            }
        }
        for (name, (title, rule)) in rules {
            if let Some(rule) = rule {
                self.evaluators.add(name, rule);
            } else {
                let message = format!("the evaluator `{name}` is empty");
                self.problem(path([&title, &name]), &message);
            }
        }
        self.set_metadata(metadata)?;
        let Some((name, flags)) = flags else {
            self.problem(Vec::new(), "`flags` is missing");
            return Ok(());
        };
        self.flags(&name, flags)
    }

    /// Parses the text.
    fn whole<T: Deserialize<'t>>(&self) -> Result<T, DefinitionError> {
        serde_json::from_str(self.text).map_err(|error| DefinitionError::in_text(&error, self.text))
    }

    /// Parses a part of the text.
    fn part<T: Deserialize<'t>>(&self, part: &'t RawValue) -> Result<T, DefinitionError> {
        serde_json::from_str(part.get())
            .map_err(|error| DefinitionError::in_part(&error, self.text, part.get()))
    }

    fn problem(&mut self, path: Vec<Step>, message: &str) {
        self.findings.push(Finding { flag: None, message: message.to_owned(), path });
    }

    /// A section of rules that others refer to, by their names, with the name of the section: of two
    /// with one name the later counts. An empty rule is none.
    fn section(
        &mut self,
        title: &str,
        section: &'t RawValue,
        rules: &mut BTreeMap<String, (String, Option<Json>)>,
    ) -> Result<(), DefinitionError> {
        if section.get() == "null" {
            rules.clear();
            return Ok(());
        }
        if !is_object(section) {
            self.problem(path([title]), "`$evaluators` must be an object");
            return Ok(());
        }
        for (name, rule) in self.part::<Entries<'_>>(section)?.0 {
            // flagd takes any text so short for an empty object.
            let empty = rule.get().len() < 3;
            let rule = self.part(rule)?;
            rules.insert(self.part(name)?, (title.to_owned(), (!empty).then_some(rule)));
        }
        Ok(())
    }

    fn set_metadata(
        &mut self,
        mut sections: Vec<(String, &'t RawValue)>,
    ) -> Result<(), DefinitionError> {
        sections.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut metadata = Map::new();
        for (index, (name, section)) in sections.iter().enumerate() {
            let section = self.part(section)?;
            // Of two with one name the later counts; those that differ in case add up.
            if sections.get(index + 1).is_some_and(|(next, _)| next == name) {
                continue;
            }
            match self.evaluators.expanded(section) {
                Ok(Json::Object(fields)) => metadata.extend(fields),
                Ok(Json::Null) => metadata.clear(),
                Err(TooLarge) => self.problem(path([name]), TooLarge::MESSAGE),
                Ok(_) => self.problem(path([name]), "`metadata` must be an object"),
            }
        }
        if let Some(id) = self.flag_set {
            match metadata.insert(FLAG_SET_ID.to_owned(), id.into()) {
                Some(other) if other != id => {
                    let title = sections.last().map_or("", |(title, _)| title);
                    self.problem(path([title, FLAG_SET_ID]), &of_another_set(&other, id));
                }
                _ => {}
            }
        }
        metadata.values_mut().for_each(json_text::normalize);
        self.metadata = Metadata::new(metadata);
        self.contents.metadata = self.metadata.present.clone();
        Ok(())
    }

    fn flags(&mut self, title: &str, flags: &'t RawValue) -> Result<(), DefinitionError> {
        match flags.get() {
            _ if is_object(flags) => {
                let entries = self.part::<Entries<'_>>(flags)?.0;
                let keys = entries.iter().map(|(key, _)| self.part(key));
                let keys = keys.collect::<Result<Vec<String>, _>>()?;
                let last: HashMap<&str, usize, RandomState> =
                    keys.iter().map(String::as_str).zip(0..).collect();
                self.contents.flags.reserve(last.len());
                for (index, (key, (_, flag))) in keys.iter().zip(entries).enumerate() {
                    // Of two with one key the later counts, but the text of both must be JSON.
                    if last.get(&**key) == Some(&index) {
                        self.flag(Some(key), flag, || path([title, key]))?;
                    } else {
                        self.part::<Json>(flag)?;
                    }
                }
            }
            list if list.starts_with('[') => {
                let flags = self.part::<Vec<&RawValue>>(flags)?;
                for (index, flag) in flags.into_iter().enumerate() {
                    let path = || vec![Step::Name(title.to_owned()), Step::Index(index)];
                    self.flag(None, flag, path)?;
                }
            }
            "null" => {}
            _ => self.problem(path([title]), "`flags` must be an object or an array"),
        }
        Ok(())
    }

    /// Adds a flag; one whose key or `flagSetId` is empty is left out, and of two with one key the
    /// later stays.
    fn flag(
        &mut self,
        key: Option<&str>,
        flag: &'t RawValue,
        path: impl Fn() -> Vec<Step>,
    ) -> Result<(), DefinitionError> {
        match Flag::parse(self.part(flag)?, &self.metadata, &self.evaluators) {
            Ok((own_key, flag)) => {
                let key = key.unwrap_or(&own_key);
                let flag_set = flag.metadata.get(FLAG_SET_ID);
                match (flag_set, self.flag_set) {
                    (Some(other), Some(id)) if other != id => self.findings.push(Finding {
                        flag: Some(key.to_owned()),
                        message: of_another_set(other, id),
                        path: path(),
                    }),
                    _ => {}
                }
                let of_no_set = flag_set.and_then(Json::as_str) == Some("");
                if !key.is_empty() && !of_no_set {
                    self.contents.flags.insert(key.into(), Arc::new(flag));
                }
            }
            Err(Broken { key: own_key, faults }) => {
                let flag = key.map(str::to_owned).or(own_key);
                self.findings.extend(faults.into_iter().map(|Fault { field, message }| {
                    let path = path().into_iter().chain(field.map(Step::Name)).collect();
                    Finding { flag: flag.clone(), message, path }
                }));
            }
        }
        Ok(())
    }
}

/// The field of the metadata that names the flag set.
const FLAG_SET_ID: &str = "flagSetId";

fn of_another_set(other: &Json, id: &str) -> String {
    format!("`{FLAG_SET_ID}` is {other}, but the flags are those of the flag set \"{id}\"")
}

fn path<const N: usize>(names: [&str; N]) -> Vec<Step> {
    names.map(|name| Step::Name(name.to_owned())).into()
}

fn is_object(part: &RawValue) -> bool {
    part.get().starts_with('{')
}
