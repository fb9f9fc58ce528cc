//! The flags of all sources: a snapshot that readers take without a lock, and
//! that an update replaces as a whole.
//!
//! ```text
//! feeds, Flags --- update --> Store --- snapshot() --> requests
//! context source - touch ---> Store --- watch() -----> streams: there is something new
//!                                   --- changes() ---> streams: this is new to you
//! ```
//!
//! An update replaces flags. A touch leaves them as they are, but they evaluate
//! differently, because a field that their rules read has changed.
//!
//! # Invariants
//!
//! - Each update makes a version one higher than the last, and each touch a number
//!   of touches. A [`Snapshot`] never changes after it is published, except for what
//!   it caches.
//! - Writers come one after another, under the lock of the [`History`], which is
//!   written before the snapshot is published. Whoever sees a snapshot can
//!   therefore learn how it came about.
//! - The watch is notified last, so whoever is woken finds the new snapshot.
//! - The place of a source in the snapshot never changes, and later places win.
//!
//! # Why streams do not keep their old snapshot
//!
//! To find what is new, a stream could compare the snapshot that it sent last
//! with the current one. But a client that reads slowly would then keep all
//! former flags in memory. A stream keeps only a version number ([`SentVersion`]), and
//! the [`history`] remembers what has changed since.

pub(crate) mod history;
mod remembered;
pub(crate) mod selector;
pub(crate) mod sent_version;
pub(crate) mod snapshot;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use self::{
    history::History,
    selector::Selector,
    sent_version::SentVersion,
    snapshot::{Changes, Loaded, Snapshot},
};
use crate::evaluator::{Change, FlagSet};

/// The flags of all sources, as they change.
#[derive(Debug)]
pub(crate) struct Store {
    current: ArcSwap<Snapshot>,
    /// Its lock is also the lock of the writers.
    history: Mutex<History>,
    /// How many sources there are from the start. Each place after them holds a
    /// flag set of the program; an empty one can be reused for another flag set.
    fixed: usize,
    /// The version of the current snapshot, to wake those who wait for another.
    version: watch::Sender<u64>,
    /// How many updates and touches there were, for those who wait for either.
    news: watch::Sender<u64>,
}

impl Store {
    /// A store for these sources, of which later ones win. None of them has
    /// delivered anything yet.
    pub(crate) fn new(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let sources = names.into_iter().map(|name| Loaded {
            name,
            flag_set: None,
            flags: None,
            readers: Arc::default(),
        });
        let sources: Vec<_> = sources.collect();
        Self {
            fixed: sources.len(),
            current: ArcSwap::from_pointee(Snapshot::new(0, 0, sources)),
            history: Mutex::default(),
            version: watch::Sender::new(0),
            news: watch::Sender::new(0),
        }
    }

    /// The current flags, without a lock.
    ///
    /// The guard is for one request. Whoever keeps the flags longer clones the
    /// `Arc` in it, because guards are few per thread.
    pub(crate) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Notifies when there are other flags. Versions may be skipped.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Notifies when there are other flags, or flags were touched.
    pub(crate) fn watch_with_touches(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Notes that flags evaluate differently than before, although they are the same.
    /// Each comes with the place of its source.
    pub(crate) fn touch(&self, flags: impl IntoIterator<Item = (usize, Arc<str>)>) {
        let mut history = lock(&self.history);
        let now = Arc::new(self.current.load().touched());
        history.touched(flags, &now);
        self.current.store(now);
        drop(history);
        self.news.send_modify(|news| *news += 1);
    }

    /// Replaces the flags of one source with what `change` makes of them. Flags
    /// that stay the same are shared with the former ones.
    ///
    /// Writers wait for one another. `change` runs under their lock.
    ///
    /// # Errors
    ///
    /// Returns the error of `change`. Nothing has changed then.
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

    /// Does the same as [`update`](Self::update) for a flag set of the program.
    ///
    /// Its place is added, or an empty one is reused, when it gets its first
    /// flags. Without flags, it no longer exists to clients.
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
                readers: Arc::default(),
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

    /// The flags of a flag set of the program; none if it has no place.
    pub(crate) fn flag_set(&self, id: &str) -> Option<Arc<FlagSet>> {
        let current = self.snapshot();
        let at = flag_set(&current, id)?;
        current.sources[at].flags.clone()
    }

    /// The ids of the program's flag sets that have flags, sorted.
    pub(crate) fn flag_sets(&self) -> Vec<Arc<str>> {
        let current = self.snapshot();
        let with_flags = current.sources[self.fixed..]
            .iter()
            .filter(|source| source.flags.as_ref().is_some_and(|set| !set.is_empty()));
        let mut ids: Vec<_> = with_flags.filter_map(|source| source.flag_set.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Publishes the next snapshot, in which `source` has other flags. `history` is
    /// the lock of the writers, so `current` is still the current snapshot.
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
        sources[source].readers = Arc::default();
        let version = current.version + 1;
        let now = Arc::new(Snapshot::new(version, current.touches, sources));
        // Before anybody sees the new flags, so that whoever does can ask what has changed.
        history.replaced(current, &now, source);
        self.current.store(now);
        drop(history);
        self.version.send_replace(version);
        self.news.send_modify(|news| *news += 1);
        Ok(())
    }

    /// What has changed since the version that a stream sent last, of the flags
    /// that the selector shows. A flag that was touched counts as updated.
    ///
    /// Everything that has changed is in it. If the version is only a few updates
    /// old, nothing else is; if it is older, flags that the client never saw may
    /// be in it too. It is none if even the keys are no longer known.
    ///
    /// Many streams ask the same after an update; the result is computed once.
    pub(crate) fn changes(
        &self,
        sent: SentVersion,
        now: &Snapshot,
        selector: &Selector,
    ) -> Option<Arc<Changes>> {
        now.changes.get((selector.clone(), sent), || {
            let history = lock(&self.history);
            let steps = history.steps(sent.version, now.version);
            let steps = steps.ok_or_else(|| history.since(sent.version));
            let touched = history.touched_since(sent, now);
            drop(history);
            let mut changes = match steps {
                Ok(steps) => history::exactly(&steps, now, selector),
                Err(keys) => history::at_most(&keys?, now, selector),
            };
            for (source, key) in touched {
                if now.shown(selector, &key) == Some(source) {
                    changes.flags.entry(key.to_string()).or_insert(Change::Update);
                }
            }
            Some(Arc::new(changes))
        })
    }
}

/// The place of a flag set of the program.
fn flag_set(current: &Snapshot, id: &str) -> Option<usize> {
    current.sources.iter().position(|source| source.flag_set.as_deref() == Some(id))
}

/// Locks even after a panic of another holder. The only code of others that runs
/// under the lock is `change`, which runs before anything is written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
