//! What is known of each identity, and when it must be read. Pure: no clock, no I/O.
//!
//! An entry goes through these states. `live` means that the change stream has every
//! change of the identity since it was read, so that its age does not matter.
//!
//! ```text
//!             look up                    finish                  age is up
//! (nothing) -----------> being read ----------------> fresh ------------------> stale
//!                             |                         ^  Added, read since: live |
//!                             | fail                    +------- finish -----------+
//!                             v
//!                        failed: not read again before a pause is over
//! ```
//!
//! Numbers of changes decide what is newer, not times: a read says up to which change it
//! is complete (`sequence`), and the stream from which change on it has an identity
//! (`subscribed`). An entry is live if `sequence >= subscribed` and the stream is open.
//! The original data store has no such numbers, so its entries are never live.
//!
//! One read of an identity is underway at a time. Changes that arrive meanwhile are
//! kept, and applied to what was read if it does not contain them yet.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use lru::LruCache;
use tokio::{sync::watch, time::Instant};

use super::fields::{Fields, Typing, differing};

/// For how long an identity is not read again after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of the identities that were looked up last.
///
/// Every method takes a time no later than the present, and none does I/O or waits.
pub(super) struct Cache {
    entries: LruCache<String, Entry>,
    age: Duration,
    typing: Typing,
    /// Whether the change stream is open.
    connected: bool,
    /// Until when nothing is read, since the store is unreachable.
    down_until: Option<Instant>,
}

#[derive(Default)]
struct Entry {
    known: Option<Known>,
    /// The read that is underway.
    flight: Option<Flight>,
    /// The last read has failed; it is not repeated before this time.
    failed_until: Option<Instant>,
    /// From which change on the stream has all of this identity.
    subscribed: Option<u64>,
    /// Whether an evaluation has used no fields, since nothing was known.
    was_missed: bool,
}

struct Known {
    fields: Arc<Fields>,
    /// The fields have every change up to this one.
    sequence: Option<u64>,
    read_at: Instant,
}

struct Flight {
    /// What has changed since the read began.
    changes: Vec<(u64, Change)>,
    /// Whether an evaluation has waited for it in vain.
    in_vain: bool,
    /// Dropped with the flight, which wakes those who wait.
    ended: watch::Sender<()>,
}

/// A change from the stream.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A fact has this value, or none any more.
    Fact(String, Option<String>),
    Erased,
}

/// The result of a look-up.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Fields to use.
    Fresh(Arc<Fields>),
    /// Fields that are to be read again, and whether the last read has failed.
    Stale { fields: Arc<Fields>, has_failed: bool },
    /// Nothing is known yet: it is to be read.
    Nothing,
    /// The last read has failed and is not repeated yet, or takes too long. The fields are
    /// the last ones known.
    Failed(Option<Arc<Fields>>),
}

/// A read that has begun, or was underway.
pub(super) struct Begun {
    /// Closed when the read has ended.
    pub(super) ended: watch::Receiver<()>,
    /// Whether the caller has to read.
    pub(super) is_new: bool,
    /// The identity that was evicted for it.
    pub(super) evicted: Option<String>,
}

/// What has become of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finished {
    /// The fields that differ from what evaluations have used.
    pub(super) changed: Vec<String>,
    /// Whether to read again at once: the identity may have changed before its changes
    /// were in the stream.
    pub(super) again: bool,
}

impl Cache {
    pub(super) fn new(capacity: NonZeroUsize, age: Duration, typing: Typing) -> Self {
        let entries = LruCache::new(capacity);
        Self { entries, age, typing, connected: false, down_until: None }
    }

    /// Looks an identity up.
    pub(super) fn look_up(&mut self, identity: &str, now: Instant) -> Found {
        let is_down = self.down_until.is_some_and(|until| now < until);
        let Some(entry) = self.entries.get(identity) else {
            return if is_down { Found::Failed(None) } else { Found::Nothing };
        };
        if let Some(known) = &entry.known {
            let is_young = now.saturating_duration_since(known.read_at) < self.age;
            if is_young || (self.connected && entry.is_live(known)) {
                return Found::Fresh(Arc::clone(&known.fields));
            }
        }
        let fields = entry.known.as_ref().map(|known| Arc::clone(&known.fields));
        let is_paused = is_down || entry.failed_until.is_some_and(|until| now < until);
        match fields {
            fields if is_paused && entry.flight.is_none() => Found::Failed(fields),
            Some(fields) => Found::Stale { fields, has_failed: entry.failed_until.is_some() },
            // One evaluation has waited for this read in vain, so others need not try.
            None if entry.flight.as_ref().is_some_and(|flight| flight.in_vain) => {
                Found::Failed(None)
            }
            None => Found::Nothing,
        }
    }

    /// Begins a read, unless one is underway.
    pub(super) fn begin(&mut self, identity: &str) -> Begun {
        let mut evicted = None;
        if !self.entries.contains(identity) {
            let old = self.entries.push(identity.to_owned(), Entry::default());
            evicted = old.map(|(identity, _)| identity);
        }
        let Some(entry) = self.entries.get_mut(identity) else {
            // It cannot be missing: it was added above.
            return Begun { ended: watch::Sender::new(()).subscribe(), is_new: false, evicted };
        };
        let is_new = entry.flight.is_none();
        let flight = entry.flight.get_or_insert_with(|| Flight {
            changes: Vec::new(),
            in_vain: false,
            ended: watch::Sender::new(()),
        });
        Begun { ended: flight.ended.subscribe(), is_new, evicted }
    }

    /// Notes that an evaluation went on without the fields of a read.
    pub(super) fn missed(&mut self, identity: &str) {
        if let Some(entry) = self.entries.peek_mut(identity).filter(|entry| entry.known.is_none()) {
            entry.was_missed = true;
            if let Some(flight) = &mut entry.flight {
                flight.in_vain = true;
            }
        }
    }

    /// Takes what was read, with the changes that arrived meanwhile. It does nothing if
    /// the entry was evicted.
    pub(super) fn finish(
        &mut self,
        identity: &str,
        facts: &BTreeMap<String, String>,
        sequence: Option<u64>,
        now: Instant,
    ) -> Finished {
        self.down_until = None;
        let mut finished = Finished { changed: Vec::new(), again: false };
        let Some(entry) = self.entries.peek_mut(identity) else { return finished };
        let Some(flight) = entry.flight.take() else { return finished };
        let mut fields = self.typing.fields(facts);
        let mut sequence = sequence;
        for (at, change) in flight.changes {
            if sequence.is_some_and(|sequence| at > sequence) {
                change.apply(&mut fields, self.typing);
                sequence = Some(at);
            }
        }
        match &entry.known {
            Some(known) => finished.changed = differing(&known.fields, &fields),
            None if entry.was_missed => finished.changed = fields.keys().cloned().collect(),
            None => {}
        }
        entry.was_missed = false;
        entry.failed_until = None;
        let known = Known { fields, sequence, read_at: now };
        finished.again = entry.subscribed.is_some() && !entry.is_live(&known);
        entry.known = Some(known);
        finished
    }

    /// Takes the failure of a read. `is_down` says that another identity would fail too.
    pub(super) fn fail(&mut self, identity: &str, is_down: bool, now: Instant) {
        if is_down {
            self.down_until = Some(now + PAUSE);
        }
        if let Some(entry) = self.entries.peek_mut(identity) {
            entry.flight = None;
            entry.was_missed = entry.known.is_none();
            entry.failed_until = Some(now + PAUSE);
        }
    }

    /// Takes a change from the stream. Returns the fields that differ now.
    ///
    /// A change that the fields contain already is ignored. An entry that is not live takes
    /// it too, because it is newer, but stays to be read again.
    pub(super) fn apply(&mut self, identity: &str, at: u64, change: &Change) -> Vec<String> {
        let Some(entry) = self.entries.peek_mut(identity) else { return Vec::new() };
        if let Some(flight) = &mut entry.flight {
            flight.changes.push((at, change.clone()));
        }
        let subscribed = entry.subscribed;
        let Some(known) = &mut entry.known else { return Vec::new() };
        let Some(sequence) = known.sequence.filter(|sequence| at > *sequence) else {
            return Vec::new();
        };
        let before = Arc::clone(&known.fields);
        change.apply(&mut known.fields, self.typing);
        // Otherwise changes between what was read and the stream may still be missing.
        if subscribed.is_some_and(|from| sequence >= from) {
            known.sequence = Some(at);
        }
        differing(&before, &known.fields)
    }

    /// Notes that the stream has all changes of these identities after `sequence`.
    /// Returns those to be read, because they were read before.
    pub(super) fn subscribed(&mut self, identities: &[String], sequence: u64) -> Vec<String> {
        let mut to_read = Vec::new();
        for identity in identities {
            let Some(entry) = self.entries.peek_mut(identity) else { continue };
            entry.subscribed = Some(sequence);
            let is_live = entry.known.as_ref().is_some_and(|known| entry.is_live(known));
            if !is_live && entry.flight.is_none() {
                to_read.push(identity.clone());
            }
        }
        to_read
    }

    /// Notes that changes up to `sequence` were missed. Returns the identities to be read.
    pub(super) fn reset(&mut self, sequence: u64) -> Vec<String> {
        let mut subscribed = Vec::new();
        for (identity, entry) in &mut self.entries {
            if entry.subscribed.is_some() {
                entry.subscribed = Some(sequence);
                // The numbers may have begun anew, in a store that was restored.
                if let Some(known) = &mut entry.known {
                    known.sequence = None;
                }
                subscribed.push(identity.clone());
            }
        }
        self.subscribed(&subscribed, sequence)
    }

    /// Notes whether the change stream is open.
    pub(super) fn set_connected(&mut self, connected: bool) {
        self.connected = connected;
    }
}

impl Entry {
    /// Whether every change since these fields were read is in them or will be.
    fn is_live(&self, known: &Known) -> bool {
        let since = self.subscribed.zip(known.sequence);
        since.is_some_and(|(subscribed, sequence)| sequence >= subscribed)
    }
}

impl Change {
    pub(super) fn apply(&self, fields: &mut Arc<Fields>, typing: Typing) {
        match self {
            Self::Erased if fields.is_empty() => {}
            Self::Erased => *fields = Arc::default(),
            Self::Fact(key, value) => {
                let field = value.as_ref().and_then(|value| typing.field(key, value));
                match field {
                    Some(field) => {
                        Arc::make_mut(fields).insert(key.clone(), field);
                    }
                    None if fields.contains_key(key) => {
                        Arc::make_mut(fields).remove(key);
                    }
                    None => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
