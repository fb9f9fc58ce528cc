//! What a target is: [`ToggleTarget`], and what it reports.

use async_trait::async_trait;

use crate::optoggles::{failure::Failure, toggle::Toggle, users::Users};

/// A system that holds toggles, and whose lists of users are kept in step with the policy.
///
/// The engine calls [`prepare`](Self::prepare) before the first write of a toggle, after a failure
/// that lasts, and at each resync. It works on several toggles at a time, and never twice at a time
/// on one of them.
#[async_trait]
pub trait ToggleTarget: Send + Sync + 'static {
    /// Creates the toggle if there is none, updates what it is called and the like, and returns what
    /// it holds.
    ///
    /// A target that can put the [mark](Toggle::mark) on a toggle that it creates, and finds a toggle
    /// with it, reports that as [created](Prepared::created).
    ///
    /// # Errors
    ///
    /// When that fails.
    async fn prepare(&self, toggle: &Toggle) -> Result<Prepared, Failure>;

    /// Makes these the users of the toggle. It must be idempotent: after an error the engine does not
    /// know whether it took effect, and calls it again.
    ///
    /// # Errors
    ///
    /// When that fails.
    async fn write(&self, toggle: &Toggle, users: &Users) -> Result<(), Failure>;

    /// Returns what the toggle holds, and changes nothing.
    ///
    /// # Errors
    ///
    /// When that fails.
    async fn read(&self, toggle: &Toggle) -> Result<Held, Failure>;

    /// Whether the toggle exists and this program has created it, as its [mark](Toggle::mark) says.
    /// Default: no, as for targets that put no mark on their toggles.
    ///
    /// The engine calls it for a toggle that has left the configuration, if it was killed while the
    /// toggle was being created: the toggle stays if this returns no.
    ///
    /// # Errors
    ///
    /// When that cannot be found out.
    async fn is_marked(&self, _toggle: &Toggle) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Takes the toggle away, which has left the configuration. One that does not exist is a success.
    ///
    /// # Errors
    ///
    /// When that fails.
    async fn remove(&self, toggle: &Toggle, removal: Removal) -> Result<(), Failure>;

    /// Whether the target can have the toggle, as far as its key and its spec tell, for
    /// `flagstaff optoggles check`. Default: yes.
    ///
    /// # Errors
    ///
    /// When something is missing or invalid.
    fn validate(&self, _toggle: &Toggle) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether the target answers and accepts the token, for `flagstaff optoggles check --live`.
    ///
    /// # Errors
    ///
    /// When it does not.
    async fn check(&self) -> Result<(), Failure>;

    /// Called once when the engine shuts down.
    async fn close(&self) {}
}

/// A toggle that a target has now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prepared {
    /// What it holds.
    pub held: Held,
    /// Whether this program has created it, just now or, by its [mark](Toggle::mark), before. Only
    /// such toggles are ever removed.
    pub created: bool,
}

impl Prepared {
    /// A toggle that was there before.
    #[must_use]
    pub fn found(held: Held) -> Self {
        Self { held, created: false }
    }

    /// A toggle that this program has created.
    #[must_use]
    pub fn created(held: Held) -> Self {
        Self { held, created: true }
    }
}

/// How a toggle is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removal {
    /// Nobody has it any more, and it stays.
    SwitchOff,
    /// It is deleted.
    Delete,
}

/// What a target holds of a toggle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Held {
    /// The target does not say.
    Unknown,
    /// These users. A toggle that has several lists, such as one for each environment, has users that
    /// are on all of them and users that are on any.
    ///
    /// It is to be written if the policy names a user who is not `everywhere`, or does not name one who
    /// is `anywhere`.
    Users {
        /// Those on every list, who need not be added.
        everywhere: Users,
        /// Those on at least one list, who are to be removed unless the policy names them. On a list
        /// that others edit too, only those whom this program has added.
        anywhere: Users,
        /// Whether the lists are what decides; a toggle that is switched off must be written though
        /// its lists are right.
        in_force: bool,
    },
}

impl Held {
    /// The target has these users, on a list that decides.
    #[must_use]
    pub fn users(users: Users) -> Self {
        Self::Users { everywhere: users.clone(), anywhere: users, in_force: true }
    }

    /// Whether it is what these users would make of it.
    pub(crate) fn is(&self, users: &Users) -> bool {
        matches!(self, Self::Users { everywhere, anywhere, in_force: true }
            if everywhere.includes(users) && users.includes(anywhere))
    }
}
