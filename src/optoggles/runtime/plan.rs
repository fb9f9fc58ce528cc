//! Computes what a sync would change, without changing anything.
//!
//! A plan is made of single answers and not by the state machine, so it does not wait: an
//! empty set that would have to be confirmed is reported as held back.

use std::sync::Arc;

use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    parts::Parts,
    removal::{Leaving, leaving},
};
use crate::optoggles::{
    failure::Failure,
    machine::Settings,
    source::Answer,
    target::{Held, Removal},
    users::Users,
};

/// What a sync would change; see [`Engine::plan`](super::Engine::plan).
///
/// `flagstaff optoggles plan --json` prints it as JSON:
///
/// ```json
/// {
///   "changes": [
///     {"toggle": "us-only", "target": "ld", "action": "change",
///      "added": ["bob"], "removed": [], "held_back": false},
///     {"toggle": "us-only", "target": "flagd", "action": "nothing"}
///   ]
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// What would be done for each toggle at each of its targets, in the order of the
    /// configuration. Toggles that would not change are listed too, and at the end those that
    /// have left the configuration and would be removed.
    pub changes: Vec<PlannedChange>,
}

/// What a sync would do for one toggle at one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlannedChange {
    /// The key of the toggle.
    pub toggle: String,
    /// The id of the target.
    pub target: String,
    /// What would be done.
    #[serde(flatten)]
    pub action: PlannedAction,
}

/// What a sync would do. User names are part of it.
///
/// ```
/// use flagstaff::optoggles::PlannedAction;
///
/// fn summary(action: &PlannedAction) -> String {
///     match action {
///         PlannedAction::Nothing => "in step".to_owned(),
///         PlannedAction::Change { added, removed, .. } => {
///             format!("{} added, {} removed", added.len(), removed.len())
///         }
///         PlannedAction::Failed { error } => error.clone(),
///         other => format!("{other:?}"),
///     }
/// }
///
/// let change = PlannedAction::Change {
///     added: vec!["bob".to_owned()],
///     removed: Vec::new(),
///     held_back: false,
/// };
/// assert_eq!(summary(&change), "1 added, 0 removed");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PlannedAction {
    /// Nothing: the target has the users that the policy authorizes.
    Nothing,
    /// The list of users would be changed. Nobody may be added or removed where a flag is
    /// only switched on.
    Change {
        /// The users who would get the toggle.
        added: Vec<String>,
        /// The users who would lose it.
        removed: Vec<String>,
        /// Whether the change would be held back at first: it removes more users than
        /// `maxRemoved` allows, or all of them while nobody vouches for that.
        held_back: bool,
    },
    /// This list would be written. What the target has now is unknown.
    Write {
        /// All users that the policy authorizes.
        users: Vec<String>,
    },
    /// The toggle has left the configuration, and would be switched off.
    SwitchOff,
    /// The toggle has left the configuration, and would be deleted.
    Delete,
    /// The rule is undefined: nothing would be written.
    Undefined,
    /// What would be done is unknown, because the source or the target has failed.
    Failed {
        /// The failure with its causes.
        error: String,
    },
}

impl Plan {
    /// Whether a sync would write anything, as far as is known.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        self.changes.iter().any(|change| {
            !matches!(
                change.action,
                PlannedAction::Nothing | PlannedAction::Undefined | PlannedAction::Failed { .. }
            )
        })
    }

    /// Whether everything could be computed: no source and no target has failed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.changes.iter().any(|change| matches!(change.action, PlannedAction::Failed { .. }))
    }
}

/// Queries all sources, reads all targets, and compares. Toggles are handled at the same
/// time, within the permits of their sources and targets.
pub(crate) async fn plan(parts: Parts) -> Plan {
    let parts = Arc::new(parts);
    let mut tasks = JoinSet::new();
    for index in 0..parts.toggles.len() {
        let parts = parts.clone();
        tasks.spawn(async move { (index, planned(&parts, index).await) });
    }
    let mut found: Vec<_> = tasks.join_all().await;
    found.sort_unstable_by_key(|(index, _)| *index);
    let found = found.into_iter().flat_map(|(_, changes)| changes);
    Plan { changes: found.chain(removals(&parts)).collect() }
}

/// What would be done to toggles that have left the configuration. Those of which only the intent
/// to create them is recorded are left out: whether they were created, only their target knows.
fn removals(parts: &Parts) -> Vec<PlannedChange> {
    let action = if parts.removal == Some(Removal::Delete) {
        PlannedAction::Delete
    } else {
        PlannedAction::SwitchOff
    };
    let removal = |Leaving { target, toggle, .. }: Leaving| PlannedChange {
        toggle: toggle.key,
        target: parts.targets[target].id.clone(),
        action: action.clone(),
    };
    leaving(parts).into_iter().filter(|leaving| leaving.is_created).map(removal).collect()
}

/// What would be done for one toggle, at each of its targets in turn.
async fn planned(parts: &Parts, index: usize) -> Vec<PlannedChange> {
    let entry = &parts.toggles[index];
    let source = &parts.sources[entry.source];
    let answer = {
        let _permit = source.room.acquire().await;
        source.source.users(&entry.toggle.rule).await
    };
    let mut changes = Vec::new();
    for target in &entry.targets {
        let target = &parts.targets[*target];
        let action = match &answer {
            Err(failure) => PlannedAction::Failed { error: failure.line() },
            Ok(Answer::Undefined) => PlannedAction::Undefined,
            Ok(Answer::Users { users, vouched }) => {
                let _permit = target.room.acquire().await;
                let held = target.target.read(&entry.toggle).await;
                compared(users, *vouched, held, &parts.settings)
            }
        };
        let (toggle, target) = (entry.toggle.key.clone(), target.id.clone());
        changes.push(PlannedChange { toggle, target, action });
    }
    changes
}

/// What would be done so that a target with `held` has the users of the policy.
fn compared(
    policy: &Users,
    vouched: bool,
    held: Result<Held, Failure>,
    settings: &Settings,
) -> PlannedAction {
    let names = |users: &Users| users.iter().map(str::to_owned).collect();
    match held {
        Err(failure) => PlannedAction::Failed { error: failure.line() },
        Ok(Held::Unknown) => PlannedAction::Write { users: names(policy) },
        Ok(held) if held.is(policy) => PlannedAction::Nothing,
        Ok(Held::Users { everywhere, anywhere, .. }) => {
            let removed = anywhere.without(policy);
            let waits = !vouched && !settings.empty_confirmation.is_zero();
            let empties = policy.is_empty() && !anywhere.is_empty() && waits;
            let held_back = empties || settings.holds_back(removed.len(), anywhere.len());
            let added = names(&policy.without(&everywhere));
            PlannedAction::Change { added, removed: names(&removed), held_back }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn users(names: &str) -> Users {
        names.split_whitespace().collect()
    }

    #[test]
    fn comparing() {
        let settings = Settings { max_removed: Some(0.5), ..Settings::default() };
        let plan =
            |policy: &str, vouched, held| compared(&users(policy), vouched, Ok(held), &settings);
        let change = |added: &[&str], removed: &[&str], held_back| {
            let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            PlannedAction::Change { added: names(added), removed: names(removed), held_back }
        };
        let held = |names: &str| Held::users(users(names));
        assert_eq!(plan("a b", false, held("a b")), PlannedAction::Nothing);
        assert_eq!(plan("b c", false, held("a b")), change(&["c"], &["a"], false));
        assert_eq!(plan("c", false, held("a b c")), change(&[], &["a", "b"], true));
        assert_eq!(plan("", false, held("a")), change(&[], &["a"], true));
        let off = Held::Users { everywhere: users("a"), anywhere: users("a b"), in_force: false };
        assert_eq!(plan("a b", true, off), change(&["b"], &[], false));
        let unknown = compared(&users("a"), false, Ok(Held::Unknown), &settings);
        assert_eq!(unknown, PlannedAction::Write { users: vec!["a".to_owned()] });
        let at_once = Settings { empty_confirmation: Duration::ZERO, max_removed: None };
        let emptied = compared(&users(""), false, Ok(held("a")), &at_once);
        assert_eq!(emptied, change(&[], &["a"], false));
    }
}
