//! Toggles that this program has created and that have left the configuration.

use std::collections::HashSet;

use tokio::time::{Instant, sleep_until};

use super::{coordinator::Coordinator, parts::Parts};
use crate::optoggles::{
    machine::Retry,
    target::Removal,
    toggle::{Rule, Toggle},
};

/// Begins to take away what the record knows and the configuration does not.
pub(super) fn begin(parts: &Parts, coordinator: &mut Coordinator) {
    let (Some(removal), Some(record)) = (parts.removal, &parts.record) else { return };
    for (index, target) in parts.targets.iter().enumerate() {
        let wanted: HashSet<_> = parts
            .toggles
            .iter()
            .filter(|entry| entry.targets.contains(&index))
            .map(|entry| &*entry.toggle.key)
            .collect();
        for (key, spec) in record.created(&target.id) {
            if wanted.contains(&*key) {
                continue;
            }
            let mut toggle = Toggle::new(key, Rule::new("", ""));
            toggle.spec = spec;
            let (target, record) = (target.clone(), record.clone());
            coordinator.spawn(async move {
                let mut retry = Retry::default();
                let remove = async || {
                    let _permit = target.room.acquire().await;
                    target.target.remove(&toggle, removal).await
                };
                while let Err(failure) = remove().await {
                    let (key, target) = (&toggle.key, &target.id);
                    let error = failure.line();
                    tracing::warn!(toggle = %key, %target, error, "cannot take the toggle away");
                    retry.failed(failure, Instant::now());
                    if let Some(due) = retry.due() {
                        sleep_until(due).await;
                    }
                }
                let (key, target) = (&toggle.key, &target.id);
                let how = if removal == Removal::Delete { "deleted" } else { "switched off" };
                tracing::info!(toggle = %key, %target, how, "the toggle has left the configuration");
                if let Err(error) = record.forget(target, key) {
                    tracing::warn!(%error, "cannot record that the toggle is gone");
                }
            });
        }
    }
}
