//! What many clients ask for at once: made by the first of them.

use std::sync::{Mutex, PoisonError};

/// How many things are kept: what clients ask for is up to them.
const MOST: usize = 64;

/// Things that are made once, by what clients ask for.
#[derive(Debug)]
pub(crate) struct Remembered<K, V>(Mutex<Vec<(K, V)>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq, V: Clone> Remembered<K, V> {
    /// What `make` gives, or gave when it was asked for before.
    pub(crate) fn get(&self, key: K, make: impl FnOnce() -> V) -> V {
        // Held while it is made: all who ask at once want the same.
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
