//! Removes toggles that this program has created and that have left the configuration
//! (`removedToggles`).
//!
//! Only toggles in the [record](crate::optoggles::Record) are removed, never one that
//! somebody made by hand. Of one that this program was only about to create, the target
//! must confirm by its mark that it did. The record keeps a toggle until its target has
//! confirmed the removal, so that a removal that was interrupted goes on at the next start.

use std::collections::HashSet;

use super::parts::{Parts, Target};
use crate::optoggles::{
    failure::Failure,
    record::Record,
    target::Removal,
    toggle::{Rule, Toggle},
};

/// A toggle to be removed from a target.
pub(super) struct Leaving {
    /// The index of the target.
    pub(super) target: usize,
    pub(super) toggle: Toggle,
    /// Whether it is recorded that this program has created it, and not only that it was about
    /// to.
    pub(super) is_created: bool,
}

/// Returns the toggles that the record has and the configuration does not (any more), by
/// target.
pub(super) fn leaving(parts: &Parts) -> Vec<Leaving> {
    let (Some(_), Some(record)) = (parts.removal, &parts.record) else { return Vec::new() };
    let mut leaving = Vec::new();
    for (index, target) in parts.targets.iter().enumerate() {
        let wanted: HashSet<_> = parts
            .toggles
            .iter()
            .filter(|entry| entry.targets.contains(&index))
            .map(|entry| &*entry.toggle.key)
            .collect();
        let created = record.created(&target.id).into_iter().map(|found| (found, true));
        let intended = record.intended(&target.id).into_iter().map(|found| (found, false));
        for ((key, spec), is_created) in created.chain(intended) {
            if !wanted.contains(&*key) {
                let mut toggle = Toggle::new(key, Rule::new("", ""));
                toggle.mark = Some(record.mark(&toggle.key));
                toggle.spec = spec;
                leaving.push(Leaving { target: index, toggle, is_created });
            }
        }
    }
    leaving
}

impl Leaving {
    /// Removes the toggle, and forgets it. A repetition does no harm.
    pub(super) async fn remove(
        &self,
        target: &Target,
        removal: Removal,
        record: &Record,
    ) -> Result<(), Failure> {
        let _permit = target.room.acquire().await;
        let (key, id) = (&self.toggle.key, &target.id);
        if self.is_created || target.target.is_marked(&self.toggle).await? {
            target.target.remove(&self.toggle, removal).await?;
            let how = if removal == Removal::Delete { "deleted" } else { "switched off" };
            tracing::info!(toggle = %key, target = %id, how, "the toggle has left the configuration");
        }
        record.forget(id, key).await.map_err(Failure::temporary)
    }
}
