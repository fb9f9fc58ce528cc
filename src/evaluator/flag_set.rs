//! Flag definitions.

use std::{collections::HashMap, fmt};

use serde_json::{Map, Value as Json, value::RawValue};

use super::{
    compile::{self, Node},
    fractional::Bucketing,
    number, value,
};

/// The flags of one definition, checked, and their rules compiled.
///
/// ```
/// use flagstaff::evaluator::{FlagSet, Reason};
/// use serde_json::{Map, json};
///
/// let flags = FlagSet::parse(
///     r#"{"flags": {"new-checkout": {
///         "state": "ENABLED",
///         "variants": {"on": true, "off": false},
///         "defaultVariant": "off",
///         "targeting": {"if": [{"ends_with": [{"var": "email"}, "@corp.example"]}, "on"]}
///     }}}"#,
/// )?;
/// let context = Map::from_iter([("email".to_owned(), json!("jane@corp.example"))]);
/// let outcome = flags.evaluate("new-checkout", &context);
/// assert_eq!(outcome.boolean(), Ok(Some(true)));
/// assert_eq!(outcome.reason, Reason::TargetingMatch);
/// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FlagSet {
    pub(super) flags: HashMap<Box<str>, Flag>,
    pub(super) metadata: Map<String, Json>,
    pub(super) bucketing: Bucketing,
}

/// A flag.
#[derive(Clone, Debug, Default)]
pub(super) struct Flag {
    pub(super) disabled: bool,
    pub(super) variants: HashMap<Box<str>, Json>,
    pub(super) default_variant: Option<Box<str>>,
    pub(super) targeting: Option<Node>,
    /// The flag set's, with the flag's own over it.
    pub(super) metadata: Map<String, Json>,
}

/// Why a definition was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The text is no JSON, or nested too deeply.
    #[error("the flag definition is no JSON: {message}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Where, counted from 1.
        line: usize,
        /// Where in the line, counted from 1.
        column: usize,
    },
    /// Parts of the definition are not what they must be: all of them are named.
    #[error("the flag definition is not valid: {}", Listed(.0))]
    Invalid(Vec<Problem>),
}

/// What is wrong with a part of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The flag, unless it is the definition itself.
    pub flag: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.flag {
            Some(flag) => write!(f, "flag `{flag}`: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

struct Listed<'p>(&'p [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl From<serde_json::Error> for DefinitionError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self::Syntax { message: error.to_string(), line, column }
    }
}

impl FlagSet {
    /// Parses a flag definition in JSON.
    ///
    /// # Errors
    ///
    /// When anything in it is not valid, the definition is refused as a whole.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        let definition: Json = serde_json::from_str(text)?;
        let shared = Shared::parse(text, &definition)?;
        let (mut problems, mut set) = (Vec::new(), Self::default());
        let problem = |message: &str| Problem { flag: None, message: message.to_owned() };
        let Json::Object(fields) = definition else {
            return Err(DefinitionError::Invalid(vec![problem("an object was expected")]));
        };
        let mut flags = None;
        for (name, value) in sorted(fields) {
            match &*folded(&name) {
                "flags" => flags = Some(value),
                "metadata" => match shared.expanded(value) {
                    Json::Object(metadata) => set.metadata.extend(metadata),
                    Json::Null => {}
                    _ => problems.push(problem("`metadata` must be an object")),
                },
                _ => {}
            }
        }
        match flags {
            Some(Json::Object(flags)) => {
                for (key, flag) in flags {
                    set.add(Some(key), flag, &shared, &mut problems);
                }
            }
            Some(Json::Array(flags)) => {
                for flag in flags {
                    set.add(None, flag, &shared, &mut problems);
                }
            }
            Some(Json::Null) => {}
            _ => problems.push(problem("`flags` must be an object or a list")),
        }
        set.metadata.iter_mut().for_each(|(_, value)| normalize(value));
        if problems.is_empty() { Ok(set) } else { Err(DefinitionError::Invalid(problems)) }
    }

    /// Chooses the generation of `fractional`.
    #[must_use]
    pub fn with_bucketing(mut self, bucketing: Bucketing) -> Self {
        self.bucketing = bucketing;
        self
    }

    /// The keys of the flags, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.flags.keys().map(|key| &**key)
    }

    /// The metadata of the flag set.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Json> {
        &self.metadata
    }

    /// Adds a flag; one without a key is left out, and of two with one key the later stays.
    fn add(
        &mut self,
        key: Option<String>,
        json: Json,
        shared: &Shared,
        problems: &mut Vec<Problem>,
    ) {
        let named = key.clone();
        match Flag::parse(json, &self.metadata, shared) {
            Ok((own_key, flag)) => {
                let key = named.unwrap_or(own_key);
                if !key.is_empty() {
                    self.flags.insert(key.into(), flag);
                }
            }
            Err((own_key, messages)) => {
                let flag = key.or(own_key);
                let problem = |message| Problem { flag: flag.clone(), message };
                problems.extend(messages.into_iter().map(problem));
            }
        }
    }
}

impl Flag {
    /// A flag and its key, which only flags in a list have; or all that is wrong with it.
    fn parse(
        json: Json,
        set: &Map<String, Json>,
        shared: &Shared,
    ) -> Result<(String, Self), (Option<String>, Vec<String>)> {
        let referred = shared.get(&json);
        let nothing_shared = Shared::default();
        let shared = if referred.is_some() { &nothing_shared } else { shared };
        let fields = match referred.cloned().unwrap_or(json) {
            Json::Object(fields) => fields,
            Json::Null => Map::new(),
            _ => return Err((None, vec!["an object was expected".to_owned()])),
        };
        let mut flag = Self { metadata: set.clone(), ..Self::default() };
        let (mut key, mut messages) = (String::new(), Vec::new());
        for (name, value) in sorted(fields) {
            let name = folded(&name);
            // Only what is written as `{}` is no rule; a reference to an empty object is one.
            let no_rule = value.as_object().is_some_and(Map::is_empty);
            match (&*name, shared.expanded(value)) {
                (_, Json::Null) if name != "targeting" => {}
                ("key", Json::String(text)) => key = text,
                ("state", Json::String(state)) => flag.disabled = state == "DISABLED",
                ("source", Json::String(_)) => {}
                ("defaultvariant", Json::String(name)) => {
                    flag.default_variant = (!name.is_empty()).then(|| name.into());
                }
                ("variants", Json::Object(variants)) => {
                    flag.variants.extend(variants.into_iter().map(|(name, mut value)| {
                        normalize(&mut value);
                        (name.into(), value)
                    }));
                }
                ("metadata", Json::Object(metadata)) => flag.metadata.extend(metadata),
                ("targeting", _) if no_rule => flag.targeting = None,
                ("targeting", rule) => match compile::compile(&rule) {
                    Ok(node) => flag.targeting = Some(node),
                    Err(_) => messages.push("`targeting` is nested too deeply".to_owned()),
                },
                ("key" | "state" | "source" | "defaultvariant", _) => {
                    messages.push(format!("`{name}` must be a text"));
                }
                ("variants" | "metadata", _) => {
                    messages.push(format!("`{name}` must be an object"));
                }
                _ => {}
            }
        }
        flag.metadata.retain(|_, value| !value.is_null());
        flag.metadata.iter_mut().for_each(|(_, value)| normalize(value));
        if let Some(name) = &flag.default_variant
            && !flag.variants.contains_key(name)
        {
            messages.push(format!("the default variant `{name}` is not among its variants"));
        }
        if messages.is_empty() { Ok((key, flag)) } else { Err((Some(key), messages)) }
    }
}

/// The rules of `$evaluators`, to which others refer by `{"$ref": "name"}`.
#[derive(Default)]
struct Shared(HashMap<String, Json>);

impl Shared {
    fn parse(text: &str, definition: &Json) -> Result<Self, DefinitionError> {
        let is_shared = |name: &str| folded(name) == "$evaluators";
        let Some(fields) = definition.as_object() else { return Ok(Self::default()) };
        if !fields.keys().any(|name| is_shared(name)) {
            return Ok(Self::default());
        }
        let mut rules = HashMap::new();
        let mut problems = Vec::new();
        let mut problem = |message| problems.push(Problem { flag: None, message });
        let sections: HashMap<String, &RawValue> = serde_json::from_str(text)?;
        for (_, section) in sections.into_iter().filter(|(name, _)| is_shared(name)) {
            let section = serde_json::from_str::<Option<HashMap<String, &RawValue>>>(section.get());
            let Ok(section) = section else {
                problem("`$evaluators` must be an object".to_owned());
                continue;
            };
            for (name, rule) in section.unwrap_or_default() {
                // flagd takes any text so short for an empty object.
                if rule.get().len() < 3 {
                    problem(format!("the evaluator `{name}` is empty"));
                    continue;
                }
                rules.insert(name, serde_json::from_str(rule.get())?);
            }
        }
        if problems.is_empty() { Ok(Self(rules)) } else { Err(DefinitionError::Invalid(problems)) }
    }

    /// The rule that `value` refers to. The name is compared as JSON text, as flagd does.
    fn get(&self, value: &Json) -> Option<&Json> {
        let fields = value.as_object().filter(|fields| !self.0.is_empty() && fields.len() == 1)?;
        let name = fields.get("$ref")?.as_str()?;
        if value::is_plain(name) {
            return self.0.get(name);
        }
        let mut text = String::new();
        value::write_text(name, &mut text);
        self.0.get(&text[1..text.len() - 1])
    }

    /// `value` with the rules in the places of references; those inside of a rule stay.
    fn expanded(&self, mut value: Json) -> Json {
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

/// The name of a field without regard to case, since flagd has none.
fn folded(name: &str) -> String {
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

/// Numbers become what a 64-bit float holds, and whole ones integers.
fn normalize(value: &mut Json) {
    match value {
        Json::Number(number) => {
            let float = number.as_f64().unwrap_or_default();
            let whole = number::to_integer(float);
            if float.fract() == 0.0
                && whole != i64::MIN
                && !(float == 0.0 && float.is_sign_negative())
            {
                *value = Json::from(whole);
            } else {
                *value = Json::from(float);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(normalize),
        Json::Object(fields) => fields.iter_mut().for_each(|(_, value)| normalize(value)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match FlagSet::parse(text) {
            Err(DefinitionError::Invalid(problems)) => {
                problems.iter().map(ToString::to_string).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_broken_flag_is_named() {
        let problems = problems(
            r#"{"flags": {
                "a": {"variants": {"on": 1}, "defaultVariant": "off"},
                "b": {"state": 1, "variants": []},
                "c": {"variants": {"on": 1}, "defaultVariant": "on"}
            }, "metadata": 1}"#,
        );
        assert_eq!(
            problems,
            [
                "`metadata` must be an object",
                "flag `a`: the default variant `off` is not among its variants",
                "flag `b`: `state` must be a text",
                "flag `b`: `variants` must be an object",
            ]
        );
    }

    #[test]
    fn a_text_that_is_no_json_is_refused_with_its_place() {
        let error = FlagSet::parse("{\n\"flags\": }").unwrap_err();
        assert!(matches!(error, DefinitionError::Syntax { line: 2, column: 10, .. }), "{error:?}");
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(FlagSet::parse(&deep), Err(DefinitionError::Syntax { .. })));
    }

    #[test]
    fn what_is_no_definition_is_refused() {
        for text in ["null", "[]", "{}", r#"{"flags": "x"}"#, r#"{"flags": [1]}"#] {
            assert!(FlagSet::parse(text).is_err(), "{text}");
        }
        for text in [r#"{"flags": null}"#, r#"{"flags": {"a": null}}"#, r#"{"Flags": []}"#] {
            assert!(FlagSet::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_list_of_flags() {
        let set = FlagSet::parse(
            r#"{"flags": [{"key": "a", "state": "DISABLED"}, {"key": "a"}, {"state": "DISABLED"}]}"#,
        )
        .unwrap();
        assert_eq!(set.keys().collect::<Vec<_>>(), ["a"]);
        assert!(!set.flags["a"].disabled);
    }

    #[test]
    fn references() {
        let text = r#"{"$evaluators": {"r": {"x": {"$ref": "q"}}, "q": 100},
            "flags": {"f": {"variants": {"a": {"$ref": "r"}, "b": {"$ref": "r", "y": 1}, "c": [{"$ref": "q"}]}}}}"#;
        let variants = &FlagSet::parse(text).unwrap().flags["f"].variants;
        assert_eq!(variants["a"], json!({"x": {"$ref": "q"}}));
        assert_eq!(variants["b"], json!({"$ref": "r", "y": 1}));
        assert_eq!(variants["c"], json!([100]));
        assert_eq!(
            problems(r#"{"$evaluators": {"r": {}}, "flags": {}}"#),
            ["the evaluator `r` is empty"]
        );
        assert!(FlagSet::parse(r#"{"$evaluators": {"r": { }}, "flags": {}}"#).is_ok());
    }

    #[test]
    fn numbers_are_floats() {
        let mut value = json!([9_007_199_254_740_993_u64, 1.0, 1.5, 1e300]);
        normalize(&mut value);
        assert_eq!(value, json!([9_007_199_254_740_992_u64, 1, 1.5, 1e300]));
    }
}
