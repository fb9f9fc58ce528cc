//! What is remembered of former flags, so that streams can be told what has changed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::Snapshot;

/// How many former snapshots are kept: since one of them, changes are known exactly.
const SNAPSHOTS: usize = 4;

/// How many keys of flags that are gone are kept at least.
pub(super) const MOST_REMOVED: usize = 10_000;

/// Former flags: the latest as they were, of all others when they changed last.
#[derive(Debug, Default)]
pub(super) struct History {
    former: VecDeque<Arc<Snapshot>>,
    /// The version in which each flag was changed last; also of flags that are gone.
    changed: BTreeMap<Arc<str>, u64>,
    /// Before this version, not all removed keys are known.
    forgotten: u64,
}

impl History {
    /// Remembers what `now` has replaced.
    pub(super) fn replaced(&mut self, former: Arc<Snapshot>, now: &Snapshot) {
        self.changed.extend(now.touched(&former).into_iter().map(|key| (key, now.version)));
        let present: usize =
            now.sources.iter().flat_map(|source| &source.flags).map(|set| set.len()).sum();
        if self.changed.len() > present + MOST_REMOVED {
            let version = now.version;
            self.changed.retain(|key, changed| *changed == version || now.contains(key));
            self.forgotten = version - 1;
        }
        self.former.push_back(former);
        if self.former.len() > SNAPSHOTS {
            self.former.pop_front();
        }
    }

    /// All snapshots from one version up to another; none if they are not all kept.
    pub(super) fn snapshots(&self, from: u64, to: u64) -> Option<Vec<Arc<Snapshot>>> {
        let between = self.former.iter().filter(|former| (from..to).contains(&former.version));
        let between: Vec<_> = between.cloned().collect();
        (from >= to || between.first().is_some_and(|first| first.version == from))
            .then_some(between)
    }

    /// The keys that were changed since a version; none if they are not all known any more.
    pub(super) fn since(&self, version: u64) -> Option<Vec<Arc<str>>> {
        let later = self.changed.iter().filter(|(_, changed)| **changed > version);
        (version >= self.forgotten).then(|| later.map(|(key, _)| key.clone()).collect())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.changed.len()
    }
}

/// Which flags a stream was told of last. It does not keep them alive: clients may lag behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told(pub(super) u64);

impl Told {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        Self(snapshot.version)
    }
}
