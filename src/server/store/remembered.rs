//! A small cache for what many clients need at once: the first one computes it.
//!
//! After an update, every stream wakes and needs the same message. The cache
//! belongs to a snapshot and goes away with it, so nothing in it is ever out of
//! date.

use std::sync::{Mutex, PoisonError};

/// How many values are kept. Clients choose selectors freely, so the number of
/// keys is not bounded otherwise.
const MOST: usize = 64;

/// Values by key, the newest first. A list is searched as fast as a map at this
/// size, and knows what is oldest.
#[derive(Debug)]
pub(crate) struct Remembered<K, V>(Mutex<Vec<(K, V)>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq, V: Clone> Remembered<K, V> {
    /// The value for this key, computed with `make` unless it is there already.
    /// When there are too many values, the oldest is dropped.
    pub(crate) fn get(&self, key: K, make: impl FnOnce() -> V) -> V {
        // Locked during `make`, because all who wait here usually need the same value.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = known.iter().find(|(of, _)| *of == key) {
            return value.clone();
        }
        let value = make();
        known.truncate(MOST - 1);
        known.insert(0, (key, value.clone()));
        value
    }
}
