//! All facts of a prefix, kept by the change stream. Pure: pages and changes in, fields
//! out.
//!
//! A mirror opens the stream first and reads the pages afterwards, so that no change is
//! lost between them. The stream then repeats changes that are in the pages already: each
//! page says up to which change it is complete, and has a range of identities.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{
    cache::Change,
    fields::{Fields, Typing, differing},
};

/// The facts by identity. Readers do not wait for the one writer, and see each identity
/// whole, as it was before a change or after it.
#[derive(Default)]
pub(super) struct Mirror {
    identities: papaya::HashMap<String, Arc<Fields>>,
}

/// Up to which change the pages are complete.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// The last identity of each page but the last one, with the page's number.
    ranges: Vec<(String, u64)>,
    /// The number of the last page, which has all identities after those.
    last: u64,
}

impl Pages {
    /// Adds the next page. `last` is the identity that the following one begins after.
    pub(super) fn add(&mut self, last: Option<String>, sequence: u64) {
        match last {
            Some(identity) => self.ranges.push((identity, sequence)),
            None => self.last = sequence,
        }
    }

    /// Whether the pages contain this change.
    pub(super) fn contain(&self, identity: &str, sequence: u64) -> bool {
        let page = self.ranges.partition_point(|(last, _)| &**last < identity);
        let complete = self.ranges.get(page).map_or(self.last, |(_, sequence)| *sequence);
        sequence <= complete
    }
}

impl Mirror {
    /// The fields of an identity.
    pub(super) fn get(&self, identity: &str) -> Arc<Fields> {
        self.identities.pin().get(identity).map_or_else(Arc::default, Arc::clone)
    }

    /// Takes a page, and notes its identities in `seen` and the fields that differ in
    /// `changed`.
    pub(super) fn insert(
        &self,
        page: BTreeMap<String, BTreeMap<String, String>>,
        typing: Typing,
        seen: &mut HashSet<String>,
        changed: &mut BTreeSet<String>,
    ) {
        let identities = self.identities.pin();
        for (identity, facts) in page {
            let fields = typing.fields(&facts);
            let before = identities.get(&identity).map_or_else(Arc::default, Arc::clone);
            let differs = differing(&before, &fields);
            if !differs.is_empty() {
                changed.extend(differs);
                identities.insert(identity.clone(), fields);
            }
            seen.insert(identity);
        }
    }

    /// Removes the identities that were on no page.
    pub(super) fn retain(&self, seen: &HashSet<String>, changed: &mut BTreeSet<String>) {
        self.identities.pin().retain(|identity, fields| {
            let is_on_a_page = seen.contains(identity);
            if !is_on_a_page {
                changed.extend(fields.keys().cloned());
            }
            is_on_a_page
        });
    }

    /// Applies a change. Returns the fields that differ now.
    pub(super) fn apply(&self, identity: String, change: &Change, typing: Typing) -> Vec<String> {
        let identities = self.identities.pin();
        let before = identities.get(&identity).map_or_else(Arc::default, Arc::clone);
        let mut after = Arc::clone(&before);
        change.apply(&mut after, typing);
        if after.is_empty() {
            identities.remove(&identity);
        } else {
            identities.insert(identity, Arc::clone(&after));
        }
        differing(&before, &after)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn page(value: Value) -> BTreeMap<String, BTreeMap<String, String>> {
        serde_json::from_value(value).unwrap()
    }

    fn fields(mirror: &Mirror, identity: &str) -> Value {
        Value::Object((*mirror.get(identity)).clone())
    }

    #[test]
    fn a_change_that_a_page_contains_is_known() {
        let mut pages = Pages::default();
        pages.add(Some("c".to_owned()), 5);
        pages.add(Some("f".to_owned()), 7);
        pages.add(None, 9);
        for (identity, complete) in [("a", 5), ("c", 5), ("ca", 7), ("f", 7), ("g", 9)] {
            assert!(pages.contain(identity, complete), "{identity}");
            assert!(!pages.contain(identity, complete + 1), "{identity}");
        }
    }

    /// Loads these pages; the fields that have changed.
    fn load(mirror: &Mirror, pages: &[Value]) -> Vec<String> {
        let (mut seen, mut changed) = (HashSet::new(), BTreeSet::new());
        for facts in pages {
            mirror.insert(page(facts.clone()), Typing::default(), &mut seen, &mut changed);
        }
        mirror.retain(&seen, &mut changed);
        changed.into_iter().collect()
    }

    #[test]
    fn what_is_on_no_page_is_removed() {
        let mirror = Mirror::default();
        let pages = [json!({"a": {"x": "1"}, "b": {"v": "1"}}), json!({"d": {"y": "1"}})];
        assert_eq!(load(&mirror, &pages), ["v", "x", "y"]);
        assert!(load(&mirror, &pages).is_empty());
        let again = [json!({"a": {"x": "1"}, "c": {"z": "1"}, "d": {"y": "2"}})];
        assert_eq!(load(&mirror, &again), ["v", "y", "z"]);
        assert_eq!(fields(&mirror, "b"), json!({}));
        assert_eq!(fields(&mirror, "c"), json!({"z": "1"}));
    }

    #[test]
    fn changes() {
        let (mirror, typing) = (Mirror::default(), Typing::default());
        let set = |value: Option<&str>| Change::Fact("x".to_owned(), value.map(str::to_owned));
        let apply = |change: &Change| mirror.apply("a".to_owned(), change, typing);
        assert_eq!(apply(&set(Some("1"))), ["x"]);
        assert!(apply(&set(Some("1"))).is_empty());
        assert_eq!(fields(&mirror, "a"), json!({"x": "1"}));
        assert_eq!(apply(&set(None)), ["x"]);
        assert!(apply(&Change::Erased).is_empty());
        assert!(mirror.identities.pin().is_empty(), "an identity without facts takes no room");
    }
}
