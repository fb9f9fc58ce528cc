//! How often features are asked for, and where there are clients that do not ask: kept in memory,
//! and written to the database now and then.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use flagstaff::server::{Evaluated, Observer};
use foldhash::fast::RandomState;
use service::storage::{Storage, StorageError};

use crate::{
    due::Unused,
    model::{environment, metric},
    world::World,
};

/// What is not in the database yet. Only what exists is counted, so nobody can fill the memory.
/// Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Usage(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    environments: RwLock<HashMap<String, Environment, RandomState>>,
    /// How many clients follow the flags of an environment, or without one, those of all. The
    /// environment need not exist yet.
    following: Mutex<HashMap<Option<String>, usize>>,
    /// Held by the one flush that runs.
    flushing: tokio::sync::Mutex<()>,
    failed_flushes: AtomicU64,
    /// What is unused in production, as far as the database knew when it was last asked.
    unused: Mutex<Arc<Unused>>,
}

/// What is counted in an environment.
#[derive(Debug, Default)]
struct Environment {
    /// Requests for a feature.
    features: HashMap<String, AtomicI64, RandomState>,
    /// Whether there was a client that may use any feature without asking for it.
    seen: AtomicBool,
    /// The last day on which the database knows of such a client.
    seen_on: AtomicI64,
}

/// What is to be added to the database. What cannot be added is put back.
#[derive(Clone, Debug, Default)]
struct Taken {
    /// Requests, with their environment and feature.
    hits: Vec<(String, String, i64)>,
    /// The environments with a client that was not known today.
    seen: Vec<String>,
}

/// How many counters one transaction adds. While it runs, no toggle can be switched.
const GROUP: usize = 500;

impl Taken {
    fn groups(self) -> Vec<Self> {
        let Self { hits, seen } = self;
        let mut groups: Vec<Self> = hits
            .chunks(GROUP)
            .map(|hits| Self { hits: hits.to_vec(), ..Self::default() })
            .collect();
        if !seen.is_empty() {
            groups.push(Self { seen, ..Self::default() });
        }
        groups
    }
}

async fn write(storage: &Storage, taken: Taken, day: i64) -> Result<(), StorageError> {
    let write = storage.write(move |sql| {
        for (env, feature, hits) in &taken.hits {
            metric::add(sql, feature, env, day, *hits)?;
        }
        for env in &taken.seen {
            environment::seen(sql, env, day)?;
        }
        Ok(())
    });
    write.await
}

impl Usage {
    /// Counts a request for features of an environment.
    pub fn count<'a>(&self, env: &str, features: impl IntoIterator<Item = &'a str>) {
        let environments = self.0.environments.read().unwrap_or_else(PoisonError::into_inner);
        let Some(environment) = environments.get(env) else { return };
        for feature in features {
            if let Some(counter) = environment.features.get(feature) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Notes a client of an environment, or of all, that does not say which features it uses.
    pub fn saw_client(&self, env: Option<&str>) {
        let environments = self.0.environments.read().unwrap_or_else(PoisonError::into_inner);
        match env {
            Some(env) => {
                if let Some(environment) = environments.get(env) {
                    environment.seen.store(true, Ordering::Relaxed);
                }
            }
            None => environments.values().for_each(|it| it.seen.store(true, Ordering::Relaxed)),
        }
    }

    /// How many clients follow the flags of an environment.
    #[must_use]
    pub fn following(&self, env: &str) -> usize {
        let following = self.0.following.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |env| following.get(&env).copied().unwrap_or_default();
        of(Some(env.to_owned())) + of(None)
    }

    /// Makes counters for what exists now, and drops the others. `of` are the features that have
    /// changed, or all, and `new` the environments that were not there before.
    ///
    /// Requests wait while it changes counters, so those of new environments are made before.
    pub fn follow(&self, world: &World, of: Option<&BTreeSet<String>>, new: &[String]) {
        let counters = || world.features.keys().map(|it| (it.clone(), AtomicI64::default()));
        let made = new.iter().map(|env| {
            let features = counters().collect();
            (env, Environment { features, ..Environment::default() })
        });
        let made: Vec<_> = made.collect();
        let mut environments = self.0.environments.write().unwrap_or_else(PoisonError::into_inner);
        environments.retain(|env, _| world.environments.contains(env));
        for (env, mut counted) in made {
            if let Some(former) = environments.remove(env) {
                // What was counted in one that is read again goes on.
                for (feature, hits) in former.features {
                    if let Some(counter) = counted.features.get_mut(&feature) {
                        *counter = hits;
                    }
                }
                (counted.seen, counted.seen_on) = (former.seen, former.seen_on);
            }
            environments.insert(env.clone(), counted);
        }
        for environment in environments.values_mut() {
            for feature in of.into_iter().flatten() {
                if !world.features.contains_key(feature) {
                    environment.features.remove(feature);
                } else if !environment.features.contains_key(feature) {
                    environment.features.insert(feature.clone(), AtomicI64::default());
                }
            }
        }
    }

    /// How many flushes have failed.
    #[must_use]
    pub fn failed_flushes(&self) -> u64 {
        self.0.failed_flushes.load(Ordering::Relaxed)
    }

    /// The features that are unused in production.
    #[must_use]
    pub fn unused(&self) -> Arc<Unused> {
        self.0.unused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks up anew what is unused in production on a day.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn find_unused(&self, storage: &Storage, day: i64) -> Result<(), StorageError> {
        let found = storage.read(move |sql| metric::unused(sql, day)).await?;
        *self.0.unused.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
        Ok(())
    }

    /// Adds what was counted to a day of the database. What cannot be added is kept.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn flush(&self, storage: &Storage, day: i64) -> Result<(), StorageError> {
        let (usage, storage) = (self.clone(), storage.clone());
        // A caller that goes away must not take what was counted along.
        let flushed = tokio::spawn(async move {
            let _one = usage.0.flushing.lock().await;
            let mut result = Ok(());
            for group in usage.take(day).groups() {
                let written = write(&storage, group.clone(), day).await;
                // Where the outcome is unknown, a few too many are counted rather than some lost.
                if written.is_err() {
                    usage.put_back(&group);
                    result = written;
                }
            }
            if result.is_err() {
                usage.0.failed_flushes.fetch_add(1, Ordering::Relaxed);
            }
            result
        });
        flushed.await.unwrap_or(Err(StorageError::Closed))
    }

    fn take(&self, day: i64) -> Taken {
        let mut taken = Taken::default();
        let environments = self.0.environments.read().unwrap_or_else(PoisonError::into_inner);
        for (env, environment) in &*environments {
            for (feature, counter) in &environment.features {
                let hits = counter.swap(0, Ordering::Relaxed);
                if hits > 0 {
                    taken.hits.push((env.clone(), feature.clone(), hits));
                }
            }
            let was_seen = environment.seen.swap(false, Ordering::Relaxed);
            if (was_seen || self.following(env) > 0)
                && environment.seen_on.swap(day, Ordering::Relaxed) != day
            {
                taken.seen.push(env.clone());
            }
        }
        taken
    }

    fn put_back(&self, taken: &Taken) {
        let environments = self.0.environments.read().unwrap_or_else(PoisonError::into_inner);
        for (env, feature, hits) in &taken.hits {
            if let Some(counter) = environments.get(env).and_then(|it| it.features.get(feature)) {
                counter.fetch_add(*hits, Ordering::Relaxed);
            }
        }
        for environment in taken.seen.iter().filter_map(|env| environments.get(env)) {
            environment.seen.store(true, Ordering::Relaxed);
            environment.seen_on.store(0, Ordering::Relaxed);
        }
    }
}

/// What the clients of flagd's protocols do.
impl Observer for Usage {
    fn evaluated(&self, evaluated: &Evaluated<'_>) {
        if evaluated.in_bulk {
            self.saw_client(evaluated.flag_set);
        } else if let Some(env) = evaluated.flag_set {
            self.count(env, [evaluated.key]);
        }
    }

    fn subscribed(&self, env: Option<&str>) {
        self.saw_client(env);
        let mut following = self.0.following.lock().unwrap_or_else(PoisonError::into_inner);
        *following.entry(env.map(str::to_owned)).or_default() += 1;
    }

    fn unsubscribed(&self, env: Option<&str>) {
        let mut following = self.0.following.lock().unwrap_or_else(PoisonError::into_inner);
        let env = env.map(str::to_owned);
        if let Some(count) = following.get_mut(&env) {
            *count -= 1;
            if *count == 0 {
                following.remove(&env);
            }
        }
    }
}
