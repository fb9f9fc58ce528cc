//! What a source is: [`PolicySource`], and what it answers.

use async_trait::async_trait;

use crate::optoggles::{failure::Failure, toggle::Rule, users::Users};

/// A source of truth: says which users a rule authorizes, and when to ask again.
///
/// The engine asks for all toggles of the source whenever [`changed`](Self::changed) returns. It asks
/// for several toggles at a time, but for each toggle only once at a time.
#[async_trait]
pub trait PolicySource: Send + Sync + 'static {
    /// Asks which users the rule authorizes.
    ///
    /// # Errors
    ///
    /// When there is no answer. A rule without a value is no error but [`Answer::Undefined`].
    async fn users(&self, rule: &Rule) -> Result<Answer, Failure>;

    /// Returns once the answers may have changed, and the first time as soon as the source can be
    /// asked.
    ///
    /// After an error it is called again, after a delay. It is dropped before it returns when the
    /// engine shuts down.
    ///
    /// # Errors
    ///
    /// When changes cannot be noticed for now; it is shown in the health of the source.
    async fn changed(&self) -> Result<(), Failure>;

    /// Whether the source answers and accepts the token, for `flagstaff optoggles check --live`.
    ///
    /// # Errors
    ///
    /// When it does not.
    async fn check(&self) -> Result<(), Failure>;

    /// Called once when the engine shuts down, to clean up at the other side.
    async fn close(&self) {}
}

/// What a source answers for a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The rule has no value: it does not exist, or is not loaded yet. It revokes nobody.
    Undefined,
    /// The rule authorizes these users.
    Users {
        /// The users.
        users: Users,
        /// Whether the source knows that its data is loaded. An empty set that is not vouched for is
        /// written only if it is confirmed by a second answer, since it may come from an OPA that has
        /// its policy but not its data.
        vouched: bool,
    },
}

impl Answer {
    /// The rule authorizes these users, as far as the source can tell.
    #[must_use]
    pub fn users(users: Users) -> Self {
        Self::Users { users, vouched: false }
    }
}
