//! STATIC results by flag key and type, which flagd's change events invalidate.
//!
//! A read takes no lock, reads no clock, and writes only the first time after its entry was spared
//! or inserted, so a hot flag costs as much on eight cores as on one. All changes go through one
//! mutex, which also guards the order of eviction: least recently used, to a second chance.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use foldhash::fast::RandomState;
use lru::LruCache;
use open_feature::{EvaluationReason, FlagMetadata, Value, provider::ResolutionDetails};

use crate::flagd::{event::ChangedFlags, value_type::ValueType};

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
    /// Whether it was read since it was inserted, or last spared.
    used: AtomicBool,
}

struct Writer {
    /// Whether changes of flags would be received, so that what is inserted will not go stale.
    fresh: bool,
    /// The keys of all entries, by when they were inserted or last spared.
    order: LruCache<Key, (), RandomState>,
}

/// The cache.
pub(crate) struct Cache {
    capacity: usize,
    entries: papaya::HashMap<Key, Entry, RandomState>,
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
            epoch: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            hits: Counter::default(),
            misses: Counter::default(),
            writer: Mutex::new(Writer {
                fresh: false,
                order: LruCache::unbounded_with_hasher(RandomState::default()),
            }),
        }
    }

    pub(crate) fn is_disabled(&self) -> bool {
        self.capacity == 0
    }

    /// What `take` makes of the kept result, which has reason CACHED; `extract` takes the value of
    /// the type asked for.
    #[inline]
    pub(crate) fn get<T, R>(
        &self,
        of: ValueType,
        flag: &str,
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
        // A store that changes nothing would still take the cache line from the other readers.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
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

    /// Keeps a result, unless something was invalidated since `epoch`, or changes are not received:
    /// a response that was in flight when its flag changed must not bring the old value back.
    pub(crate) fn insert(&self, epoch: Epoch, of: ValueType, flag: &str, cached: Cached) {
        if self.is_disabled() {
            return;
        }
        let mut writer = self.lock();
        if !writer.fresh || epoch != self.epoch() {
            return;
        }
        let key = Key { of, flag: flag.into() };
        if !writer.order.contains(&key) && writer.order.len() >= self.capacity {
            self.evict(&mut writer.order);
        }
        writer.order.put(key.clone(), ());
        self.entries.pin().insert(key, Entry { cached, used: AtomicBool::new(false) });
    }

    /// Drops what has changed, and says whether results may be inserted from now on.
    pub(crate) fn update(&self, dropped: Option<&ChangedFlags>, fresh: bool) {
        let mut writer = self.lock();
        writer.fresh = fresh;
        let Some(dropped) = dropped else { return };
        self.epoch.fetch_add(1, Ordering::Release);
        let entries = self.entries.pin();
        let before = writer.order.len();
        match dropped {
            ChangedFlags::All => {
                entries.clear();
                writer.order.clear();
            }
            ChangedFlags::Keys(flags) => {
                for flag in flags.iter() {
                    for of in ValueType::ALL {
                        if let Some((key, _)) = entries.remove_entry(&Query { of, flag }) {
                            writer.order.pop(key);
                        }
                    }
                }
            }
        }
        let invalidated = before - writer.order.len();
        self.invalidations.fetch_add(invalidated as u64, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.sum(),
            misses: self.misses.sum(),
            entries: self.lock().order.len(),
            invalidations: self.invalidations.load(Ordering::Relaxed),
        }
    }

    /// Removes the oldest entry that was not read since its last turn; those that were read are
    /// spared once, and become the youngest.
    fn evict(&self, order: &mut LruCache<Key, (), RandomState>) {
        let entries = self.entries.pin();
        while let Some((key, ())) = order.pop_lru() {
            let used = |entry: &Entry| entry.used.swap(false, Ordering::Relaxed);
            if !entries.get(&key).is_some_and(used) {
                entries.remove(&key);
                return;
            }
            order.put(key, ());
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
