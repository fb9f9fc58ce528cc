//! What a sync would change, found out without a change.

use std::sync::Arc;

use serde::Serialize;
use tokio::task::JoinSet;

use super::parts::Parts;
use crate::optoggles::{
    failure::Failure, machine::Settings, source::Answer, target::Held, users::Users,
};

/// What a sync would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The changes of each toggle at each of its targets, in the order of the configuration.
    pub changes: Vec<PlannedChange>,
}

/// What a sync would change of one toggle at one target.
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

/// What would be done.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PlannedAction {
    /// Nothing: the target has what the policy says.
    Nothing,
    /// The list would be changed.
    Change {
        /// The users who would get the toggle.
        added: Vec<String>,
        /// The users who would lose it.
        removed: Vec<String>,
        /// Whether the change would be held back, for removing more users than the limit allows or
        /// for removing all of them without confirmation.
        held_back: bool,
    },
    /// The target does not say what it has; it would be given this list.
    Write {
        /// All users.
        users: Vec<String>,
    },
    /// The rule is undefined: nothing would be written.
    Undefined,
    /// It cannot be told.
    Failed {
        /// Why.
        error: String,
    },
}

impl Plan {
    /// Whether anything would change.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        self.changes.iter().any(|change| {
            matches!(change.action, PlannedAction::Change { .. } | PlannedAction::Write { .. })
        })
    }

    /// Whether everything could be told.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.changes.iter().any(|change| matches!(change.action, PlannedAction::Failed { .. }))
    }
}

/// Asks all sources, reads all targets, and compares.
pub(crate) async fn plan(parts: Parts) -> Plan {
    let parts = Arc::new(parts);
    let mut tasks = JoinSet::new();
    for index in 0..parts.toggles.len() {
        let parts = parts.clone();
        tasks.spawn(async move { (index, planned(&parts, index).await) });
    }
    let mut found: Vec<_> = tasks.join_all().await;
    found.sort_unstable_by_key(|(index, _)| *index);
    Plan { changes: found.into_iter().flat_map(|(_, changes)| changes).collect() }
}

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

/// What would be done for a target to have these users.
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
            #[allow(clippy::cast_precision_loss, reason = "fewer users than 2^52")]
            let is_beyond = |limit: f64| removed.len() as f64 > limit * anywhere.len() as f64;
            let held_back = empties || settings.max_removed.is_some_and(is_beyond);
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
