//! Keeps the memory of a replica and the flags that it serves in step with the database and with
//! the clock.
//!
//! ```text
//! change in the database --- catch_up ---> World, Flags
//! a step of a rollout    --- step -------> Flags
//! ```
//!
//! An evaluation of features by their names reads the flags alone, and waits neither for the
//! database nor for the world; one of all features (`all=true`) also reads the world. Counting a
//! request takes a lock that [`Usage::follow`] holds while it changes counters.
//!
//! Changes and steps are taken in one after another, on a thread that may block. The flags are made
//! before they replace those that are served, so the world is locked for as long as it takes to put
//! in what was read, and no longer.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use flagstaff::{
    evaluator::FlagSet,
    server::{Draft, Flags},
};
use serde_json::json;
use service::{
    storage::{Storage, StorageError},
    time,
};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, watch},
    task::spawn_blocking,
};

use crate::{
    model::change::{self, Changed},
    rule,
    toggle::Toggle,
    usage::Usage,
    world::{Held, Read, World},
};

/// How many changes are read at a time.
const PAGE: i64 = 1_000;

/// How often the database is asked without a hint: a change of another replica is noticed after
/// at most so long.
const POLL: Duration = Duration::from_millis(500);

/// How long a step is waited for at most: the clock of the machine may be set.
const LOOK: Duration = Duration::from_secs(1);

/// The memory of a replica. Cloning is cheap.
#[derive(Clone)]
pub struct Live(Arc<Shared>);

struct Shared {
    storage: Storage,
    flags: Flags,
    usage: Usage,
    world: RwLock<World>,
    /// Held by whoever changes the world and the flags, so that they change in the same order.
    changing: Mutex<()>,
    /// The number of the last change that is in memory.
    seen: Arc<AsyncMutex<i64>>,
    /// The same number, for those who wait for changes. It also grows with each step.
    news: watch::Sender<u64>,
    wake: Notify,
    /// When the database was last asked for changes and answered, in milliseconds since 1970.
    looked: AtomicI64,
    /// Whether it answered the last time.
    is_available: AtomicBool,
}

impl Live {
    /// Reads everything from the database, and sets the flags of each environment.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn start(storage: Storage, flags: Flags, usage: Usage) -> Result<Self, StorageError> {
        let live = Self(Arc::new(Shared {
            storage,
            flags,
            usage,
            world: RwLock::default(),
            changing: Mutex::default(),
            seen: Arc::new(AsyncMutex::new(-1)),
            news: watch::Sender::new(0),
            wake: Notify::new(),
            looked: AtomicI64::default(),
            is_available: AtomicBool::default(),
        }));
        let looked = time::now();
        live.catch_up(0).await?;
        live.looked(looked);
        Ok(live)
    }

    /// What is in memory.
    pub fn world(&self) -> RwLockReadGuard<'_, World> {
        self.0.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn world_mut(&self) -> RwLockWriteGuard<'_, World> {
        self.0.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flags of an environment that exists.
    #[must_use]
    pub fn flags(&self, env: &str) -> Option<Flags> {
        self.world().environments.contains(env).then(|| self.0.flags.flag_set(env))
    }

    /// The flags of an environment as they are served now, none if it does not exist. This waits
    /// for nobody.
    #[must_use]
    pub fn served(&self, env: &str) -> Arc<FlagSet> {
        // There is no flag set without a name.
        if env.is_empty() { Arc::default() } else { self.0.flags.flag_set(env).current() }
    }

    /// Whether the database answered when it was last asked for changes.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.0.is_available.load(Ordering::Relaxed)
    }

    /// For how many milliseconds changes of the database may be unknown: since it was last asked
    /// for them and answered.
    #[must_use]
    pub fn age(&self) -> i64 {
        time::now().saturating_sub(self.0.looked.load(Ordering::Relaxed)).max(0)
    }

    /// Notes that the database was asked for changes at a time, and has answered.
    fn looked(&self, at: i64) {
        self.0.looked.store(at, Ordering::Relaxed);
        self.0.is_available.store(true, Ordering::Relaxed);
    }

    /// Notifies when a toggle has changed or stepped.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.news.subscribe()
    }

    /// A hint that the database has changed.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Takes in what has changed in the database, at least up to a number.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn catch_up(&self, at_least: i64) -> Result<(), StorageError> {
        let mut seen = self.0.seen.clone().lock_owned().await;
        if *seen >= at_least && at_least > 0 {
            return Ok(());
        }
        loop {
            let after = *seen;
            let (last, read, is_last) = self
                .0
                .storage
                .read(move |sql| {
                    let changes = if after < 0 { None } else { change::after(sql, after, PAGE)? };
                    match changes {
                        None => Ok((sql.last(change::CHANGES)?, Some(Read::all(sql)?), true)),
                        Some(changes) => {
                            let last = changes.last().map_or(after, |it| it.0);
                            let changes: Vec<&Changed> = changes.iter().map(|it| &it.1).collect();
                            if changes.is_empty() {
                                return Ok((last, None, true));
                            }
                            let is_last = i64::try_from(changes.len()).is_ok_and(|it| it < PAGE);
                            Ok((last, Some(Read::changed(sql, changes)?), is_last))
                        }
                    }
                })
                .await
                .map_err(|error: StorageError| error)?;
            let live = self.clone();
            // What has begun is finished in its turn, even if whoever waits for it goes away.
            let taken = spawn_blocking(move || {
                if let Some(read) = read {
                    live.take(read);
                }
                *seen = last;
                seen
            });
            seen = taken.await.map_err(|_| StorageError::Closed)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Puts what was read into memory, and sets the flags that it concerns. It may take long.
    fn take(&self, read: Read) {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let of = read.of.clone();
        let now = time::now();
        let (gone, new) = if of.is_some() {
            self.world_mut().take(read, now)
        } else {
            let mut world = World::default();
            let (_, new) = world.take(read, now);
            let gone = self.world().environments.difference(&world.environments).cloned().collect();
            // The former one is dropped when nobody waits for it.
            let _former = mem::replace(&mut *self.world_mut(), world);
            (gone, new)
        };
        // Requests are counted from the moment when they can be answered.
        self.0.usage.follow(&self.world(), of.as_ref(), &new);
        for env in gone {
            self.0.flags.flag_set(env).clear();
        }
        let environments = self.world().environments.clone();
        for env in environments {
            match &of {
                Some(of) if !new.contains(&env) => {
                    if !of.is_empty() {
                        self.set(&env, of, now);
                    }
                }
                // A new environment gets all features.
                _ => self.replace(&env, now),
            }
        }
        self.0.news.send_modify(|it| *it += 1);
    }

    /// Sets all flags of an environment.
    fn replace(&self, env: &str, now: i64) {
        let definition = {
            let world = self.world();
            let flags = world.features.iter();
            let flags: BTreeMap<&String, _> = flags
                .map(|(name, known)| (name, flag(known.toggles.get(env), env, name, now)))
                .collect();
            json!({"flags": flags}).to_string()
        };
        if let Err(error) = self.0.flags.flag_set(env).replace(&definition) {
            tracing::error!(error = service::describe(&error), env, "cannot set the flags");
        }
    }

    /// Sets some flags of an environment.
    fn set(&self, env: &str, names: &BTreeSet<String>, now: i64) {
        let change = |draft: &mut Draft| {
            let world = self.world();
            for name in names {
                match world.features.get(name) {
                    Some(known) => draft.set(name, flag(known.toggles.get(env), env, name, now)),
                    None => draft.remove(name),
                };
            }
        };
        if let Err(error) = self.0.flags.flag_set(env).update(change) {
            tracing::error!(error = service::describe(&error), env, "cannot set the flags");
        }
    }

    /// Sets the flags whose toggles have become something else by themselves, and returns when
    /// the next one does. It may take long.
    fn step(&self) -> Option<i64> {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // Not before: whoever changed something meanwhile had a later clock.
        let now = time::now();
        let stepped = self.world().stepped(now);
        if !stepped.is_empty() {
            let mut by_env: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            self.world_mut().note_served(&stepped, now);
            for (feature, env) in stepped {
                by_env.entry(env).or_default().insert(feature);
            }
            for (env, names) in by_env {
                self.set(&env, &names, now);
            }
            self.0.news.send_modify(|it| *it += 1);
        }
        self.world().next(now)
    }

    /// Sets the flags of rollouts at the moment of each step. Never returns.
    pub async fn follow_clock(self) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let live = self.clone();
            let next = spawn_blocking(move || live.step()).await.ok().flatten();
            let next = next.map_or(i64::MAX, |it| it.saturating_sub(time::now()).max(1));
            let wait = Duration::from_millis(next.unsigned_abs()).min(LOOK);
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }

    /// Takes in what other replicas change. Never returns.
    pub async fn follow_database(self, mut refreshed: impl FnMut(i64) + Send) {
        loop {
            let asked = time::now();
            let version = self.0.storage.read(|sql| sql.last("access")).await;
            let result = match version {
                Ok(version) => {
                    refreshed(version);
                    self.catch_up(0).await
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => self.looked(asked),
                Err(error) if self.0.is_available.swap(false, Ordering::Relaxed) => {
                    let error = service::describe(&error);
                    tracing::warn!(error, "cannot read changes; retrying");
                }
                Err(_) => {}
            }
            let _ = tokio::time::timeout(POLL, self.0.wake.notified()).await;
        }
    }
}

/// The flag of a toggle.
fn flag(held: Option<&Held>, env: &str, feature: &str, now: i64) -> serde_json::Value {
    match held {
        None => rule::flag(env, feature, Toggle::Off, &[], now),
        Some(held) => rule::flag(env, feature, held.toggle, &held.enrolled, now),
    }
}

#[cfg(test)]
mod tests;
