//! The flags of all sources: a snapshot that readers take without a lock, replaced as a whole.

pub(crate) mod history;
mod remembered;
pub(crate) mod selector;
pub(crate) mod snapshot;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use self::{
    history::{History, Told},
    selector::Selector,
    snapshot::{Changes, Loaded, Snapshot},
};
use crate::evaluator::FlagSet;

/// The flags of all sources, as they change.
#[derive(Debug)]
pub(crate) struct Store {
    current: ArcSwap<Snapshot>,
    history: Mutex<History>,
    version: watch::Sender<u64>,
}

impl Store {
    /// A store for these sources, of which later ones win.
    pub(crate) fn new(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let sources = names.into_iter().map(|name| Loaded { name, flags: None }).collect();
        Self {
            current: ArcSwap::from_pointee(Snapshot::new(0, sources)),
            history: Mutex::default(),
            version: watch::Sender::new(0),
        }
    }

    /// The flags as they are now, without a lock.
    pub(crate) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Tells when there is another snapshot.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Replaces the flags of one source by what `change` makes of them; flags that are the same stay.
    /// Writers come one after the other; after an error nothing has changed.
    pub(crate) fn update<E>(
        &self,
        source: usize,
        change: impl FnOnce(&FlagSet) -> Result<FlagSet, E>,
    ) -> Result<(), E> {
        let mut history = lock(&self.history);
        let current = self.current.load_full();
        let mut sources = current.sources.clone();
        let former = sources[source].flags.take().unwrap_or_default();
        let mut flags = change(&former)?;
        flags.share(&former);
        sources[source].flags = Some(Arc::new(flags));
        let version = current.version + 1;
        let now = Arc::new(Snapshot::new(version, sources));
        // Before anybody sees the new flags: what has changed is known to all who ask for it.
        history.replaced(&current, &now, source);
        self.current.store(now);
        drop(history);
        self.version.send_replace(version);
        Ok(())
    }

    /// What has changed since a stream was told something, of what the selector shows. All that has
    /// changed is in it, and more only where that is long past; none if that is so long ago that
    /// nobody knows.
    pub(crate) fn changes(
        &self,
        told: Told,
        now: &Snapshot,
        selector: &Selector,
    ) -> Option<Arc<Changes>> {
        now.changes.get((selector.clone(), told.0), || {
            let history = lock(&self.history);
            let steps = history.steps(told.0, now.version).ok_or_else(|| history.since(told.0));
            drop(history);
            Some(Arc::new(match steps {
                Ok(steps) => history::exactly(&steps, now, selector),
                Err(keys) => history::at_most(&keys?, now, selector),
            }))
        })
    }
}

/// Locked data is replaced as a whole, so that a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
