//! STATIC results by flag key and type, which flagd's change events invalidate.
//!
//! A read takes no lock and writes nothing that another reader looks at: a hot flag costs as much
//! on eight cores as on one. All changes go through one mutex. Pure: time is passed in.

mod recency;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use foldhash::fast::RandomState;
use open_feature::{EvaluationReason, FlagMetadata, Value, provider::ResolutionDetails};

use self::recency::Recency;
use super::{events::ChangedFlags, value_type::ValueType};

/// What the cache was at the time of a call; see [`Cache::insert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// A result to keep, or kept.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) value: Value,
    pub(crate) variant: Option<String>,
    pub(crate) metadata: Option<FlagMetadata>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    of: ValueType,
    flag: Arc<str>,
}

/// A key to look up, without an allocation. It hashes as [`Key`] does.
struct Query<'a> {
    of: ValueType,
    flag: &'a str,
}

impl Hash for Query<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.of.hash(state);
        self.flag.hash(state);
    }
}

impl papaya::Equivalent<Key> for Query<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.of == key.of && self.flag == &*key.flag
    }
}

struct Entry {
    cached: Cached,
    /// The stamp of its insertion, which tells this entry from earlier ones of the same key.
    born: u64,
    /// The stamp of its last use.
    used: AtomicU64,
}

/// By use, the oldest first.
type Turn = Reverse<(u64, u64, Key)>;

#[derive(Default)]
struct Writer {
    /// Whether changes of flags would be heard of, so that what is inserted will not go stale.
    fresh: bool,
    entries: usize,
    /// One turn for each entry, by its use at some time past; and turns of entries that are gone.
    turns: BinaryHeap<Turn>,
}

/// The cache.
pub(crate) struct Cache {
    capacity: usize,
    entries: papaya::HashMap<Key, Entry, RandomState>,
    recency: Recency,
    epoch: AtomicU64,
    invalidations: AtomicU64,
    hits: Counter,
    misses: Counter,
    writer: Mutex<Writer>,
}

/// What the cache has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheStats {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) entries: usize,
    pub(crate) invalidations: u64,
}

impl Cache {
    /// With a capacity of 0 nothing is ever kept.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: papaya::HashMap::default(),
            recency: Recency::default(),
            epoch: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            hits: Counter::default(),
            misses: Counter::default(),
            writer: Mutex::default(),
        }
    }

    pub(crate) fn is_disabled(&self) -> bool {
        self.capacity == 0
    }

    /// What `take` makes of the kept result, which has reason CACHED; `extract` takes the value of
    /// the type asked for, and `now` is in milliseconds.
    #[inline]
    pub(crate) fn get<T, R>(
        &self,
        of: ValueType,
        flag: &str,
        now: impl FnOnce() -> u64,
        extract: impl FnOnce(&Value) -> Option<T>,
        take: impl FnOnce(ResolutionDetails<T>) -> R,
    ) -> Option<R> {
        if self.is_disabled() {
            return None;
        }
        let entries = self.entries.pin();
        let found = entries.get(&Query { of, flag });
        let Some((entry, value)) = found.and_then(|e| Some((e, extract(&e.cached.value)?))) else {
            self.misses.add();
            return None;
        };
        self.hits.add();
        self.recency.touch(&entry.used, now);
        Some(take(ResolutionDetails {
            value,
            variant: entry.cached.variant.clone(),
            reason: Some(EvaluationReason::Cached),
            flag_metadata: entry.cached.metadata.clone(),
        }))
    }

    /// To be taken before a call whose result may be inserted.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Keeps a result, unless something was invalidated since `epoch`, or changes are not heard of:
    /// an answer that was on its way when its flag changed must not bring the old value back.
    pub(crate) fn insert(&self, epoch: Epoch, of: ValueType, flag: &str, cached: Cached, now: u64) {
        if self.is_disabled() {
            return;
        }
        let mut writer = self.lock();
        if !writer.fresh || epoch != self.epoch() {
            return;
        }
        let entries = self.entries.pin();
        if !entries.contains_key(&Query { of, flag }) {
            while writer.entries >= self.capacity && self.evict(&mut writer) {}
            writer.entries += 1;
        }
        let key = Key { of, flag: flag.into() };
        let born = self.recency.stamp(now);
        writer.turns.push(Reverse((born, born, key.clone())));
        entries.insert(key, Entry { cached, born, used: AtomicU64::new(born) });
        self.forget_gone(&mut writer);
    }

    /// Drops what has changed, and says whether results may be inserted from now on.
    pub(crate) fn update(&self, dropped: Option<&ChangedFlags>, fresh: bool) {
        let mut writer = self.lock();
        writer.fresh = fresh;
        let Some(dropped) = dropped else { return };
        self.epoch.fetch_add(1, Ordering::Release);
        let entries = self.entries.pin();
        let before = writer.entries;
        match dropped {
            ChangedFlags::All => {
                entries.clear();
                writer.entries = 0;
                writer.turns = BinaryHeap::new();
            }
            ChangedFlags::Keys(flags) => {
                for flag in flags.iter() {
                    for of in ValueType::ALL {
                        if entries.remove(&Query { of, flag }).is_some() {
                            writer.entries -= 1;
                        }
                    }
                }
            }
        }
        self.invalidations.fetch_add((before - writer.entries) as u64, Ordering::Relaxed);
        self.forget_gone(&mut writer);
    }

    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.sum(),
            misses: self.misses.sum(),
            entries: self.lock().entries,
            invalidations: self.invalidations.load(Ordering::Relaxed),
        }
    }

    /// Removes the least recently used entry. A turn says when its entry was used at some time;
    /// where it was used since, the turn moves back, and the first that did not move is the oldest.
    fn evict(&self, writer: &mut Writer) -> bool {
        let entries = self.entries.pin();
        while let Some(Reverse((used, born, key))) = writer.turns.pop() {
            let query = Query { of: key.of, flag: &key.flag };
            match entries.get(&query).filter(|entry| entry.born == born) {
                None => {}
                Some(entry) => match entry.used.load(Ordering::Relaxed) {
                    last if last > used => writer.turns.push(Reverse((last, born, key))),
                    _ => {
                        entries.remove(&query);
                        writer.entries -= 1;
                        return true;
                    }
                },
            }
        }
        false
    }

    /// Bounds the turns of entries that are gone.
    fn forget_gone(&self, writer: &mut Writer) {
        if writer.turns.len() > 2 * writer.entries + 64 {
            let entries = self.entries.pin();
            writer.turns.retain(|Reverse((_, born, key))| {
                let query = Query { of: key.of, flag: &key.flag };
                entries.get(&query).is_some_and(|entry| entry.born == *born)
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count that threads add to without meeting: each has a place that few others share.
#[derive(Default)]
struct Counter([Place; PLACES]);

const PLACES: usize = 32;

/// As long as two cache lines, since processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Place(AtomicU64);

impl Counter {
    fn add(&self) {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static PLACE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % PLACES;
        }
        self.0[PLACE.with(|place| *place)].0.fetch_add(1, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|place| place.0.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests;
