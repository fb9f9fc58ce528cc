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
    /// How many sources there are from the beginning. Those after them have a flag set of the
    /// program's each, and an empty one can be given to another flag set.
    fixed: usize,
    version: watch::Sender<u64>,
}

impl Store {
    /// A store for these sources, of which later ones win.
    pub(crate) fn new(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let sources = names.into_iter().map(|name| Loaded { name, flag_set: None, flags: None });
        let sources: Vec<_> = sources.collect();
        Self {
            fixed: sources.len(),
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
        let history = lock(&self.history);
        let current = self.current.load_full();
        let sources = current.sources.clone();
        self.replace(history, &current, sources, source, change)
    }

    /// As [`update`](Self::update), of a flag set that the program sets. It is added when it gets its
    /// first flags, and gone when it has none.
    pub(crate) fn update_flag_set<E>(
        &self,
        name: &str,
        id: &Arc<str>,
        change: impl FnOnce(&FlagSet) -> Result<FlagSet, E>,
    ) -> Result<(), E> {
        let history = lock(&self.history);
        let current = self.current.load_full();
        let mut sources = current.sources.clone();
        let at = flag_set(&current, id).unwrap_or_else(|| {
            let added = Loaded {
                name: name.into(),
                flag_set: Some(id.clone()),
                flags: Some(Arc::default()),
            };
            let is_empty = |source: &Loaded| source.flags.as_ref().is_none_or(|set| set.is_empty());
            let free = (self.fixed..sources.len()).find(|at| is_empty(&sources[*at]));
            if let Some(at) = free {
                sources[at] = added;
                return at;
            }
            sources.push(added);
            sources.len() - 1
        });
        self.replace(history, &current, sources, at, change)
    }

    /// The flags of a flag set that the program sets.
    pub(crate) fn flag_set(&self, id: &str) -> Option<Arc<FlagSet>> {
        let current = self.snapshot();
        let at = flag_set(&current, id)?;
        current.sources[at].flags.clone()
    }

    /// The flag sets that the program sets and that have flags, in the order of their ids.
    pub(crate) fn flag_sets(&self) -> Vec<Arc<str>> {
        let current = self.snapshot();
        let with_flags = current.sources[self.fixed..]
            .iter()
            .filter(|source| source.flags.as_ref().is_some_and(|set| !set.is_empty()));
        let mut ids: Vec<_> = with_flags.filter_map(|source| source.flag_set.clone()).collect();
        ids.sort_unstable();
        ids
    }

    fn replace<E>(
        &self,
        mut history: MutexGuard<'_, History>,
        current: &Arc<Snapshot>,
        mut sources: Vec<Loaded>,
        source: usize,
        change: impl FnOnce(&FlagSet) -> Result<FlagSet, E>,
    ) -> Result<(), E> {
        let former = sources[source].flags.take().unwrap_or_default();
        let mut flags = change(&former)?;
        flags.share(&former);
        sources[source].flags = Some(Arc::new(flags));
        let version = current.version + 1;
        let now = Arc::new(Snapshot::new(version, sources));
        // Before anybody sees the new flags: what has changed is known to all who ask for it.
        history.replaced(current, &now, source);
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

/// The place of a flag set that the program sets.
fn flag_set(current: &Snapshot, id: &str) -> Option<usize> {
    current.sources.iter().position(|source| source.flag_set.as_deref() == Some(id))
}

/// Locked data is replaced as a whole, so that a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
