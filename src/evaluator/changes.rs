//! What changed from one flag set to another.
//!
//! A source delivers whole definitions, and so each update is a new [`FlagSet`].
//! What programs want to be notified of are the flags that differ. They are found
//! by comparing the text of each flag, which [`FlagSet::definition`] returns: it
//! is normalized when the flag is parsed, so that spaces, the order of fields and
//! the way in which a number is written make no difference, and it includes the
//! metadata of the set, so that a change of these changes every flag.
//!
//! ```text
//! former: {"a": .., "b": ..}            latter: {"b": .. (other state), "d": ..}
//! changes: {"a": delete, "b": update, "d": write}
//! ```

use std::{collections::BTreeMap, sync::Arc};

use super::{flag_set::FlagSet, load::flag::Flag};

/// What happened to a flag between two definitions.
///
/// [`FlagSet::changes_since`] returns one for each flag that is not the same in
/// both. Flags that stayed the same have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// The flag is new.
    Write,
    /// Its default variant, state, variants, targeting or metadata changed.
    Update,
    /// The flag no longer exists.
    Delete,
}

impl Change {
    /// The name of the change in flagd's event `configuration_change`: `write`,
    /// `update` or `delete`.
    ///
    /// ```
    /// use flagstaff::evaluator::Change;
    ///
    /// assert_eq!(Change::Update.as_str(), "update");
    /// ```
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
    /// Compares the set with a former one, and returns what happened to each flag
    /// that is not the same in both, by key.
    ///
    /// A flag counts as changed if its default variant, state, variants,
    /// targeting rule or metadata differ, including the metadata that it takes
    /// over from its set. Fields that flagd does not know, `source`, and the
    /// order of fields do not count. The order of `former` and `self` matters: to
    /// learn what an update changes, call this on the new set.
    ///
    /// ```
    /// use flagstaff::evaluator::{Change, FlagSet};
    ///
    /// let former = FlagSet::parse(r#"{"flags": {"a": {"state": "ENABLED"}, "b": {}}}"#)?;
    /// let latter = FlagSet::parse(r#"{"flags": {"a": {"state": "DISABLED"}, "c": {}}}"#)?;
    /// let changes = latter.changes_since(&former);
    /// assert_eq!(changes["a"], Change::Update);
    /// assert_eq!(changes["b"], Change::Delete);
    /// assert_eq!(changes["c"], Change::Write);
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
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

    /// Replaces each flag that is the same in a former set by that set's, so that
    /// both hold it only once.
    ///
    /// An update usually leaves most flags as they are. Whoever still holds the
    /// former set, such as a running request, then keeps only the flags alive
    /// that changed.
    #[cfg(feature = "server")]
    pub(crate) fn share(&mut self, former: &FlagSet) {
        for (key, flag) in &mut self.flags {
            if let Some(other) = former.flags.get(key).filter(|other| same(other, flag)) {
                flag.clone_from(other);
            }
        }
    }

    /// Whether the two sets hold one and the same allocation of a flag.
    #[cfg(all(test, feature = "server"))]
    pub(crate) fn shares(&self, key: &str, other: &FlagSet) -> bool {
        Arc::ptr_eq(&self.flags[key], &other.flags[key])
    }
}

/// Whether two flags are the same, in that no evaluation and no request can tell
/// one from the other.
fn same(a: &Arc<Flag>, b: &Arc<Flag>) -> bool {
    // The text is the same for `"targeting": {}`, which is not a rule, and for a reference to an
    // empty object, which is.
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

    /// Both are sent as `{}`, but only the reference is a rule, and leads to
    /// another reason.
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
