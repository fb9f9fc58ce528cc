//! The query for the users of one toggle, and which of its answers count.
//!
//! OPA cannot be trusted to say "nobody" only when it means it. It answers with an
//! empty set also when it has its policy but not yet, or no longer, its data; and it
//! answers `200 OK` without a `result` when the rule does not exist. Writing such an
//! answer would revoke everybody. A question therefore distinguishes four answers:
//!
//! | answer | effect |
//! |---|---|
//! | users | counts at once |
//! | an empty set that the source vouches for | counts at once |
//! | an empty set without that, unless the set is empty already | counts if another answer after the pause agrees |
//! | undefined, or a failure | changes nothing; is retried |
//!
//! How a set becomes empty with a pause of 30 s:
//!
//! ```text
//!  0 s  {alice}      policy = {alice}
//! 10 s  {}           policy = {alice}, empty since 10 s, query again at 40 s
//! 20 s  {}           policy = {alice}, empty since 10 s, query again at 40 s
//! 40 s  {}           policy = {}
//! ```
//!
//! An undefined rule or a failure in between starts the pause afresh: the source may
//! have restarted, and the earlier empty answer proves nothing any more.

use std::time::Duration;

use tokio::time::Instant;

use super::retry::Retry;
use crate::optoggles::{failure::Failure, source::Answer, users::Users};

/// The query for the users of a toggle, and the last answer that counts.
#[derive(Debug, Default)]
pub(crate) struct Question {
    /// The users that the policy authorizes, by the last answer that counts. `None`
    /// until there is one. Never goes back to `None`.
    policy: Option<Users>,
    /// Whether a query is under way.
    is_asked: bool,
    /// Whether a query must begin, or begin again once the present one has ended,
    /// because the answer may have changed since that one began.
    is_wanted: bool,
    /// The failures of the query. An undefined rule counts as one.
    retry: Retry,
    /// Since when every answer was empty and not vouched for, if the last one was.
    empty_since: Option<Instant>,
    /// When to query again in order to confirm an empty answer.
    confirm_at: Option<Instant>,
}

impl Question {
    /// Notes that the answer may have changed, so that a query is needed. Any number of
    /// calls before that query begins amount to one.
    pub(crate) fn want(&mut self, now: Instant) {
        self.is_wanted = true;
        self.retry.hasten(now);
    }

    /// Returns whether a query must begin now, and if so counts it as under way until
    /// [`answered`](Self::answered) reports its end.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        let is_due = self.retry.due().is_some() || self.confirm_at.is_some_and(|at| at <= now);
        let asks = !self.is_asked && (self.is_wanted || is_due) && self.retry.is_due(now);
        if asks {
            self.is_asked = true;
            self.is_wanted = false;
            self.confirm_at = None;
        }
        asks
    }

    /// Takes the result of the query, and returns whether
    /// [`policy`](Self::policy) has changed.
    ///
    /// `pause` is how long an empty set that is not vouched for must last before it
    /// counts; zero turns that off. A set that is already empty needs no confirmation
    /// to stay so.
    pub(crate) fn answered(
        &mut self,
        answer: Result<Answer, Failure>,
        pause: Duration,
        now: Instant,
    ) -> bool {
        self.is_asked = false;
        let (users, vouched) = match answer {
            Ok(Answer::Users { users, vouched }) => (users, vouched),
            Ok(Answer::Undefined) => {
                self.failed(Failure::undefined("the rule is undefined"), now);
                return false;
            }
            Err(failure) => {
                self.failed(failure, now);
                return false;
            }
        };
        self.retry.succeeded();
        let was_empty = self.policy.as_ref().is_some_and(Users::is_empty);
        if users.is_empty() && !vouched && !was_empty && !pause.is_zero() {
            // A pause beyond the range of instants never ends.
            let confirmed_at = self.empty_since.get_or_insert(now).checked_add(pause);
            if confirmed_at.is_none_or(|at| now < at) {
                self.confirm_at = confirmed_at;
                return false;
            }
        }
        self.empty_since = None;
        self.confirm_at = None;
        let changes = self.policy.as_ref() != Some(&users);
        if changes {
            self.policy = Some(users);
        }
        changes
    }

    /// Notes that there was no answer with a value.
    fn failed(&mut self, failure: Failure, now: Instant) {
        // The source may have restarted without its data: an earlier empty answer proves nothing now.
        self.empty_since = None;
        self.retry.failed(failure, now);
        if self.is_wanted {
            self.retry.hasten(now);
        }
    }

    /// Notes that the task which made the query was dropped: a query that was under
    /// way must begin again.
    pub(crate) fn interrupted(&mut self) {
        self.is_wanted |= self.is_asked;
        self.is_asked = false;
    }

    /// Returns when [`ask`](Self::ask) must be called again if nothing else happens.
    pub(crate) fn due(&self) -> Option<Instant> {
        // A failure takes precedence: its retry also answers what was to be confirmed.
        self.retry.due().or(self.confirm_at).filter(|_| !self.is_asked)
    }

    /// The users that the policy authorizes; `None` before the first answer that counts.
    pub(crate) fn policy(&self) -> Option<&Users> {
        self.policy.as_ref()
    }

    /// Since when an empty set has been waiting for its confirmation.
    pub(crate) fn empty_since(&self) -> Option<Instant> {
        self.empty_since
    }

    /// The failures since the last answer with a value.
    pub(crate) fn retry(&self) -> &Retry {
        &self.retry
    }

    /// Whether a query is under way, or wanted.
    pub(crate) fn is_open(&self) -> bool {
        self.is_asked || self.is_wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_during_a_query_that_finds_no_value_is_queried_at_once() {
        let (mut question, now) = (Question::default(), Instant::now());
        question.want(now);
        assert!(question.ask(now));
        question.want(now);
        question.answered(Ok(Answer::Undefined), Duration::ZERO, now);
        assert!(question.ask(now));
        question.answered(Ok(Answer::Undefined), Duration::ZERO, now);
        assert!(!question.ask(now), "nothing has changed since");
    }

    #[tokio::test]
    async fn a_pause_beyond_the_range_of_instants_never_ends() {
        let (mut question, now) = (Question::default(), Instant::now());
        let empty = || Ok(Answer::users(Users::default()));
        assert!(!question.answered(empty(), Duration::MAX, now));
        assert_eq!((question.policy(), question.due()), (None, None));
        assert!(question.answered(empty(), Duration::ZERO, now));
    }
}
