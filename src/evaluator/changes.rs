//! What changes from one flag set to another.

use std::{collections::BTreeMap, sync::Arc};

use super::{flag::Flag, flag_set::FlagSet};

/// What happened to a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// It is new.
    Write,
    /// Its default variant, state, variants, targeting or metadata changed.
    Update,
    /// It is gone.
    Delete,
}

impl Change {
    /// The name that it has in flagd's event `configuration_change`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl FlagSet {
    /// What changed since a former set, by the keys of the flags.
    #[must_use]
    pub fn changes_since(&self, former: &FlagSet) -> BTreeMap<String, Change> {
        let gone = former.keys().filter(|key| !self.contains(key));
        let gone = gone.map(|key| (key.to_owned(), Change::Delete));
        let new_or_other = self.flags.iter().filter_map(|(key, flag)| {
            let change = match former.flags.get(key) {
                None => Change::Write,
                Some(other) if same(other, flag) => return None,
                Some(_) => Change::Update,
            };
            Some((key.to_string(), change))
        });
        new_or_other.chain(gone).collect()
    }

    /// Takes over the flags of a former set that are the same: both then hold them only once.
    #[cfg(feature = "server")]
    pub(crate) fn share(&mut self, former: &FlagSet) {
        for (key, flag) in &mut self.flags {
            if let Some(other) = former.flags.get(key).filter(|other| same(other, flag)) {
                flag.clone_from(other);
            }
        }
    }

    /// Whether both hold one and the same flag.
    #[cfg(all(test, feature = "server"))]
    pub(crate) fn shares(&self, key: &str, other: &FlagSet) -> bool {
        Arc::ptr_eq(&self.flags[key], &other.flags[key])
    }
}

/// Whether two flags are the same, where no way to ask for them tells one from the other.
fn same(a: &Arc<Flag>, b: &Arc<Flag>) -> bool {
    // The text does not tell the rule `{}`, which is none, from a reference to an empty object.
    Arc::ptr_eq(a, b) || (a.text == b.text && a.targeting.is_some() == b.targeting.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(former: &str, latter: &str) -> Vec<(String, &'static str)> {
        let set = |flags: &str| FlagSet::parse(&format!(r#"{{"flags": {flags}}}"#)).unwrap();
        let changes = set(latter).changes_since(&set(former));
        changes.into_iter().map(|(key, change)| (key, change.as_str())).collect()
    }

    #[test]
    fn added_removed_and_changed() {
        let former = r#"{"a": {}, "b": {"state": "ENABLED"}, "c": {"variants": {"x": 1}}}"#;
        let latter = r#"{"b": {"state": "DISABLED"}, "c": {"variants": {"x": 1.0}}, "d": {}}"#;
        let expected = [("a", "delete"), ("b", "update"), ("d", "write")];
        assert_eq!(changes(former, latter), expected.map(|(key, change)| (key.to_owned(), change)));
        assert!(changes(former, former).is_empty());
    }

    #[test]
    fn each_field_counts_and_no_other() {
        let plain = r#""variants": {"x": 1, "y": 2}, "defaultVariant": "x""#;
        for (field, counts) in [
            (r#""defaultVariant": "y""#, true),
            (r#""state": "DISABLED""#, true),
            (r#""variants": {"x": 1, "y": 3}"#, true),
            (r#""targeting": {"if": [true, "y"]}"#, true),
            (r#""targeting": {}"#, true),
            (r#""metadata": {"a": 1}"#, true),
            (r#""note": "new""#, false),
            (r#""source": "elsewhere""#, false),
            (r#""variants": {"y": 2, "x": 1}"#, false),
        ] {
            let former = format!(r#"{{"f": {{{plain}}}}}"#);
            let latter = format!(r#"{{"f": {{{plain}, {field}}}}}"#);
            assert_eq!(!changes(&former, &latter).is_empty(), counts, "{field}");
        }
    }

    /// Both are sent as `{}`, but only the reference is a rule, which gives another reason.
    #[test]
    fn no_rule_is_another_than_an_empty_one() {
        let set = |rule: &str| {
            let flags = format!(r#"{{"f": {{"targeting": {rule}}}}}"#);
            FlagSet::parse(&format!(r#"{{"flags": {flags}, "$evaluators": {{"e": {{ }}}}}}"#))
                .unwrap()
        };
        let (none, empty) = (set("{}"), set(r#"{"$ref": "e"}"#));
        assert_eq!(none.definition("f"), empty.definition("f"));
        assert_eq!(empty.changes_since(&none)["f"], Change::Update);
        assert!(empty.changes_since(&empty.clone()).is_empty());
    }

    #[test]
    fn metadata_of_the_set_is_part_of_each_flag() {
        let former = FlagSet::parse(r#"{"flags": {"f": {}}, "metadata": {"v": 1}}"#).unwrap();
        let latter = FlagSet::parse(r#"{"flags": {"f": {}}, "metadata": {"v": 2}}"#).unwrap();
        assert_eq!(latter.changes_since(&former)["f"], Change::Update);
    }
}
