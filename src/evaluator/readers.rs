//! Which flags read which fields of the context: an index from names of fields to
//! keys of flags.
//!
//! It is built when a field changes for the first time, and not when a definition is
//! loaded: without a source of fields nobody needs it.

use std::{collections::BTreeSet, sync::Arc};

use super::{by_name::ByName, flag_set::FlagSet, rule::reads::Reads};

/// The keys of the flags whose rules read each field.
///
/// Those that read the targeting key alone are left out, because it is what the caller
/// asks about, and never changes under it. So are disabled flags.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    /// The flags that read a field by its name.
    of_field: ByName<Vec<Arc<str>>>,
    /// The flags that may read any field.
    of_all: Vec<Arc<str>>,
}

impl FlagSet {
    /// Finds out which flags read which fields.
    pub(crate) fn readers(&self) -> Readers {
        let mut readers = Readers::default();
        for (key, flag) in self.flags.iter().filter(|(_, flag)| !flag.disabled) {
            let Some(rule) = &flag.targeting else { continue };
            let mut reads = Reads::of(rule);
            reads.fields.remove("targetingKey");
            if !reads.all && reads.fields.is_empty() {
                continue;
            }
            let key: Arc<str> = (&**key).into();
            for field in reads.fields {
                match readers.of_field.get_mut(field) {
                    Some(keys) => keys.push(key.clone()),
                    None => drop(readers.of_field.insert(field.into(), vec![key.clone()])),
                }
            }
            if reads.all {
                readers.of_all.push(key);
            }
        }
        readers
    }
}

impl Readers {
    /// The keys of the flags that read one of these fields, or any field if there are
    /// no names, each once.
    pub(crate) fn of(&self, names: Option<&[String]>) -> BTreeSet<&Arc<str>> {
        let of_some: Vec<_> = match names {
            Some(names) => names.iter().filter_map(|name| self.of_field.get(&**name)).collect(),
            None => self.of_field.values().collect(),
        };
        let of_all = self.of_all.iter().filter(|_| names.is_none_or(|names| !names.is_empty()));
        of_some.into_iter().flatten().chain(of_all).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn flags_by_what_their_rules_read() {
        let var = |name: &str| json!({"targeting": {"var": name}});
        let flags = json!({
            "tier": var("tier"), "nested": var("tier.name"), "any": var(""), "key": var("targetingKey"),
            "both": {"targeting": {"if": [{"var": "tier"}, {"var": "owner"}]}},
            "disabled": {"state": "DISABLED", "targeting": {"var": "tier"}},
            "plain": {}, "constant": {"targeting": "on"},
            "shares": {"targeting": {"fractional": [["a", 1]]}},
        });
        let readers = FlagSet::parse(&json!({"flags": flags}).to_string()).unwrap().readers();
        let of = |names: Option<&[&str]>| {
            let names: Option<Vec<_>> =
                names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            readers.of(names.as_deref()).into_iter().map(|key| &**key).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(Some(&["tier"])), "any both nested tier");
        assert_eq!(of(Some(&["owner", "tier", "none"])), "any both nested tier");
        assert_eq!(of(Some(&["owner"])), "any both");
        assert_eq!(of(Some(&["none"])), "any");
        assert_eq!(of(Some(&[])), "");
        assert_eq!(of(None), "any both nested tier");
    }
}
