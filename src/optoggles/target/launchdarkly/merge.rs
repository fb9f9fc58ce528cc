//! Lists that others edit too.

use super::spec::Spec;
use crate::optoggles::{failure::Failure, record::Record, users::Users};

/// What a list becomes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    /// The whole list.
    pub(crate) list: Users,
    /// Those of it that are there because of the policy alone, and leave with it.
    pub(crate) added: Users,
}

/// Merges the users of the policy into a list: whoever is on it and was not added by this program
/// (`added`) was put there by hand and stays; whoever is `barred` was served `false` by hand.
pub(crate) fn merge(policy: &Users, list: &Users, added: &Users, barred: &Users) -> Merged {
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
    pub(super) async fn set(&self, list: &List<'_>, users: &Users) -> Result<(), Failure> {
        let toggle = list.toggle();
        let added = self.record.add(&self.target, &toggle, list.environment, users);
        added.await.map_err(Failure::temporary)
    }

    /// Forgets all lists of a flag.
    pub(super) async fn forget(&self, flag: &str, spec: &Spec) -> Result<(), Failure> {
        for environment in &spec.environments {
            let list = List { project: &spec.proj_key, flag, environment };
            if !self.get(&list).is_empty() {
                self.set(&list, &Users::default()).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// What may happen to a list: a sync to a policy, which may be cut short after the record or after
    /// the write, and edits by hand. Sets are some of `a` to `e`, as bits.
    #[derive(Clone, Debug)]
    enum Happening {
        Sync(u8, Cut),
        Add(u8),
        Remove(u8),
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Cut {
        Nowhere,
        AfterTheIntent,
        AfterTheWrite,
    }

    fn set(bits: u8) -> Users {
        let names = ["a", "b", "c", "d", "e"].into_iter().enumerate();
        names.filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| name).collect()
    }

    fn happenings() -> impl Strategy<Value = Happening> {
        let cut =
            prop_oneof![Just(Cut::Nowhere), Just(Cut::AfterTheIntent), Just(Cut::AfterTheWrite)];
        prop_oneof![
            (any::<u8>(), cut).prop_map(|(bits, cut)| Happening::Sync(bits, cut)),
            any::<u8>().prop_map(Happening::Add),
            any::<u8>().prop_map(Happening::Remove),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever happened: in the end the list has the policy and who was added by hand, and
        /// nobody else.
        #[test]
        fn a_merged_list_is_the_policy_and_what_was_added_by_hand(
            happenings in prop::collection::vec(happenings(), 0..30),
            last in any::<u8>(),
        ) {
            let (mut list, mut added, mut by_hand) =
                (Users::default(), Users::default(), Users::default());
            let end = [Happening::Sync(last, Cut::Nowhere)];
            for happening in happenings.into_iter().chain(end) {
                match happening {
                    Happening::Sync(bits, cut) => {
                        // Who is on the record and not on the list was taken off by somebody, or
                        // never put on it.
                        added = added.without(&added.without(&list));
                        let merged = merge(&set(bits), &list, &added, &Users::default());
                        added = added.with(&merged.added);
                        if cut != Cut::AfterTheIntent {
                            list = merged.list;
                        }
                        if cut == Cut::Nowhere {
                            added = merged.added;
                        } else {
                            // The engine reads the list again before anybody can have edited it.
                            added = added.without(&added.without(&list));
                        }
                    }
                    // Nobody can add whoever is on the list; and who was taken off and put back
                    // between two syncs cannot be told from who was there all the time.
                    Happening::Add(bits) => {
                        by_hand = by_hand.with(&set(bits).without(&list).without(&added));
                        list = list.with(&set(bits));
                    }
                    Happening::Remove(bits) => {
                        by_hand = by_hand.without(&set(bits));
                        list = list.without(&set(bits));
                    }
                }
            }
            prop_assert_eq!(list, set(last).with(&by_hand));
        }
    }
}
