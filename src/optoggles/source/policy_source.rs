//! The trait of sources, [`PolicySource`], and their [`Answer`]s.

use async_trait::async_trait;

use crate::optoggles::{failure::Failure, toggle::Rule, users::Users};

/// A source of truth: says which users a rule authorizes, and when to query again.
///
/// The engine queries all toggles of the source whenever [`changed`](Self::changed)
/// returns, and from time to time besides. Up to 16 toggles are queried at a time, but
/// each toggle only once at a time. The source itself need not retry anything.
///
/// # Example
///
/// A source whose users the program sets:
///
/// ```
/// use flagstaff::{
///     async_trait,
///     optoggles::{Answer, Failure, PolicySource, Rule, Users},
/// };
/// use tokio::sync::watch;
///
/// struct Set(watch::Sender<Users>, tokio::sync::Mutex<watch::Receiver<Users>>);
///
/// impl Set {
///     fn new() -> Self {
///         let (sender, mut receiver) = watch::channel(Users::default());
///         receiver.mark_changed(); // The first call of `changed` returns at once.
///         Self(sender, receiver.into())
///     }
/// }
///
/// #[async_trait]
/// impl PolicySource for Set {
///     async fn users(&self, _: &Rule) -> Result<Answer, Failure> {
///         Ok(Answer::users(self.0.borrow().clone()))
///     }
///
///     async fn changed(&self) -> Result<(), Failure> {
///         self.1.lock().await.changed().await.map_err(Failure::permanent)
///     }
///
///     async fn check(&self) -> Result<(), Failure> {
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// let set = Set::new();
/// set.changed().await?;
/// set.0.send_replace(["alice"].into_iter().collect());
/// set.changed().await?;
/// let alice = ["alice"].into_iter().collect();
/// assert_eq!(set.users(&Rule::new("p", "r")).await?, Answer::users(alice));
/// # Ok(()) }
/// ```
#[async_trait]
pub trait PolicySource: Send + Sync + 'static {
    /// Queries which users a rule authorizes.
    ///
    /// The future is dropped when the engine shuts down or its configuration is read
    /// again.
    ///
    /// # Errors
    ///
    /// When there is no answer; the engine retries. A rule without a value is not an
    /// error but [`Answer::Undefined`].
    async fn users(&self, rule: &Rule) -> Result<Answer, Failure>;

    /// Waits until the answers may have changed. The first call returns as soon as the
    /// source can be queried.
    ///
    /// The engine calls it again after each return, after an error with a delay. A
    /// needless return costs a query of every toggle and does no other harm.
    ///
    /// # Cancel safety
    ///
    /// It must be cancel-safe: a change that is not reported because the future was
    /// dropped must be reported by the next call. The engine drops it routinely,
    /// because it merges changes that follow each other within milliseconds.
    ///
    /// # Errors
    ///
    /// When changes cannot be noticed for now. The source counts as failing until a
    /// later call succeeds, so a source that has recovered should return even if
    /// nothing has changed.
    async fn changed(&self) -> Result<(), Failure>;

    /// Checks whether the source answers and accepts its token, and changes nothing.
    /// `flagstaff optoggles check --live` and [`Engine::check`] call it.
    ///
    /// # Errors
    ///
    /// When it does not.
    ///
    /// [`Engine::check`]: crate::optoggles::Engine::check
    async fn check(&self) -> Result<(), Failure>;

    /// Cleans up at the other side, for example removes a callback.
    ///
    /// Called once, when the engine shuts down or when the source has left the
    /// configuration. It has two seconds.
    async fn close(&self) {}
}

/// The answer of a source for a rule.
///
/// ```
/// use flagstaff::optoggles::{Answer, Users};
///
/// // As far as the source can tell, only alice is authorized:
/// let answer = Answer::users(["alice"].into_iter().collect());
/// assert!(matches!(answer, Answer::Users { vouched: false, .. }));
///
/// // The source knows that nobody is authorized:
/// let nobody = Answer::Users { users: Users::default(), vouched: true };
/// assert_ne!(nobody, Answer::Undefined);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The rule has no value: it does not exist, or is not loaded yet. It revokes
    /// nobody; the toggle is reported as failing until the rule has a value.
    Undefined,
    /// The rule authorizes these users.
    Users {
        /// All authorized users.
        users: Users,
        /// Whether the source knows that its data is loaded.
        ///
        /// It matters for an empty set only. One that is not vouched for may come from
        /// an OPA that has its policy but not its data, so it is written only if
        /// another answer
        /// [after a pause](crate::optoggles::EngineBuilder::empty_confirmation)
        /// confirms it.
        vouched: bool,
    },
}

impl Answer {
    /// The rule authorizes these users, as far as the source can tell: the answer is
    /// not vouched for.
    #[must_use]
    pub fn users(users: Users) -> Self {
        Self::Users { users, vouched: false }
    }
}
