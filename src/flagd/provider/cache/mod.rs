//! The cache of the resolver `rpc`: STATIC results by flag key and type, which
//! flagd's change events invalidate.
//!
//! A STATIC result does not depend on the evaluation context, so the context is
//! not part of the key and one entry serves every caller. The rules are those of
//! [flag evaluation caching] in the flagd provider specification and of "The
//! cache" in `docs/resolvers.md`. There is no time to live: an entry stays until
//! its flag changes, the connection has been lost, or the entry is evicted.
//!
//! # Reads
//!
//! A read takes no lock, reads no clock, and writes only the first time after
//! its entry was inserted or spared. A flag that is read on every core therefore
//! costs the same as on one. For the same reason hits and misses are counted in
//! [`Counter`], which threads do not share.
//!
//! # Changes
//!
//! Everything else goes through one mutex, which guards the order of eviction
//! too. The keys of `entries` and of `order` are the same whenever the mutex is
//! not held.
//!
//! # The race of a response with a change
//!
//! A response may have been computed before a change and arrive after it. If it
//! were inserted, the old value would be served until the next change. Each
//! invalidation therefore begins a new epoch, and a result is inserted only in
//! the epoch in which its call began:
//!
//! ```text
//! call                      event stream
//! epoch() = 7
//! request  -->
//!                           configuration_change: epoch 8
//! <-- response (old value)
//! insert(epoch 7): dropped
//! ```
//!
//! The epoch is that of the whole cache rather than of a key. A change of
//! another flag thus discards a result that was still valid, which costs one more
//! call and saves a count for every flag that was ever requested.
//!
//! # Eviction
//!
//! A full cache removes the least recently used entry, to a second chance. An
//! exact order would have to be updated by each read, under a lock. Instead a
//! read sets a bit, and an entry whose bit is set is spared once when its turn
//! comes:
//!
//! ```text
//! order: a* b  c     (* was read)     insert d
//! a was read: it is spared and becomes the youngest
//! b was not:  it is removed
//! order: c  a  d
//! ```
//!
//! [flag evaluation caching]: https://flagd.dev/reference/specifications/providers/#flag-evaluation-caching

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

/// How many invalidations there had been when a call began; see
/// [`Cache::insert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// A result to keep. It has no reason: what the cache returns is CACHED.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    /// The value. Its variant is that of the requested [`ValueType`].
    pub(crate) value: Value,
    pub(crate) variant: Option<String>,
    pub(crate) metadata: Option<FlagMetadata>,
}

/// A flag key together with the type that was requested.
///
/// flagd has one number type, so the same flag may be requested as an integer
/// and as a float, with different values (0.5 is 0 as an integer).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    of: ValueType,
    flag: Arc<str>,
}

/// A borrowed [`Key`], so that a read does not allocate. It must hash as `Key`
/// does.
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

/// A kept result and its mark for eviction.
struct Entry {
    cached: Cached,
    /// Whether the entry was read since it was inserted or last spared. Readers
    /// set it; eviction clears it.
    used: AtomicBool,
}

/// What only changes of the cache need.
struct Writer {
    /// Whether change events arrive (READY). Otherwise nothing would remove an
    /// inserted result, so nothing is inserted.
    fresh: bool,
    /// The keys of all entries, ordered by when they were inserted or last
    /// spared. Its own capacity is unlimited: [`Cache::evict`] decides.
    order: LruCache<Key, (), RandomState>,
}

/// The cache. It is shared by all evaluations and by the provider's task.
pub(crate) struct Cache {
    /// How many results are kept (`maxCacheSize`); 0 turns the cache off.
    capacity: usize,
    /// Read without a lock, and changed only while `writer` is locked.
    entries: papaya::HashMap<Key, Entry, RandomState>,
    /// The number of invalidations so far, also of those that removed nothing.
    epoch: AtomicU64,
    /// How many results were removed by invalidations. Evictions do not count.
    invalidations: AtomicU64,
    hits: Counter,
    misses: Counter,
    writer: Mutex<Writer>,
}

/// The counters of a cache; [`Stats`](super::Stats) shows them to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheStats {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) entries: usize,
    pub(crate) invalidations: u64,
}

impl Cache {
    /// An empty cache for so many results. With a capacity of 0, nothing is
    /// kept or counted.
    ///
    /// Nothing is inserted until [`update`](Self::update) says that changes
    /// arrive.
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

    /// Whether the cache is off.
    pub(crate) fn is_disabled(&self) -> bool {
        self.capacity == 0
    }

    /// Passes a cached result to `take`, with the reason CACHED; `extract`
    /// converts the value to the requested type.
    ///
    /// Returns `None` if there is no result for this flag and type, which counts
    /// as a miss.
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
        // A store that changes nothing would still take the cache line away from other cores.
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

    /// The current epoch. Take it before the call whose result may be inserted.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Keeps a result, unless something was invalidated since `epoch` or changes
    /// do not arrive.
    ///
    /// A response that was in flight when its flag changed must not bring the old
    /// value back. The epoch is compared under the mutex, so no invalidation can
    /// come between the comparison and the insertion.
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

    /// Removes the results of flags that have changed, and sets whether results
    /// may be inserted from now on.
    ///
    /// Results that are not dropped stay readable even while nothing may be
    /// inserted: in STALE, cached results are still served.
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

    /// The counters. Hits and misses are exact once the threads that evaluate
    /// have been joined; while they run, the sum may lag behind.
    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.sum(),
            misses: self.misses.sum(),
            entries: self.lock().order.len(),
            invalidations: self.invalidations.load(Ordering::Relaxed),
        }
    }

    /// Removes the oldest entry that was not read since its last turn. Entries
    /// that were read are spared once and become the youngest.
    ///
    /// It spares each entry once at most, however often readers read meanwhile: the
    /// mutex is held.
    fn evict(&self, order: &mut LruCache<Key, (), RandomState>) {
        let entries = self.entries.pin();
        let mut spared = 0;
        let most = order.len();
        while let Some((key, ())) = order.pop_lru() {
            let used = |entry: &Entry| entry.used.swap(false, Ordering::Relaxed);
            if spared == most || !entries.get(&key).is_some_and(used) {
                entries.remove(&key);
                return;
            }
            spared += 1;
            order.put(key, ());
        }
    }

    /// A panic while the mutex was held leaves nothing that a later change could
    /// not repair, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A counter to which threads add without contention.
///
/// A single atomic counter would move between the cores with every hit. Here each
/// thread adds to a place of its own, which it shares only if there are more than
/// [`PLACES`] threads, and a reader sums them up.
#[derive(Default)]
struct Counter([Place; PLACES]);

/// The number of places of a [`Counter`], which takes 4 KiB with them.
const PLACES: usize = 32;

/// A part of a [`Counter`], as long as two cache lines, because processors fetch
/// them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Place(AtomicU64);

impl Counter {
    /// Adds one, in the place of the current thread. Threads get their places in
    /// turn, the first time that they add to any counter.
    fn add(&self) {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static PLACE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % PLACES;
        }
        self.0[PLACE.with(|place| *place)].0.fetch_add(1, Ordering::Relaxed);
    }

    /// The sum of all places, which are read one after the other.
    fn sum(&self) -> u64 {
        self.0.iter().map(|place| place.0.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests;
