//! Lists that others edit too.

use super::spec::Spec;
use crate::optoggles::{failure::Failure, record::Record, users::Users};

/// What a list becomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Merged {
    /// The whole list.
    pub(super) list: Users,
    /// Those of it that are there because of the policy alone, and leave with it.
    pub(super) added: Users,
}

/// Merges the users of the policy into a list: whoever is on it and was not added by this program
/// (`added`) was put there by hand and stays; whoever is `barred` was served `false` by hand.
pub(super) fn merge(policy: &Users, list: &Users, added: &Users, barred: &Users) -> Merged {
    let by_hand = list.without(added);
    let added = policy.without(&by_hand).without(barred);
    Merged { list: by_hand.with(&added), added }
}

/// What is recorded of one target.
#[derive(Clone, Debug)]
pub(super) struct Additions {
    /// What the record calls the target.
    pub(super) target: String,
    pub(super) record: Record,
}

/// One list of a toggle: that of an environment of a flag.
pub(super) struct List<'a> {
    pub(super) project: &'a str,
    pub(super) flag: &'a str,
    pub(super) environment: &'a str,
}

impl List<'_> {
    /// The key of the flag in the record: flags of two projects may have the same key.
    fn toggle(&self) -> String {
        format!("{}/{}", self.project, self.flag)
    }
}

impl Additions {
    /// The users that this program has added to a list.
    pub(super) fn get(&self, list: &List<'_>) -> Users {
        self.record.added(&self.target, &list.toggle(), list.environment)
    }

    /// Records the users that this program adds to a list.
    pub(super) fn set(&self, list: &List<'_>, users: &Users) -> Result<(), Failure> {
        let added = self.record.add(&self.target, &list.toggle(), list.environment, users);
        added.map_err(Failure::temporary)
    }

    /// Forgets all lists of a flag.
    pub(super) fn forget(&self, flag: &str, spec: &Spec) -> Result<(), Failure> {
        let lists = spec.environments.iter().map(|environment| List {
            project: &spec.proj_key,
            flag,
            environment,
        });
        lists
            .filter(|list| !self.get(list).is_empty())
            .try_for_each(|list| self.set(&list, &Users::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(names: &str) -> Users {
        names.split_whitespace().collect()
    }

    #[test]
    fn merging() {
        for (policy, list, added, barred, expected, expected_added) in [
            ("bob", "", "", "", "bob", "bob"),
            ("bob", "al", "", "", "al bob", "bob"),
            // What was there before stays when the policy takes it back.
            ("al bob", "al", "", "", "al bob", "bob"),
            ("", "al bob", "bob", "", "al", ""),
            // Taken off the list by hand: the policy puts it back.
            ("bob", "al", "bob", "", "al bob", "bob"),
            ("bob eve", "", "", "eve", "bob", "bob"),
        ] {
            let merged = merge(&users(policy), &users(list), &users(added), &users(barred));
            assert_eq!(merged, Merged { list: users(expected), added: users(expected_added) });
        }
    }
}
