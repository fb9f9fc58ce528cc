//! What is remembered of former flags, so that streams can find what has changed
//! for their clients.
//!
//! No flag is kept: if an update changes all of them, the former flags would
//! take as much memory again. Two things are kept instead:
//!
//! - of the last [`STEPS`] updates, where each changed flag was before, which
//!   says exactly what a client with any selector has seen;
//! - of each key, the version that changed it last, which says less but is never
//!   too old for present flags. Of removed flags, [`MOST_REMOVED`] keys and
//!   some more are kept.
//!
//! A flag can also be *touched*: it is the same, but evaluates differently, because
//! a field of the context source has changed. Of each such flag, the last touch is
//! kept.
//!
//! For example, two sources, of which `two` comes later and wins, and a client
//! without a selector:
//!
//! ```text
//! version 1   one: a         client sees one's a
//! version 2   two: a         step 2: a was at [one]        -> a update
//! version 3   two: nothing   step 3: a was at [two, one]   -> a update
//! version 4   one: nothing   step 4: a was at [one]        -> a delete
//! ```
//!
//! A client that has missed versions 2 and 3 still receives `a update`, although
//! its flag is the same again: it may have evaluated the flag in between, and
//! must not keep that result.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use super::{
    selector::Selector,
    sent_version::SentVersion,
    snapshot::{Changes, Snapshot, flag_set_id},
};
use crate::evaluator::Change;

/// How many updates are kept in detail. Streams that lag behind by no more than
/// that know the changes exactly.
const STEPS: usize = 4;

/// How many keys of flags that no longer exist are kept at least.
pub(crate) const MOST_REMOVED: usize = 10_000;

/// What is remembered of former flags.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The last updates, at most [`STEPS`], the oldest first and without gaps.
    steps: VecDeque<Arc<Step>>,
    /// The version that changed each flag last, also of flags that no longer
    /// exist.
    changed: BTreeMap<Arc<str>, u64>,
    /// The keys that were removed up to this version are not all known.
    forgotten: u64,
    /// The last touch of each flag that still exists, by the place of its source and its
    /// key.
    touched: HashMap<(usize, Arc<str>), u64>,
}

/// An update of one source.
#[derive(Debug)]
pub(crate) struct Step {
    /// The version that it made.
    version: u64,
    /// The place of the source that it updated.
    source: usize,
    /// Where each flag that it changed was before: in which sources, later ones
    /// first, and there in which flag set.
    before: BTreeMap<Arc<str>, Box<[Place]>>,
}

/// The place of a source, and the flag set to which the flag belongs there.
type Place = (usize, Option<Box<str>>);

impl Step {
    /// Compares the flags of one source before and after an update. The places are
    /// those in all sources, because a change can show or hide other flags.
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
    /// Remembers what an update of one source has replaced, and forgets what is
    /// too old or too much.
    ///
    /// Keys of removed flags are forgotten all at once when there are too many, so
    /// that a program which adds and removes flags forever needs bounded memory.
    pub(crate) fn replaced(&mut self, former: &Snapshot, now: &Snapshot, source: usize) {
        let step = Step::new(former, now, source);
        self.changed.extend(step.before.keys().map(|key| (key.clone(), now.version)));
        if !self.touched.is_empty() {
            for key in step.before.keys().filter(|key| !now.has(source, key)) {
                self.touched.remove(&(source, key.clone()));
            }
        }
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

    /// Remembers that these flags were touched. `now` is the snapshot after that.
    pub(crate) fn touched(
        &mut self,
        flags: impl IntoIterator<Item = (usize, Arc<str>)>,
        now: &Snapshot,
    ) {
        let present = flags.into_iter().filter(|(source, key)| now.has(*source, key));
        self.touched.extend(present.map(|flag| (flag, now.touches)));
    }

    /// The flags that were touched last between a stream's last message and `now`.
    pub(crate) fn touched_since(
        &self,
        sent: SentVersion,
        now: &Snapshot,
    ) -> Vec<(usize, Arc<str>)> {
        if sent.touches == now.touches {
            return Vec::new();
        }
        // What was touched once more after `now` is found by whoever is woken by that.
        let between = |touch: u64| sent.touches < touch && touch <= now.touches;
        let flags = self.touched.iter().filter(|(_, touch)| between(**touch));
        flags.map(|(flag, _)| flag.clone()).collect()
    }

    /// The updates after version `from` up to version `to`; none if they are no
    /// longer all kept.
    pub(crate) fn steps(&self, from: u64, to: u64) -> Option<Vec<Arc<Step>>> {
        let between = self.steps.iter().filter(|step| from < step.version && step.version <= to);
        let between: Vec<_> = between.cloned().collect();
        (from >= to || between.first().is_some_and(|first| first.version == from + 1))
            .then_some(between)
    }

    /// The keys that were changed after a version; none if they are no longer all
    /// known.
    pub(crate) fn since(&self, version: u64) -> Option<Vec<Arc<str>>> {
        let later = self.changed.iter().filter(|(_, changed)| **changed > version);
        (version >= self.forgotten).then(|| later.map(|(key, _)| key.clone()).collect())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.changed.len()
    }

    #[cfg(test)]
    pub(crate) fn touches(&self) -> usize {
        self.touched.len()
    }
}

/// What a client must receive that has missed these updates, the last of which
/// made `now`.
///
/// It goes backwards from `now`, where it is known which flag the selector shows.
/// Each step says where the flag was before it. A flag has changed for the client
/// if another source's flag was shown before, or if the shown flag itself was
/// changed.
pub(crate) fn exactly(steps: &[Arc<Step>], now: &Snapshot, selector: &Selector) -> Changes {
    let mut differing = BTreeSet::new();
    // The source whose flag was shown before the update that was looked at last.
    let mut shown = BTreeMap::new();
    // Step by step, because a client may have seen what has changed and changed back.
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
    changes(differing.into_iter().map(|key| (key, was_shown(key))), now, selector)
}

/// What a client must receive that may have seen flags with any of these keys. It
/// is not known which, so each counts as seen.
pub(crate) fn at_most(keys: &[Arc<str>], now: &Snapshot, selector: &Selector) -> Changes {
    changes(keys.iter().map(|key| (&**key, true)), now, selector)
}

/// What a client must receive about these keys. Each comes with whether the client
/// saw a flag of that key before.
fn changes<'k>(
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
