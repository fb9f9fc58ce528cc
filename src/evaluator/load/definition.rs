//! From the text of a flag definition to its flags and metadata.
//!
//! A definition has three sections that matter, in any order:
//!
//! ```json
//! {
//!   "$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@corp.example"]}},
//!   "metadata": {"flagSetId": "shop"},
//!   "flags": {"f": {"state": "ENABLED", "targeting": {"if": [{"$ref": "staff"}, "on"]}}}
//! }
//! ```
//!
//! A flag can only be parsed when the shared rules and the metadata of the set
//! are known, which may follow it in the text. So the top level is read as parts
//! of the text first, and each part is parsed when it is needed, one flag after
//! the other. A tree of the whole definition would take several times the memory
//! of its text.
//!
//! As in flagd, names of sections are compared without regard to case, so that a
//! section may occur more than once even if no name does. Which one counts
//! differs from section to section, and is flagd's choice; the methods below say
//! it. What does not count in the end must still be JSON: a definition is never
//! accepted only because a broken part of it is unused.
//!
//! Problems are collected as [findings](Finding), so that one run reports them
//! all. A syntax error ends the run.

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
    flag::{Broken, Fault, Flag, Metadata},
    references::{Evaluators, TooLarge},
    text::folded,
    tree::Step,
};
use crate::evaluator::{by_name::ByName, diagnostic::DefinitionError, json_text};

/// The names and values of a JSON object in the order of the text, each as a part
/// of the text.
///
/// `serde_json`'s maps would keep only one of two entries with the same name, and
/// would parse the values.
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

/// The state of reading one definition.
struct Reader<'t> {
    /// The whole text, of which all parts are slices.
    text: &'t str,
    /// The flag set that all flags must belong to, if one is given.
    flag_set: Option<&'t str>,
    /// The shared rules. Complete before the first flag is parsed.
    evaluators: Evaluators,
    /// The metadata of the set. Complete before the first flag is parsed.
    metadata: Metadata,
    /// What the definition contains so far. Discarded if there are findings.
    contents: Contents,
    /// All that is wrong so far.
    findings: Vec<Finding>,
}

/// What a valid definition contains.
#[derive(Default)]
pub(crate) struct Contents {
    /// The flags by key.
    pub(crate) flags: ByName<Arc<Flag>>,
    /// The metadata of the set, without nulls.
    pub(crate) metadata: Arc<Map<String, Json>>,
}

/// Reads a definition in JSON.
///
/// Returns the flags, or all that is wrong with them, whose places the caller
/// looks up. If a flag set is given, its id becomes the `flagSetId` of the
/// metadata, and a definition or flag with another id is invalid.
///
/// # Errors
///
/// When the text is not JSON, or is nested too deeply.
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
    /// Reads the sections, and then the flags.
    ///
    /// Of `flags`, the section whose name sorts last counts; of two with the same
    /// name, the later one.
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

    /// Parses a part of the text. An error has its place in the whole text.
    fn part<T: Deserialize<'t>>(&self, part: &'t RawValue) -> Result<T, DefinitionError> {
        serde_json::from_str(part.get())
            .map_err(|error| DefinitionError::in_part(&error, self.text, part.get()))
    }

    /// Adds a problem that does not belong to a flag.
    fn problem(&mut self, path: Vec<Step>, message: &str) {
        self.findings.push(Finding { flag: None, message: message.to_owned(), path });
    }

    /// Reads a section `$evaluators` into `rules`, which hold the rules by name,
    /// each with the name of its section.
    ///
    /// Of two rules with the same name the later one counts. `None` is a rule
    /// that is empty, which is a problem only if no later one takes its place. A
    /// section that is null removes the rules before it.
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
            // flagd measures the text: anything as short as `{}` counts as empty, such as `1`.
            let empty = rule.get().len() < 3;
            let rule = self.part(rule)?;
            rules.insert(self.part(name)?, (title.to_owned(), (!empty).then_some(rule)));
        }
        Ok(())
    }

    /// Merges the sections `metadata` in the order of their names. Of those with
    /// the same name only the last counts, those that differ in case add up, and
    /// a null removes what came before.
    ///
    /// References in it are replaced, too. The shared rules must be complete.
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

    /// Reads the section `flags`: an object, an array of flags with a `key`, or
    /// null.
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
                    // If a key occurs twice, the later flag counts, but the text of both must be JSON.
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

    /// Adds a flag, or its faults to the findings.
    ///
    /// `key` is `None` for a flag in an array, which has its own. A flag whose
    /// key or `flagSetId` is empty is left out, and of two with the same key the
    /// later one stays. `path` is called only where something is wrong.
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

/// The message for a `flagSetId` that is not the given one.
fn of_another_set(other: &Json, id: &str) -> String {
    format!("`{FLAG_SET_ID}` is {other}, but the flags are those of the flag set \"{id}\"")
}

/// The path through these names.
fn path<const N: usize>(names: [&str; N]) -> Vec<Step> {
    names.map(|name| Step::Name(name.to_owned())).into()
}

/// Whether a part of the text, which is known to be JSON, is an object.
fn is_object(part: &RawValue) -> bool {
    part.get().starts_with('{')
}
