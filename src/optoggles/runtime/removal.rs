//! Removes toggles that this program has created and that have left the configuration
//! (`removedToggles`).
//!
//! Only toggles in the [record](crate::optoggles::Record) are removed, never one that
//! somebody made by hand. The record keeps a toggle until its target has confirmed the
//! removal, so that a removal that was interrupted goes on at the next start.

use std::collections::HashSet;

use tokio::time::{Instant, sleep_until};

use super::{coordinator::Coordinator, parts::Parts};
use crate::optoggles::{
    machine::Retry,
    target::Removal,
    toggle::{Rule, Toggle},
};

/// A toggle to be removed from a target.
pub(super) struct Leaving {
    /// The index of the target.
    pub(super) target: usize,
    pub(super) toggle: Toggle,
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
        for (key, spec) in record.created(&target.id) {
            if !wanted.contains(&*key) {
                let mut toggle = Toggle::new(key, Rule::new("", ""));
                toggle.spec = spec;
                leaving.push(Leaving { target: index, toggle });
            }
        }
    }
    leaving
}

/// Spawns a task for each toggle that is to be removed. The tasks retry until the target has
/// removed the toggle, and are dropped with the coordinator; the next one begins anew.
pub(super) fn begin(parts: &Parts, coordinator: &mut Coordinator) {
    let (Some(removal), Some(record)) = (parts.removal, &parts.record) else { return };
    for Leaving { target, toggle } in leaving(parts) {
        let (target, record) = (parts.targets[target].clone(), record.clone());
        coordinator.spawn(async move {
            let mut retry = Retry::default();
            let remove = async || {
                let _permit = target.room.acquire().await;
                target.target.remove(&toggle, removal).await
            };
            while let Err(failure) = remove().await {
                let (key, target) = (&toggle.key, &target.id);
                let error = failure.line();
                tracing::warn!(toggle = %key, %target, error, "cannot remove the toggle");
                retry.failed(failure, Instant::now());
                if let Some(due) = retry.due() {
                    sleep_until(due).await;
                }
            }
            let (key, target) = (&toggle.key, &target.id);
            let how = if removal == Removal::Delete { "deleted" } else { "switched off" };
            tracing::info!(toggle = %key, %target, how, "the toggle has left the configuration");
            if let Err(error) = record.forget(target, key) {
                tracing::warn!(%error, "cannot record that the toggle was removed");
            }
        });
    }
}
