//! Sources and targets of a benchmark.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use flagstaff::{
    async_trait,
    optoggles::{
        Answer, Failure, Held, OpaSource, PolicySource, Prepared, Removal, Rule, Toggle,
        ToggleTarget, Users,
    },
};
use tokio::sync::Notify;

/// An OPA that is asked when the benchmark says so.
pub(crate) struct Triggered {
    opa: OpaSource,
    trigger: Arc<Notify>,
}

impl Triggered {
    pub(crate) fn new(opa: OpaSource) -> (Self, Arc<Notify>) {
        let trigger = Arc::new(Notify::new());
        (Self { opa, trigger: trigger.clone() }, trigger)
    }
}

#[async_trait]
impl PolicySource for Triggered {
    async fn users(&self, rule: &Rule) -> Result<Answer, Failure> {
        self.opa.users(rule).await
    }

    async fn changed(&self) -> Result<(), Failure> {
        self.trigger.notified().await;
        Ok(())
    }

    async fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A policy in memory, of which there are two: they differ in one user of every toggle.
pub(crate) struct Given(Arc<Policy>);

pub(crate) struct Policy {
    users: [Vec<Users>; 2],
    which: AtomicUsize,
    /// A toggle that has the other users than the rest.
    odd: Mutex<Option<usize>>,
    trigger: Notify,
}

impl Given {
    pub(crate) fn new(toggles: usize, users: usize) -> (Self, Arc<Policy>) {
        let all = |first: usize| {
            let one = |toggle: usize| {
                let names =
                    (first..first + users).map(|user| format!("user-{toggle:04}-{user:07}"));
                names.collect()
            };
            (0..toggles).map(one).collect::<Vec<Users>>()
        };
        let policy = Arc::new(Policy {
            users: [all(0), all(1)],
            which: AtomicUsize::new(0),
            odd: Mutex::new(None),
            trigger: Notify::new(),
        });
        (Self(policy.clone()), policy)
    }
}

impl Policy {
    pub(crate) fn trigger(&self) {
        self.trigger.notify_one();
    }

    /// Changes a user of every toggle.
    pub(crate) fn change(&self) {
        self.which.fetch_xor(1, Ordering::Relaxed);
    }

    /// Changes a user of the first toggle.
    pub(crate) fn change_one(&self) {
        let mut odd = self.odd.lock().unwrap();
        *odd = if odd.is_some() { None } else { Some(0) };
    }
}

#[async_trait]
impl PolicySource for Given {
    async fn users(&self, rule: &Rule) -> Result<Answer, Failure> {
        let toggle: usize = rule.package.trim_start_matches("app.t").parse().unwrap();
        let is_odd = *self.0.odd.lock().unwrap() == Some(toggle);
        let which = self.0.which.load(Ordering::Relaxed) ^ usize::from(is_odd);
        Ok(Answer::users(self.0.users[which][toggle].clone()))
    }

    async fn changed(&self) -> Result<(), Failure> {
        self.0.trigger.notified().await;
        Ok(())
    }

    async fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A target that takes everything.
pub(crate) struct Discarding;

#[async_trait]
impl ToggleTarget for Discarding {
    async fn prepare(&self, _: &Toggle) -> Result<Prepared, Failure> {
        Ok(Prepared::found(Held::Unknown))
    }

    async fn write(&self, _: &Toggle, _: &Users) -> Result<(), Failure> {
        Ok(())
    }

    async fn read(&self, _: &Toggle) -> Result<Held, Failure> {
        Ok(Held::Unknown)
    }

    async fn remove(&self, _: &Toggle, _: Removal) -> Result<(), Failure> {
        Ok(())
    }

    async fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
}
