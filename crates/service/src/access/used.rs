//! When credentials were last used, until it is written down.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The times by the keys of the credentials.
pub(super) struct Used<K>(Mutex<HashMap<K, i64>>);

impl<K> Default for Used<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Used<K> {
    pub(super) fn note(&self, key: K, at: i64) {
        self.lock().insert(key, at);
    }

    /// The time that has not been written down yet.
    pub(super) fn last(&self, key: &K) -> Option<i64> {
        self.lock().get(key).copied()
    }

    pub(super) fn take(&self) -> HashMap<K, i64> {
        mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
