//! Keeps the memory of a replica and the flags that it serves in step with the database and with
//! the clock.
//!
//! ```text
//! change in the database --- catch_up ---> World, Flags
//! a step of a rollout    --- step -------> Flags
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use flagstaff::server::{Draft, Flags};
use serde_json::json;
use service::{
    storage::{Storage, StorageError},
    time,
};
use tokio::sync::{Mutex, Notify, watch};

use crate::{
    model::change::{self, Changed},
    rule,
    toggle::Toggle,
    world::{Read, World},
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
    world: RwLock<World>,
    /// The number of the last change that is in memory.
    seen: Mutex<i64>,
    /// The same number, for those who wait for changes. It also grows with each step.
    news: watch::Sender<u64>,
    wake: Notify,
}

impl Live {
    /// Reads everything from the database, and sets the flags of each environment.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn start(storage: Storage, flags: Flags) -> Result<Self, StorageError> {
        let live = Self(Arc::new(Shared {
            storage,
            flags,
            world: RwLock::default(),
            seen: Mutex::new(-1),
            news: watch::Sender::new(0),
            wake: Notify::new(),
        }));
        live.catch_up(0).await?;
        Ok(live)
    }

    /// What is in memory.
    pub fn world(&self) -> RwLockReadGuard<'_, World> {
        self.0.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flags of an environment that exists.
    #[must_use]
    pub fn flags(&self, env: &str) -> Option<Flags> {
        self.world().environments.contains(env).then(|| self.0.flags.flag_set(env))
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
        let mut seen = self.0.seen.lock().await;
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
            *seen = last;
            if let Some(read) = read {
                self.take(read);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Puts what was read into memory, and sets the flags that it concerns.
    fn take(&self, read: Read) {
        let of = read.of.clone();
        let now = time::now();
        let mut world = self.0.world.write().unwrap_or_else(PoisonError::into_inner);
        let (gone, new) = world.take(read);
        for env in gone {
            self.0.flags.flag_set(env).clear();
        }
        let environments = world.environments.clone();
        for env in environments {
            match &of {
                Some(of) if !new.contains(&env) => {
                    if !of.is_empty() {
                        self.set(&mut world, &env, of, now);
                    }
                }
                // A new environment gets all features.
                _ => self.replace(&mut world, &env, now),
            }
        }
        drop(world);
        self.0.news.send_modify(|it| *it += 1);
    }

    /// Sets all flags of an environment.
    fn replace(&self, world: &mut World, env: &str, now: i64) {
        let flags: BTreeMap<&String, _> = world
            .features
            .iter_mut()
            .map(|(name, known)| (name, served(known.toggles.get_mut(env), env, name, now)))
            .collect();
        let definition = json!({"flags": flags}).to_string();
        if let Err(error) = self.0.flags.flag_set(env).replace(&definition) {
            tracing::error!(error = service::describe(&error), env, "cannot set the flags");
        }
    }

    /// Sets some flags of an environment.
    fn set(&self, world: &mut World, env: &str, names: &BTreeSet<String>, now: i64) {
        let change = |draft: &mut Draft| {
            for name in names {
                match world.features.get_mut(name) {
                    Some(known) => {
                        draft.set(name, served(known.toggles.get_mut(env), env, name, now));
                    }
                    None => {
                        draft.remove(name);
                    }
                }
            }
        };
        if let Err(error) = self.0.flags.flag_set(env).update(change) {
            tracing::error!(error = service::describe(&error), env, "cannot set the flags");
        }
    }

    /// Sets the flags whose toggles have become something else by themselves, and returns when
    /// the next one does.
    pub fn step(&self, now: i64) -> Option<i64> {
        let stepped = self.world().stepped(now);
        if !stepped.is_empty() {
            let mut by_env: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (feature, env) in stepped {
                by_env.entry(env).or_default().insert(feature);
            }
            let mut world = self.0.world.write().unwrap_or_else(PoisonError::into_inner);
            for (env, names) in by_env {
                self.set(&mut world, &env, &names, now);
            }
            drop(world);
            self.0.news.send_modify(|it| *it += 1);
        }
        self.world().next(now)
    }

    /// Sets the flags of rollouts at the moment of each step. Never returns.
    pub async fn follow_clock(self) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let now = time::now();
            let next = self.step(now).map_or(i64::MAX, |it| it.saturating_sub(now).max(1));
            let wait = Duration::from_millis(next.unsigned_abs()).min(LOOK);
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }

    /// Takes in what other replicas change. Never returns.
    pub async fn follow_database(self, mut refreshed: impl FnMut(i64) + Send) {
        let mut is_available = true;
        loop {
            let version = self.0.storage.read(|sql| sql.last("access")).await;
            let result = match version {
                Ok(version) => {
                    refreshed(version);
                    self.catch_up(0).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = &result
                && is_available
            {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "cannot read changes; retrying");
            }
            is_available = result.is_ok();
            let _ = tokio::time::timeout(POLL, self.0.wake.notified()).await;
        }
    }
}

/// The flag of a toggle, which is noted as served.
fn served(
    held: Option<&mut crate::world::Held>,
    env: &str,
    feature: &str,
    now: i64,
) -> serde_json::Value {
    match held {
        None => rule::flag(env, feature, Toggle::Off, &[], now),
        Some(held) => {
            held.served = (held.toggle.at(now).state(), held.toggle.percent(now));
            rule::flag(env, feature, held.toggle, &held.enrolled, now)
        }
    }
}
