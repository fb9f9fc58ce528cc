//! Jobs that one replica runs at a time: the one that has a lease.
//!
//! | job | when |
//! |---|---|
//! | store what toggles have become by themselves | when one has |
//! | delete what was deleted softly 14 days ago | when something was |
//! | remind people of what is due for removal | once a week |
//! | forget what is too old | once an hour |
//!
//! The lease is renewed by each round. If its owner dies, another replica takes it as soon as it
//! ends.
//! A change takes the lease in its own transaction, so a replica that lost it changes nothing.
//! A job that fails does not keep the others from running, and is tried again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use flagstaff::http::{Client, ClientError};
use service::{
    audit, lease,
    problem::Problem,
    storage::{Sql, Storage, StorageError},
    time,
};
use tokio::time::{Instant as Moment, sleep, sleep_until};

use crate::{
    due::Due,
    model::{change, environment, feature, metric, reminder as sent, toggle},
    reminder::{self, Schedule, Slack, TIMEOUT},
    serve::DAY,
    store::Store,
};

/// How long the lease lasts, and how often there is a round.
pub const LEASE: Duration = Duration::from_secs(15);
const ROUND: Duration = Duration::from_secs(5);

/// How often old data is deleted.
const PURGE: Duration = Duration::from_hours(1);

/// How long changes are kept for replicas that follow them, in milliseconds. A replica that was
/// away for longer reads everything.
const CHANGES_ARE_KEPT: i64 = DAY;

/// How long to wait after the first failure to send a reminder, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));

/// The names of the jobs.
pub const NAMES: [&str; 4] = ["rollouts", "clean-up", "retention", "reminder"];

/// The name of the lease.
const NAME: &str = "jobs";

service::statements! {
    UNTIL = "SELECT until FROM lease WHERE name = ?1";
}

/// Who does it in the audit trail, as in the original.
const ACTOR: &str = "cron.user";

/// What the jobs are to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When to remind people.
    pub schedule: Schedule,
    /// Where. `None`: in the log.
    pub slack: Option<Slack>,
    /// For how many days the audit trail is kept.
    pub audit_days: i64,
    /// For how many days the numbers of requests are kept.
    pub metrics_days: i64,
}

/// The jobs of a replica.
pub struct Jobs {
    store: Store,
    plan: Plan,
    client: Client,
    owner: String,
    purged: Option<Instant>,
    reminding: Backoff,
}

impl Jobs {
    /// The jobs of a replica. `owner` is a name that no other replica has.
    #[must_use]
    pub fn new(store: Store, plan: Plan, client: Client, owner: String) -> Self {
        Self { store, plan, client, owner, purged: None, reminding: Backoff::default() }
    }

    /// Runs the jobs whenever this replica has the lease. Never returns.
    pub async fn run(mut self) {
        let mut has_lease = false;
        loop {
            let began = Moment::now();
            let has = self.take().await;
            if has && !has_lease {
                tracing::info!("this replica runs the jobs");
            }
            has_lease = has;
            if has {
                self.round(time::now()).await;
                sleep_until(began + ROUND).await;
            } else {
                sleep(self.left().await.min(ROUND)).await;
            }
        }
    }

    /// How long the lease of another replica lasts unless that renews it, if it is known.
    async fn left(&self) -> Duration {
        let until = |sql: &mut Sql<'_>| sql.query_one(UNTIL, &[NAME.into()], |row| row.int(0));
        let until = self.store.storage.read(until).await.ok().flatten();
        let left = until.map_or(i64::MAX, |it: i64| it.saturating_sub(time::now()).max(1));
        Duration::from_millis(left.unsigned_abs())
    }

    /// Takes or renews the lease.
    async fn take(&self) -> bool {
        let owner = self.owner.clone();
        let taken = self.store.storage.write(move |sql| take(sql, &owner)).await;
        taken.unwrap_or_else(|error: StorageError| {
            tracing::debug!(error = service::describe(&error), "cannot take the lease");
            false
        })
    }

    /// Runs each job that has something to do.
    async fn round(&mut self, now: i64) {
        self.ended("rollouts", self.settle(now).await);
        self.clean_up(now).await;
        let purged = self.purge(now).await;
        self.ended("retention", purged);
        let reminded = self.remind(now).await;
        self.ended("reminder", reminded);
    }

    /// Counts and logs the failure of a job, whose cause has been logged where it became a problem.
    fn ended(&self, job: &'static str, result: Result<(), Problem>) {
        if let Err(problem) = result {
            self.store.failures.count(job);
            tracing::warn!(job, error = problem.detail(), "a job failed; it will run again");
        }
    }

    /// Changes the database, if this replica still has the lease.
    async fn change(
        &self,
        change: impl FnOnce(&mut Sql<'_>) -> Result<(), Problem> + Send + 'static,
    ) -> Result<(), Problem> {
        let owner = self.owner.clone();
        self.store.write(move |sql| if take(sql, &owner)? { change(sql) } else { Ok(()) }).await
    }

    /// Stores what toggles have become by themselves. What is in memory says whether any has.
    async fn settle(&self, now: i64) -> Result<(), Problem> {
        let is_any = {
            let world = self.store.live.world();
            let mut held = world.features.values().flat_map(|it| it.toggles.values());
            held.any(|it| it.toggle.at(now).state() != it.toggle.state())
        };
        if !is_any {
            return Ok(());
        }
        self.change(move |sql| Ok(toggle::settle(sql, ACTOR, now)?)).await
    }

    /// Deletes for good what was deleted softly long enough ago. A feature that cannot be deleted
    /// does not keep the others.
    async fn clean_up(&self, now: i64) {
        let overdue: Vec<String> = {
            let world = self.store.live.world();
            let overdue = world.features.values().filter(|it| it.feature.is_overdue(now));
            overdue.map(|it| it.feature.name.clone()).collect()
        };
        for name in overdue {
            let deleted = self.change(move |sql| feature::clean_up(sql, ACTOR, &name, now));
            self.ended("clean-up", deleted.await);
        }
    }

    /// Forgets what is too old.
    async fn purge(&mut self, now: i64) -> Result<(), Problem> {
        if self.purged.is_some_and(|it| it.elapsed() < PURGE) {
            return Ok(());
        }
        let Plan { audit_days, metrics_days, .. } = self.plan;
        self.store.access.purge_sessions().await?;
        let owner = self.owner.clone();
        let purged = self.store.storage.write(move |sql| -> Result<(), StorageError> {
            if take(sql, &owner)? {
                audit::purge(sql, now.saturating_sub(audit_days * DAY))?;
                metric::purge(sql, now / DAY - metrics_days)?;
                change::purge(sql, now.saturating_sub(CHANGES_ARE_KEPT))?;
                // Environments that are new since the last time.
                environment::watch(sql, now / DAY)?;
            }
            Ok(())
        });
        purged.await?;
        self.purged = Some(Instant::now());
        Ok(())
    }

    /// Reminds people of each feature that was due for removal at the time of the reminder.
    async fn remind(&mut self, now: i64) -> Result<(), Problem> {
        if self.plan.schedule.due(now, None).is_none() || !self.reminding.is_over() {
            return Ok(());
        }
        let last = self.store.read(|sql| Ok(sent::last(sql)?)).await?;
        for (name, slot, text) in self.reminders(now, &last) {
            // Slack responds within less than the lease, or the reminder has failed.
            if !self.take().await {
                return Ok(());
            }
            let posted = if let Some(slack) = &self.plan.slack {
                slack.post(&self.client, &text).await
            } else {
                tracing::info!("{text}");
                Ok(())
            };
            if let Err(error) = posted {
                let again = self.reminding.fail();
                self.store.failures.count("reminder");
                tracing::warn!(
                    error,
                    ?again,
                    "cannot remind people over Slack; it will be tried again"
                );
                return Ok(());
            }
            self.reminding = Backoff::default();
            let noted = self.store.storage.write(move |sql| sent::note(sql, &name, slot)).await;
            noted.map_err(|error: StorageError| Problem::from(error))?;
        }
        Ok(())
    }

    /// What is to be said now: the feature, the time for which it is said, and the text.
    fn reminders(&self, now: i64, last: &HashMap<String, i64>) -> Vec<(String, i64, String)> {
        let (world, unused) = (self.store.live.world(), self.store.usage.unused());
        let due = world.features.iter().filter_map(|(name, known)| {
            let slot = self.plan.schedule.due(now, last.get(name).copied())?;
            let due = Due::of(known, &unused, slot)?;
            Some((name.clone(), slot, reminder::message(&known.feature, due)))
        });
        due.collect()
    }
}

/// The client with which reminders are sent.
///
/// # Errors
///
/// The environment names a proxy that is invalid.
pub fn client() -> Result<Client, ClientError> {
    Client::builder().timeout(TIMEOUT).max_body(1 << 16).build()
}

/// Takes or renews the lease in a transaction.
fn take(sql: &mut Sql<'_>, owner: &str) -> Result<bool, StorageError> {
    lease::take(sql, NAME, owner, time::now(), LEASE)
}

/// Gives the lease back, so that another replica need not wait until it ends.
///
/// # Errors
///
/// The database fails.
pub async fn release(storage: &Storage, owner: String) -> Result<(), StorageError> {
    storage.write(move |sql| lease::release(sql, NAME, &owner)).await
}

/// When to try again after failures.
#[derive(Default)]
struct Backoff(Option<(Instant, Duration)>);

impl Backoff {
    fn is_over(&self) -> bool {
        self.0.is_none_or(|(at, wait)| at.elapsed() >= wait)
    }

    /// Notes a failure, and returns how long to wait.
    fn fail(&mut self) -> Duration {
        let (first, most) = BACKOFF;
        let wait = self.0.map_or(first, |(_, wait)| (wait * 2).min(most));
        self.0 = Some((Instant::now(), wait));
        wait
    }
}
