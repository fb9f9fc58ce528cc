//! What a source is asked for one toggle, and what is made of its answers.

use std::time::Duration;

use tokio::time::Instant;

use super::retry::Retry;
use crate::optoggles::{failure::Failure, source::Answer, users::Users};

/// The question which users a toggle has, and the last answer that counts.
#[derive(Debug, Default)]
pub(crate) struct Question {
    /// The users that the policy authorizes, by the last answer that counts.
    policy: Option<Users>,
    /// Whether the source is being asked.
    is_asked: bool,
    /// Whether it is to be asked, or to be asked again because something may have changed since.
    is_wanted: bool,
    retry: Retry,
    /// Since when every answer was empty and not vouched for, if the last one was.
    empty_since: Option<Instant>,
    /// When an empty answer is to be confirmed.
    confirm_at: Option<Instant>,
}

impl Question {
    /// Something may have changed, so the source is to be asked once more.
    pub(crate) fn want(&mut self, now: Instant) {
        self.is_wanted = true;
        self.retry.hasten(now);
    }

    /// Whether the source is to be asked now; it then counts as being asked.
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

    /// The source has answered. Returns whether the policy has another value now.
    ///
    /// An answer without a value revokes nobody. An empty set that nobody vouches for counts once it
    /// was given again after the pause: it may come from an OPA that has lost its data.
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
                // What was empty before is no proof any more.
                self.empty_since = None;
                self.retry.failed(Failure::undefined("the rule is undefined"), now);
                return false;
            }
            Err(failure) => {
                // The source may have restarted, and have lost its data.
                self.empty_since = None;
                self.retry.failed(failure, now);
                return false;
            }
        };
        self.retry.succeeded();
        let was_empty = self.policy.as_ref().is_some_and(Users::is_empty);
        if users.is_empty() && !vouched && !was_empty && !pause.is_zero() {
            let confirmed_at = *self.empty_since.get_or_insert(now) + pause;
            if now < confirmed_at {
                self.confirm_at = Some(confirmed_at);
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

    /// Whoever asked has gone.
    pub(crate) fn interrupted(&mut self) {
        self.is_wanted |= self.is_asked;
        self.is_asked = false;
    }

    /// When the question is to be looked at again, if nothing happens before.
    pub(crate) fn due(&self) -> Option<Instant> {
        // After a failure there is nothing to confirm.
        self.retry.due().or(self.confirm_at).filter(|_| !self.is_asked)
    }

    /// The users that the policy authorizes, once it has answered.
    pub(crate) fn policy(&self) -> Option<&Users> {
        self.policy.as_ref()
    }

    /// Since when an empty set waits to be confirmed.
    pub(crate) fn empty_since(&self) -> Option<Instant> {
        self.empty_since
    }

    /// The failures since the last answer.
    pub(crate) fn retry(&self) -> &Retry {
        &self.retry
    }

    /// Whether it is being asked or to be asked at once.
    pub(crate) fn is_open(&self) -> bool {
        self.is_asked || self.is_wanted
    }
}
