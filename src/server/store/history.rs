//! What is remembered of former flags, so that streams can be told what has changed. No flag is kept:
//! where all of them change, the flags that were would take as much memory again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    selector::Selector,
    snapshot::{Changes, Snapshot, flag_set_id},
};
use crate::evaluator::Change;

/// How many updates are kept in detail: since the first of them, changes are known exactly.
const STEPS: usize = 4;

/// How many keys of flags that are gone are kept at least.
pub(crate) const MOST_REMOVED: usize = 10_000;

/// Former flags: where they were before each of the last updates; of all, when they changed last.
#[derive(Debug, Default)]
pub(crate) struct History {
    steps: VecDeque<Arc<Step>>,
    /// The version in which each flag was changed last; also of flags that are gone.
    changed: BTreeMap<Arc<str>, u64>,
    /// Before this version, not all removed keys are known.
    forgotten: u64,
}

/// An update of one source.
#[derive(Debug)]
pub(crate) struct Step {
    /// The version that it made.
    version: u64,
    source: usize,
    /// Where each flag that it changed was before: in which sources, later ones first, and there in
    /// which flag set.
    before: BTreeMap<Arc<str>, Box<[Place]>>,
}

type Place = (usize, Option<Box<str>>);

impl Step {
    /// An update of the flags of one source.
    fn new(former: &Snapshot, now: &Snapshot, source: usize) -> Self {
        let [new, old] = [now, former].map(|of| {
            of.sources.get(source).and_then(|source| source.flags.clone()).unwrap_or_default()
        });
        let place = |key: &str| {
            let sets = former.with_key(key);
            sets.map(|(at, set)| (at, flag_set_id(set, key).map(Box::from))).collect()
        };
        let before = new.changes_since(&old).into_keys().map(|key| (Arc::from(&*key), place(&key)));
        Self { version: now.version, source, before: before.collect() }
    }
}

impl History {
    /// Remembers what an update of one source has replaced.
    pub(crate) fn replaced(&mut self, former: &Snapshot, now: &Snapshot, source: usize) {
        let step = Step::new(former, now, source);
        self.changed.extend(step.before.keys().map(|key| (key.clone(), now.version)));
        let present: usize =
            now.sources.iter().flat_map(|source| &source.flags).map(|set| set.len()).sum();
        if self.changed.len() > present + MOST_REMOVED {
            let version = now.version;
            self.changed.retain(|key, changed| *changed == version || now.contains(key));
            self.forgotten = version - 1;
        }
        self.steps.push_back(Arc::new(step));
        if self.steps.len() > STEPS {
            self.steps.pop_front();
        }
    }

    /// All updates after one version up to another; none if they are not all kept.
    pub(crate) fn steps(&self, from: u64, to: u64) -> Option<Vec<Arc<Step>>> {
        let between = self.steps.iter().filter(|step| from < step.version && step.version <= to);
        let between: Vec<_> = between.cloned().collect();
        (from >= to || between.first().is_some_and(|first| first.version == from + 1))
            .then_some(between)
    }

    /// The keys that were changed since a version; none if they are not all known any more.
    pub(crate) fn since(&self, version: u64) -> Option<Vec<Arc<str>>> {
        let later = self.changed.iter().filter(|(_, changed)| **changed > version);
        (version >= self.forgotten).then(|| later.map(|(key, _)| key.clone()).collect())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.changed.len()
    }
}

/// What a client must hear that has missed these updates, the last of which made `now`.
pub(crate) fn exactly(steps: &[Arc<Step>], now: &Snapshot, selector: &Selector) -> Changes {
    let mut differing = BTreeSet::new();
    // The source whose flag was shown, as of ever earlier updates.
    let mut shown = BTreeMap::new();
    // Step by step: what has changed and changed back was seen meanwhile.
    for step in steps.iter().rev() {
        for (key, before) in &step.before {
            let after = shown.get(&**key).copied().unwrap_or_else(|| now.shown(selector, key));
            let before = before.iter().map(|(at, flag_set)| (*at, flag_set.as_deref()));
            let before = now.select(selector, before);
            if before != after || before == Some(step.source) {
                differing.insert(&**key);
            }
            shown.insert(&**key, before);
        }
    }
    let was_shown = |key: &str| shown.get(key).is_some_and(Option::is_some);
    told(differing.into_iter().map(|key| (key, was_shown(key))), now, selector)
}

/// What a client must hear that may have seen flags of these keys, nobody knows which.
pub(crate) fn at_most(keys: &[Arc<str>], now: &Snapshot, selector: &Selector) -> Changes {
    told(keys.iter().map(|key| (&**key, true)), now, selector)
}

/// What a client must hear of these keys, each with whether the client saw such a flag before.
fn told<'k>(
    keys: impl Iterator<Item = (&'k str, bool)>,
    now: &Snapshot,
    selector: &Selector,
) -> Changes {
    let flags = keys.map(|(key, was_shown)| {
        let change = match (was_shown, now.shown(selector, key)) {
            (_, None) => Change::Delete,
            (false, Some(_)) => Change::Write,
            (true, Some(_)) => Change::Update,
        };
        (key.to_owned(), change)
    });
    Changes { flags: flags.collect(), ..Changes::default() }
}

/// Which flags a stream was told of last. It does not keep them alive: clients may lag behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told(pub(crate) u64);

impl Told {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        Self(snapshot.version)
    }
}
