//! The flags of one definition: parsing, looking them up, and merging sets.
//!
//! A [`FlagSet`] is a snapshot. It is built from the text of a definition, and an
//! update is another set that takes its place; nothing in it changes while flags
//! are evaluated. Where the text comes from, and when it is read again, is not
//! its concern.
//!
//! Parsing goes through the JSON text part by part, without a tree of the whole.
//! Line and column of a problem are looked for afterwards, in another pass that
//! valid definitions do not pay for. A definition in YAML is rewritten as JSON
//! first, and so has the same meaning in all other respects.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::{by_name::ByName, diagnostic::DefinitionError, load::flag::Flag};
use crate::{
    bucketing::Bucketing,
    evaluator::load::{
        definition::{self, Contents},
        finding::located,
        surrogates,
        text::without_bom,
        tree::Tree,
        yaml,
    },
};

/// The flags of one definition, checked, and their rules compiled.
///
/// Create one with [`parse`](Self::parse) or [`parse_yaml`](Self::parse_yaml),
/// evaluate flags with [`evaluate`](Self::evaluate), and replace the whole set
/// when the definition changes. The default is a set without flags.
///
/// A set can be shared between threads: evaluation takes `&self`, does not lock,
/// and keeps nothing. A clone costs a map with a key and a reference count for
/// each flag; the flags themselves are shared. An `Arc<FlagSet>` is cheaper
/// still.
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
    /// The flags by key. Each is shared by the sets that hold the same flag.
    pub(crate) flags: ByName<Arc<Flag>>,
    /// The metadata of the definition, without nulls.
    pub(crate) metadata: Arc<Map<String, Json>>,
    /// The generation of `fractional` for all rules.
    pub(crate) bucketing: Bucketing,
}

impl From<Contents> for FlagSet {
    fn from(Contents { flags, metadata }: Contents) -> Self {
        Self { flags, metadata, bucketing: Bucketing::default() }
    }
}

impl FlagSet {
    /// Parses a flag definition in JSON, as described in [flagd's
    /// reference](https://flagd.dev/reference/flag-definitions/).
    ///
    /// A byte order mark at the beginning is skipped, and an escape that is half
    /// of a surrogate pair is read as U+FFFD. A flag whose key or `flagSetId` is
    /// empty is left out. Of two flags with the same key the later one is kept.
    ///
    /// # Errors
    ///
    /// When anything in the definition is invalid, it is rejected as a whole:
    /// [`DefinitionError::Syntax`] if the text is not JSON or is nested too
    /// deeply, and [`DefinitionError::Invalid`] with all problems if parts of it
    /// do not make sense, such as a default variant that is not among the
    /// variants.
    ///
    /// ```
    /// use flagstaff::evaluator::FlagSet;
    ///
    /// let error = FlagSet::parse(
    ///     r#"{"flags": {"f": {"variants": {"on": true}, "defaultVariant": "off"}}}"#,
    /// );
    /// assert_eq!(
    ///     error.unwrap_err().to_string(),
    ///     "the flag definition is invalid: flag `f` (line 1, column 62): \
    ///      the default variant `off` is not among its variants",
    /// );
    /// ```
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        Self::parse_for(text, None)
    }

    /// Parses a definition as [`parse`](Self::parse) does, for one flag set.
    ///
    /// If `flag_set` is given, it becomes the `flagSetId` of the metadata, and a
    /// definition or a flag with another `flagSetId` is invalid.
    pub(crate) fn parse_for(text: &str, flag_set: Option<&str>) -> Result<Self, DefinitionError> {
        let text = &*surrogates::mended(without_bom(text));
        definition::read(text, flag_set)?.map(Self::from).map_err(|findings| {
            // Places are looked for only now, because nearly all definitions are valid.
            let tree = Tree::of_json(text).ok();
            DefinitionError::Invalid(located(findings, tree.as_ref()))
        })
    }

    /// Parses a flag definition in YAML: the first document of the text.
    ///
    /// YAML is read as flagd reads it, which is 1.2 with some of 1.1:
    ///
    /// - `yes`, `no`, `on` and `off` are strings, as in YAML 1.2.
    /// - Dates and times without quotes become strings in the form of RFC 3339.
    /// - `<<` merges an object, or an array of them, into the object that it is
    ///   in.
    /// - Anchors and aliases are resolved. They may not make the document more
    ///   than 16 times as large.
    /// - A name that occurs twice in an object is an error.
    ///
    /// ```
    /// use flagstaff::evaluator::FlagSet;
    ///
    /// let flags = FlagSet::parse_yaml(
    ///     "flags:
    ///        greeting:
    ///          state: ENABLED
    ///          variants: {short: Hi, long: Good morning}
    ///          defaultVariant: short
    ///     ",
    /// )?;
    /// assert_eq!(flags.default_value("greeting").and_then(|value| value.as_str()), Some("Hi"));
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As with [`parse`](Self::parse), and also for what JSON cannot represent,
    /// such as `.inf`, and for `!!binary`.
    pub fn parse_yaml(text: &str) -> Result<Self, DefinitionError> {
        let tree = yaml::parse(without_bom(text))?;
        let mut json = String::with_capacity(text.len());
        tree.write_json(&mut json);
        definition::read(&json, None)?
            .map(Self::from)
            .map_err(|findings| DefinitionError::Invalid(located(findings, Some(&tree))))
    }

    /// Chooses the generation of `fractional`, which decides who gets which
    /// variant. The default is that of the newest release of flagd.
    ///
    /// All programs that evaluate a flag must use the same generation, or a user
    /// gets different variants in them.
    ///
    /// ```
    /// use flagstaff::{Bucketing, evaluator::FlagSet};
    ///
    /// let flags = FlagSet::parse(r#"{"flags": {}}"#)?.with_bucketing(Bucketing::Cbor);
    /// # assert!(flags.is_empty());
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    #[must_use]
    pub fn with_bucketing(mut self, bucketing: Bucketing) -> Self {
        self.bucketing = bucketing;
        self
    }

    /// The keys of the flags, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.flags.keys().map(|key| &**key)
    }

    /// The metadata of the flag set, without fields that are null.
    ///
    /// Results of flags contain it as well, under the metadata of the flag.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Json> {
        &self.metadata
    }

    /// The number of flags, disabled ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether the set has no flags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// Whether the set has a flag with this key.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.flags.contains_key(key)
    }

    /// The metadata of a flag, with that of the flag set under it, without fields
    /// that are null; `None` if the set has no such flag.
    ///
    /// ```
    /// use flagstaff::evaluator::FlagSet;
    ///
    /// let flags = FlagSet::parse(
    ///     r#"{"metadata": {"team": "shop", "version": 7},
    ///         "flags": {"f": {"metadata": {"team": "billing"}}}}"#,
    /// )?;
    /// let metadata = flags.flag_metadata("f").unwrap();
    /// assert_eq!(metadata["team"], "billing");
    /// assert_eq!(metadata["version"], 7);
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    #[must_use]
    pub fn flag_metadata(&self, key: &str) -> Option<&Map<String, Json>> {
        self.flags.get(key).map(|flag| &*flag.metadata)
    }

    /// The value of a flag's default variant, whatever its rule or state; `None`
    /// if it has no default variant, or there is no such flag.
    ///
    /// Where no default variant is named, a variant whose name is empty counts as
    /// it.
    #[must_use]
    pub fn default_value(&self, key: &str) -> Option<&Json> {
        let flag = self.flags.get(key)?;
        flag.variants.get(flag.default_variant.as_deref().unwrap_or_default())
    }

    /// A flag's definition in JSON, as flagd sends it to other providers, but
    /// without the field `source`; `None` if there is no such flag.
    ///
    /// It is an object with `state`, `defaultVariant` (empty if there is none),
    /// `variants`, `targeting` (if given, with all references replaced) and
    /// `metadata` (if there are any, with that of the flag set under it). It has
    /// no spaces, and the fields of objects further down are sorted by name.
    ///
    /// ```
    /// use flagstaff::evaluator::FlagSet;
    ///
    /// let flags = FlagSet::parse(
    ///     r#"{"flags": {"f": {"state": "ENABLED", "variants": {"b": 2.0, "a": 1}}}}"#,
    /// )?;
    /// assert_eq!(
    ///     flags.definition("f"),
    ///     Some(r#"{"state":"ENABLED","defaultVariant":"","variants":{"a":1,"b":2}}"#),
    /// );
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    #[must_use]
    pub fn definition(&self, key: &str) -> Option<&str> {
        self.flags.get(key).map(|flag| &*flag.text)
    }

    /// Adds the flags of another set for which `keep`, called with the key and
    /// the metadata of each, returns true.
    ///
    /// Where both sets have a flag with the same key, that of `other` is kept.
    /// The metadata and the generation of `fractional` remain those of this set.
    ///
    /// ```
    /// use flagstaff::evaluator::FlagSet;
    ///
    /// let mut flags = FlagSet::parse(r#"{"flags": {"a": {}}}"#)?;
    /// let more = FlagSet::parse(r#"{"flags": {"b": {}, "internal": {}}}"#)?;
    /// flags.extend(&more, |key, _metadata| key != "internal");
    /// assert!(flags.contains("a") && flags.contains("b"));
    /// assert!(!flags.contains("internal"));
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    pub fn extend(&mut self, other: &Self, keep: impl Fn(&str, &Map<String, Json>) -> bool) {
        let kept = other.flags.iter().filter(|(key, flag)| keep(key, &flag.metadata));
        self.flags.extend(kept.map(|(key, flag)| (key.clone(), flag.clone())));
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
                "flag `a` (line 2, column 64): the default variant `off` is not among its variants",
                "flag `b` (line 3, column 32): `state` must be a string",
                "flag `b` (line 3, column 47): `variants` must be an object",
                "line 5, column 28: `metadata` must be an object",
            ]
        );
    }

    #[test]
    fn a_text_that_is_no_json_is_refused_with_its_place() {
        let error = FlagSet::parse("{\n\"flags\": }").unwrap_err();
        assert!(matches!(error, DefinitionError::Syntax { line: 2, column: 10, .. }), "{error:?}");
        let error = FlagSet::parse("{\"a\": \"\u{17e}\u{17e}\" }}").unwrap_err();
        assert!(matches!(error, DefinitionError::Syntax { line: 1, column: 13, .. }), "{error:?}");
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep = format!(r#"{{"flags": {{"f": {{"targeting": {deep}}}}}}}"#);
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

    /// Even in a section that is not used, every number must fit a 64-bit float.
    #[test]
    fn a_number_that_is_too_large_is_refused_wherever_it_is() {
        for text in [
            r#"{"flags": {}, "x": 1e999}"#,
            r#"{"flags": {"f": 1e999}, "flags": {}}"#,
            r#"{"Flags": {"f": 1e999}, "flags": {}}"#,
            r#"{"flags": {}, "Flags": {"f": 1e999}}"#,
            r#"{"flags": {"f": 1e999, "f": {}}}"#,
            r#"{"flags": {"f": {"x": 1e999}}}"#,
        ] {
            let rejected = FlagSet::parse(text).unwrap_err();
            assert!(matches!(rejected, DefinitionError::Syntax { .. }), "{text}: {rejected}");
            assert!(FlagSet::parse(&text.replace("1e999", "{}")).is_ok(), "{text}");
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
    fn a_flag_of_a_flag_set_without_name_is_left_out() {
        let set = FlagSet::parse(
            r#"{"metadata": {"flagSetId": ""}, "flags": {"a": {}, "b": {"metadata": {"flagSetId": "x"}},
            "c": {"metadata": {"flagSetId": null}}, "d": {"metadata": {"flagSetId": 0}}}}"#,
        )
        .unwrap();
        let mut keys: Vec<_> = set.keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["b", "c", "d"]);
    }

    #[test]
    fn of_two_with_one_name_the_later_counts() {
        let set = FlagSet::parse(
            r#"{"metadata": {"a": 1, "b": 1}, "METADATA": {"c": 1}, "metadata": {"a": 2},
            "$evaluators": {"r": {}, "r": "y"}, "flags": {"f": 1, "f": {"targeting": {"$ref": "r"}}}}"#,
        )
        .unwrap();
        assert_eq!(json!(set.metadata()), json!({"a": 2, "c": 1}));
        assert!(set.definition("f").unwrap().contains(r#""targeting":"y""#));
        assert_eq!(
            problems(r#"{"$evaluators": {"r": "y", "r": {}}, "flags": {}}"#),
            ["line 1, column 33: the evaluator `r` is empty"]
        );
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
            ["line 1, column 23: the evaluator `r` is empty"]
        );
        assert!(FlagSet::parse(r#"{"$evaluators": {"r": { }}, "flags": {}}"#).is_ok());
    }

    #[test]
    fn yaml_is_the_same_definition() {
        let yaml = "flags:\n  f:\n    state: ENABLED\n    variants: {on: true}\n    defaultVariant: \"on\"\n";
        let json = r#"{"flags": {"f": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"}}}"#;
        let (yaml, json) = (FlagSet::parse_yaml(yaml).unwrap(), FlagSet::parse(json).unwrap());
        assert_eq!(yaml.definition("f"), json.definition("f"));

        let broken = "flags:\n  f:\n    state: 1\n  g:\n    defaultVariant: x\nmetadata: []\n";
        let error = FlagSet::parse_yaml(broken).unwrap_err().to_string();
        for part in [
            "flag `f` (line 3, column 12): `state` must be a string",
            "flag `g` (line 5, column 21): the default variant `x` is not among its variants",
            "line 6, column 11: `metadata` must be an object",
        ] {
            assert!(error.contains(part), "{error}");
        }
        // YAML becomes JSON first, in which `1.0` is `1`: as short as an empty rule.
        assert!(FlagSet::parse_yaml("flags: {}\n$evaluators: {r: 1.0}").is_err());
        assert!(FlagSet::parse_yaml("flags: {}\n$evaluators: {r: 1.5}").is_ok());
        assert!(FlagSet::parse_yaml("").is_err());
        assert!(FlagSet::parse_yaml("- flags").is_err());
    }

    #[test]
    fn definitions_are_those_that_flagd_sends() {
        let set = FlagSet::parse(
            r#"{"$evaluators": {"r": {"==": [ 1.0, {"var": "x"}]}}, "metadata": {"v": 1, "n": null},
            "flags": {
                "full": {"targeting": {"if": [{"$ref": "r"}, "<"]}, "x": 1, "metadata": {"o": "p"},
                    "variants": {"b": 1.50, "a": 1}, "state": "ENABLED", "defaultVariant": "a"},
                "empty": {},
                "none": {"defaultVariant": null, "variants": {}, "targeting": {}, "state": "?"}
            }}"#,
        )
        .unwrap();
        assert_eq!(
            set.definition("full").unwrap(),
            r#"{"state":"ENABLED","defaultVariant":"a","variants":{"a":1,"b":1.5},"targeting":{"if":[{"==":[1,{"var":"x"}]},"\u003c"]},"metadata":{"n":null,"o":"p","v":1}}"#
        );
        assert_eq!(
            set.definition("empty").unwrap(),
            r#"{"state":"","defaultVariant":"","variants":null,"metadata":{"n":null,"v":1}}"#
        );
        assert_eq!(
            set.definition("none").unwrap(),
            r#"{"state":"?","defaultVariant":"","variants":{},"targeting":{},"metadata":{"n":null,"v":1}}"#
        );
        assert_eq!(set.definition("other"), None);
    }

    #[test]
    fn a_later_set_wins() {
        let set = |text: &str| FlagSet::parse(text).unwrap();
        let mut all = FlagSet::default();
        all.extend(&set(r#"{"flags": {"a": {"state": "1"}, "b": {"state": "1"}}}"#), |_, _| true);
        let other = set(
            r#"{"flags": {"b": {"state": "2"}, "c": {"state": "2", "metadata": {"flagSetId": "y"}}},
            "metadata": {"flagSetId": "x"}}"#,
        );
        all.extend(&other, |_, metadata| metadata["flagSetId"] == "x");
        assert_eq!((all.len(), all.is_empty(), all.contains("c")), (2, false, false));
        assert_eq!(all.definition("b"), other.definition("b"));
        assert_eq!(all.flag_metadata("b"), other.flag_metadata("b"));
        assert_eq!(all.flag_metadata("c"), None);
    }
}
