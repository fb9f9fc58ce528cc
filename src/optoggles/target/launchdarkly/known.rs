//! What is known of the flags of an account.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{flag::Variations, spec::Spec};
use crate::optoggles::{target::toggle_target::Held, users::Users};

/// What is known of a flag.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) variations: Variations,
    /// What each environment holds that the project has.
    pub(super) environments: HashMap<String, Held>,
    /// The environments that have rules.
    pub(super) ruled: BTreeSet<String>,
}

/// A flag that nobody has.
pub(super) fn nothing() -> Held {
    let (everywhere, anywhere) = (Users::default(), Users::default());
    Held::Users { everywhere, anywhere, in_force: false }
}

impl Known {
    pub(super) fn new(variations: Variations) -> Self {
        Self { variations, environments: HashMap::new(), ruled: BTreeSet::new() }
    }

    /// The first environment of the spec that the project does not have.
    pub(super) fn missing<'s>(&self, spec: &'s Spec) -> Option<&'s str> {
        let missing = |name: &&String| !self.environments.contains_key(*name);
        spec.environments.iter().find(missing).map(String::as_str)
    }

    /// What all environments of the spec hold. One that is missing has yet to be written.
    pub(super) fn folded(&self, spec: &Spec) -> Held {
        let is_complete = self.missing(spec).is_none();
        let held = self.environments.values().cloned().reduce(both).unwrap_or_else(nothing);
        match held {
            Held::Users { everywhere, anywhere, in_force } => {
                Held::Users { everywhere, anywhere, in_force: in_force && is_complete }
            }
            Held::Unknown => Held::Unknown,
        }
    }
}

/// What two environments hold.
fn both(one: Held, other: Held) -> Held {
    match (one, other) {
        (
            Held::Users { everywhere, anywhere, in_force },
            Held::Users { everywhere: e, anywhere: a, in_force: i },
        ) => Held::Users {
            everywhere: everywhere.without(&everywhere.without(&e)),
            anywhere: anywhere.with(&a),
            in_force: in_force && i,
        },
        _ => Held::Unknown,
    }
}

/// What is known of each flag, by its key.
#[derive(Default)]
pub(super) struct KnownFlags(Mutex<HashMap<String, Known>>);

impl KnownFlags {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &str) -> Option<Known> {
        self.lock().get(key).cloned()
    }

    /// Notes what a flag is seen to hold, and warns of rules that were not there before.
    pub(super) fn note(&self, key: &str, known: Known) {
        let ruled = known.ruled.clone();
        let former = self.lock().insert(key.to_owned(), known);
        let former = former.map(|former| former.ruled).unwrap_or_default();
        for environment in ruled.difference(&former) {
            tracing::warn!(
                toggle = key,
                environment,
                "the flag has rules, which may serve `true` to users whom the policy does not name"
            );
        }
    }

    /// Notes that an environment was written.
    pub(super) fn wrote(&self, key: &str, environment: &str, users: &Users) {
        if let Some(known) = self.lock().get_mut(key) {
            known.environments.insert(environment.to_owned(), Held::users(users.clone()));
        }
    }

    pub(super) fn forget(&self, key: &str) {
        self.lock().remove(key);
    }
}
