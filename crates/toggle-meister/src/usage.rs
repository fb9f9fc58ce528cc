//! How often features are asked for: counted in memory, and added to the database now and then.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use service::storage::{Storage, StorageError};

use crate::{model::metric, world::World};

/// Requests that are not in the database yet, by environment and feature. Only what exists is
/// counted, so nobody can fill the memory.
#[derive(Debug, Default)]
pub struct Usage(RwLock<Counters>);

type Counters = HashMap<String, HashMap<String, AtomicI64>>;

/// Requests of a flush that failed are kept.
type Taken = Vec<(String, String, i64)>;

impl Usage {
    /// Counts a request for features of an environment.
    pub fn count<'a>(&self, env: &str, features: impl IntoIterator<Item = &'a str>) {
        let counters = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(of_env) = counters.get(env) else { return };
        for feature in features {
            if let Some(counter) = of_env.get(feature) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Makes counters for what exists now, and drops the others.
    pub fn follow(&self, world: &World) {
        let mut counters = self.0.write().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|env, _| world.environments.contains(env));
        for env in &world.environments {
            let of_env = counters.entry(env.clone()).or_default();
            of_env.retain(|feature, _| world.features.contains_key(feature));
            for feature in world.features.keys() {
                if !of_env.contains_key(feature) {
                    of_env.insert(feature.clone(), AtomicI64::new(0));
                }
            }
        }
    }

    /// Adds what was counted to a day of the database. What cannot be added is kept.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn flush(&self, storage: &Storage, day: i64) -> Result<(), StorageError> {
        let taken = self.take();
        if taken.is_empty() {
            return Ok(());
        }
        let rows = taken.clone();
        let written = storage.write(move |sql| -> Result<(), StorageError> {
            for (env, feature, hits) in &rows {
                metric::add(sql, feature, env, day, *hits)?;
            }
            Ok(())
        });
        let result = written.await;
        // Where the outcome is unknown, a few too many are counted rather than some lost.
        if result.is_err() {
            self.put_back(&taken);
        }
        result
    }

    fn take(&self) -> Taken {
        let counters = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let each = counters.iter().flat_map(|(env, of_env)| {
            of_env.iter().map(move |(feature, counter)| (env, feature, counter))
        });
        let taken = each.filter_map(|(env, feature, counter)| {
            let hits = counter.swap(0, Ordering::Relaxed);
            (hits > 0).then(|| (env.clone(), feature.clone(), hits))
        });
        taken.collect()
    }

    fn put_back(&self, taken: &Taken) {
        let counters = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for (env, feature, hits) in taken {
            if let Some(counter) = counters.get(env).and_then(|it| it.get(feature)) {
                counter.fetch_add(*hits, Ordering::Relaxed);
            }
        }
    }
}
