//! The cache by itself: what it returns, what it removes, and the race of a response with a change.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn keys<const N: usize>(keys: [&str; N]) -> ChangedFlags {
    ChangedFlags::Keys(keys.map(str::to_owned).into())
}

fn cache(capacity: usize) -> Cache {
    let cache = Cache::new(capacity);
    cache.update(None, true);
    cache
}

fn int(value: i64) -> Cached {
    Cached { value: Value::Int(value), variant: Some(format!("v{value}")), metadata: None }
}

fn put(cache: &Cache, flag: &str, value: i64) {
    cache.insert(cache.epoch(), ValueType::Int, flag, int(value));
}

fn get(cache: &Cache, flag: &str) -> Option<i64> {
    cache.get(ValueType::Int, flag, Value::as_i64, |details| details.value)
}

#[test]
fn a_result_comes_back_as_cached_with_variant_and_metadata() {
    let cache = cache(1);
    let metadata = FlagMetadata::default().with_value("owner", "team");
    let cached = Cached { metadata: Some(metadata.clone()), ..int(7) };
    cache.insert(cache.epoch(), ValueType::Int, "f", cached);
    let details = cache.get(ValueType::Int, "f", Value::as_i64, |details| details).unwrap();
    assert_eq!(details.value, 7);
    assert_eq!(details.variant.as_deref(), Some("v7"));
    assert_eq!(details.reason, Some(EvaluationReason::Cached));
    assert_eq!(details.flag_metadata, Some(metadata));
}

#[test]
fn a_value_is_given_only_for_the_type_that_was_asked() {
    let cache = cache(8);
    put(&cache, "f", 7);
    for of in ValueType::ALL.into_iter().filter(|of| *of != ValueType::Int) {
        assert!(cache.get(of, "f", Value::as_i64, |_| ()).is_none(), "{of:?}");
    }
    assert_eq!(get(&cache, "f"), Some(7));
}

/// The exact interleaving: the call starts, its flag is invalidated, the response arrives.
#[test]
fn an_answer_that_was_on_its_way_when_its_flag_changed_is_not_kept() {
    for change in [keys(["f"]), keys(["other"]), ChangedFlags::All] {
        let cache = cache(8);
        let epoch = cache.epoch();
        cache.update(Some(&change), true);
        cache.insert(epoch, ValueType::Int, "f", int(1));
        assert_eq!(get(&cache, "f"), None, "{change:?}");
        put(&cache, "f", 2);
        assert_eq!(get(&cache, "f"), Some(2), "the next answer is kept");
    }
}

#[test]
fn nothing_is_kept_while_changes_are_not_heard_of_but_what_is_there_is_given() {
    let cache = cache(8);
    put(&cache, "before", 1);
    cache.update(None, false);
    put(&cache, "during", 2);
    assert_eq!((get(&cache, "before"), get(&cache, "during")), (Some(1), None));
    cache.update(Some(&ChangedFlags::All), true);
    assert_eq!(get(&cache, "before"), None);
}

#[test]
fn a_change_drops_the_named_flags_of_every_type_and_no_others() {
    let cache = cache(8);
    put(&cache, "a", 1);
    let text = Cached { value: Value::String("x".to_owned()), ..int(0) };
    cache.insert(cache.epoch(), ValueType::String, "a", text);
    put(&cache, "b", 2);
    cache.update(Some(&keys(["a", "unknown"])), true);
    assert_eq!((get(&cache, "a"), get(&cache, "b")), (None, Some(2)));
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.invalidations), (1, 2));
}

#[test]
fn the_oldest_that_was_not_read_goes_first() {
    let cache = cache(3);
    for flag in ["a", "b", "c"] {
        put(&cache, flag, 0);
    }
    get(&cache, "a");
    put(&cache, "d", 0);
    assert_eq!(get(&cache, "b"), None, "a was read, and spared");
    get(&cache, "c");
    put(&cache, "e", 0);
    assert_eq!(get(&cache, "a"), None, "spared once, and not read since; c was read");
    assert!(["c", "d", "e"].map(|flag| get(&cache, flag)).iter().all(Option::is_some));
}

#[test]
fn where_all_were_read_the_oldest_goes() {
    let cache = cache(2);
    for flag in ["a", "b"] {
        put(&cache, flag, 0);
        get(&cache, flag);
    }
    put(&cache, "c", 0);
    assert_eq!((get(&cache, "a"), get(&cache, "b"), get(&cache, "c")), (None, Some(0), Some(0)));
}

#[test]
fn without_capacity_nothing_is_kept_nor_counted() {
    let cache = cache(0);
    put(&cache, "f", 1);
    assert_eq!(get(&cache, "f"), None);
    let nothing = CacheStats { hits: 0, misses: 0, entries: 0, invalidations: 0 };
    assert_eq!(cache.stats(), nothing);
}

#[test]
fn hits_and_misses_of_all_threads_are_counted() {
    let cache = cache(1);
    put(&cache, "f", 1);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    get(&cache, "f");
                    get(&cache, "g");
                }
            });
        }
    });
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses), (50_000, 50_000));
}

#[test]
fn what_was_dropped_leaves_nothing_behind() {
    let cache = cache(4);
    for round in 0..100 {
        put(&cache, "f", round);
        cache.update(Some(&keys(["f"])), true);
        put(&cache, "g", round);
    }
    assert_eq!((cache.lock().order.len(), cache.entries.len()), (1, 1));
}

/// Old values must never be read after an invalidation, however the threads interleave.
#[test]
fn readers_and_writers_never_bring_back_what_was_invalidated() {
    let cache = cache(4);
    let current = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while current.load(Ordering::SeqCst) < 2000 {
                    let epoch = cache.epoch();
                    // As a server would respond: the value at some time after the epoch was taken.
                    let value = current.load(Ordering::SeqCst);
                    std::thread::yield_now();
                    cache.insert(epoch, ValueType::Int, "f", int(value.cast_signed()));
                }
            });
        }
        for value in 1..=2000_u64 {
            current.store(value, Ordering::SeqCst);
            cache.update(Some(&keys(["f"])), true);
            for _ in 0..5 {
                let seen = get(&cache, "f");
                assert!(
                    seen.is_none_or(|seen| seen == value.cast_signed()),
                    "{seen:?} after {value}"
                );
            }
        }
    });
}

/// What a test may do to the cache.
#[derive(Clone, Debug)]
enum Action {
    Get(u8),
    Put(u8, i64),
    Change(Vec<u8>),
    Clear,
    /// A call starts; its response may arrive later.
    Start(u8),
    Arrive(i64),
    Fresh(bool),
}

fn action() -> impl Strategy<Value = Action> {
    let key = 0..12_u8;
    prop_oneof![
        6 => key.clone().prop_map(Action::Get),
        6 => (key.clone(), any::<i64>()).prop_map(|(key, value)| Action::Put(key, value)),
        2 => prop::collection::vec(key.clone(), 1..4).prop_map(Action::Change),
        1 => Just(Action::Clear),
        2 => key.prop_map(Action::Start),
        2 => any::<i64>().prop_map(Action::Arrive),
        1 => any::<bool>().prop_map(Action::Fresh),
    ]
}

/// The cache as it would be written without regard to speed.
#[derive(Default)]
struct Model {
    /// Key, value, and whether it was read; the oldest first.
    entries: VecDeque<(u8, i64, bool)>,
    fresh: bool,
    changes: u64,
}

impl Model {
    fn get(&mut self, key: u8) -> Option<i64> {
        let (_, value, read) = self.entries.iter_mut().find(|(other, ..)| *other == key)?;
        *read = true;
        Some(*value)
    }

    fn put(&mut self, capacity: usize, key: u8, value: i64) {
        if !self.fresh {
            return;
        }
        self.entries.retain(|(other, ..)| *other != key);
        while self.entries.len() == capacity {
            let (key, value, read) = self.entries.pop_front().unwrap();
            if read {
                self.entries.push_back((key, value, false));
            }
        }
        self.entries.push_back((key, value, false));
    }
}

proptest! {
    #[test]
    fn the_cache_does_what_a_simple_model_does(
        capacity in 1..8_usize,
        actions in prop::collection::vec(action(), 1..200),
    ) {
        let cache = Cache::new(capacity);
        let mut model = Model::default();
        let mut started: Option<(u8, Epoch, u64)> = None;
        for action in actions {
            match action {
                Action::Get(key) => {
                    prop_assert_eq!(get(&cache, &key.to_string()), model.get(key));
                }
                Action::Put(key, value) => {
                    put(&cache, &key.to_string(), value);
                    model.put(capacity, key, value);
                }
                Action::Change(changed) => {
                    let names: Vec<_> = changed.iter().map(u8::to_string).collect();
                    cache.update(Some(&ChangedFlags::Keys(names.into())), model.fresh);
                    model.entries.retain(|(key, ..)| !changed.contains(key));
                    model.changes += 1;
                }
                Action::Clear => {
                    cache.update(Some(&ChangedFlags::All), model.fresh);
                    model.entries.clear();
                    model.changes += 1;
                }
                Action::Start(key) => started = Some((key, cache.epoch(), model.changes)),
                Action::Arrive(value) => {
                    let Some((key, epoch, changes)) = started.take() else { continue };
                    cache.insert(epoch, ValueType::Int, &key.to_string(), int(value));
                    if changes == model.changes {
                        model.put(capacity, key, value);
                    }
                }
                Action::Fresh(fresh) => {
                    cache.update(None, fresh);
                    model.fresh = fresh;
                }
            }
            prop_assert_eq!(cache.stats().entries, model.entries.len());
        }
    }
}
