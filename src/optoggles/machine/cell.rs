//! One toggle at one target: what the target holds, and what to do about it.
//!
//! A cell compares what its target holds with what the policy says, and returns the
//! work that closes the gap. It goes through these states:
//!
//! ```text
//!                    prepared                    written
//!  held: None ─────────────────► held: Some ◄──────────────┐
//!  (Prepare)  ◄───────────────── (nothing, or Write) ──────┘
//!               resync, permanent failure,
//!               interrupted
//! ```
//!
//! The cell does not trust its knowledge for longer than it must. After a failure
//! that may be temporary the write may or may not have taken effect, so the cell
//! assumes [`Held::Unknown`] and writes again. After a permanent failure the toggle
//! may have been deleted, so the cell prepares it anew. At each resync a readable
//! target is read again, because somebody may have edited it by hand.

use tokio::time::Instant;

use super::{retry::Retry, settings::Settings};
use crate::optoggles::{
    failure::{Failure, FailureKind},
    target::Held,
    users::Users,
};

/// The state of one toggle at one target.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    /// What the target holds. `None`: the toggle must be prepared first.
    held: Option<Held>,
    /// The users that the target was last known to have, whatever has happened since.
    /// `maxRemoved` is measured against them, so they survive failures that make
    /// `held` unknown. `None` until the target was read or written, unless the last list
    /// was recorded: the limit cannot be applied then.
    former: Option<Users>,
    /// Whether the target reports what it holds. It makes no sense to read others
    /// again at a resync.
    can_be_read: bool,
    /// What is under way. Nothing else begins before it has ended.
    work: Work,
    /// The failures of preparing and writing.
    retry: Retry,
    /// Whether something has changed since the work under way began.
    is_outdated: bool,
    /// The change that waits for a confirmation, if there is one.
    withheld: Option<Withheld>,
    /// The exact set that an operator has confirmed. Writing this set is exempt from
    /// the limit; any other set is not.
    confirmed: Option<Users>,
    /// When the target was last known to hold what the policy says.
    in_step: Option<Instant>,
}

/// What is under way for a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing.
    #[default]
    None,
    /// The toggle is being created if it does not exist, and read.
    Prepare,
    /// These users are being written.
    Write(Users),
}

/// A change that removes more users than the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Withheld {
    /// How many users it would remove.
    pub(crate) removed: usize,
    /// How many users the target has now, as far as is known.
    pub(crate) of: usize,
}

impl Cell {
    /// Returns the work that brings the target closer to `policy`, and counts it as
    /// under way until [`prepared`](Self::prepared) or [`written`](Self::written)
    /// reports its end.
    ///
    /// Returns `None` when there is nothing to do: work is under way, a retry is not
    /// due yet, the target is in step, or the change is held back. Without a `policy`
    /// (the source has not answered yet) the toggle is prepared and nothing is
    /// written, so that the write can follow the answer at once.
    pub(crate) fn next(
        &mut self,
        policy: Option<&Users>,
        settings: &Settings,
        now: Instant,
    ) -> Option<Work> {
        if self.work != Work::None || !self.retry.is_due(now) {
            return None;
        }
        self.work = match (&self.held, policy) {
            (None, _) => Work::Prepare,
            (Some(_), None) => Work::None,
            (Some(held), Some(policy)) if held.is(policy) => {
                self.withheld = None;
                self.in_step = Some(now);
                Work::None
            }
            (Some(_), Some(policy)) => {
                self.withheld = self.beyond_limit(policy, settings);
                if self.withheld.is_some() { Work::None } else { Work::Write(policy.clone()) }
            }
        };
        if self.work == Work::None {
            // Nothing is left to retry: the policy may have gone back to what the target holds.
            self.retry.succeeded();
            return None;
        }
        self.is_outdated = false;
        Some(self.work.clone())
    }

    /// Returns the change to `policy` if it removes more users than the limit allows
    /// and is not confirmed.
    fn beyond_limit(&self, policy: &Users, settings: &Settings) -> Option<Withheld> {
        if settings.max_removed.is_none() || self.confirmed.as_ref() == Some(policy) {
            return None;
        }
        let former = self.former.as_ref()?;
        let (removed, of) = (former.without(policy).len(), former.len());
        settings.holds_back(removed, of).then_some(Withheld { removed, of })
    }

    /// Notes the users that the target had when it was last written, before this program
    /// started. A target that reports whom it has is believed instead.
    pub(crate) fn remember(&mut self, users: Users) {
        self.former = Some(users);
    }

    /// Takes the result of [`Work::Prepare`]: what the target holds.
    pub(crate) fn prepared(&mut self, result: Result<Held, Failure>, now: Instant) {
        self.work = Work::None;
        match result {
            Ok(held) => {
                // What failed before may have been the write, which is yet to come.
                self.can_be_read = matches!(held, Held::Users { .. });
                if let Held::Users { anywhere, .. } = &held {
                    self.former = Some(anywhere.clone());
                }
                self.held = Some(held);
            }
            Err(failure) => self.failed(failure, now),
        }
    }

    /// Takes the result of [`Work::Write`].
    ///
    /// A success uses up a confirmation. A failure leaves it in force, so that a retry
    /// of the confirmed write needs no second one.
    pub(crate) fn written(&mut self, result: Result<(), Failure>, now: Instant) {
        let work = std::mem::take(&mut self.work);
        match (result, work) {
            (Ok(()), Work::Write(users)) => {
                self.retry.succeeded();
                self.confirmed = None;
                self.in_step = Some(now);
                self.former = Some(users.clone());
                self.held = Some(Held::users(users));
            }
            (Ok(()), _) => {}
            (Err(failure), _) => {
                // A permanent failure may mean that somebody has deleted the toggle: prepare it
                // anew. After any other failure nobody knows whether the write took effect.
                let lasts = failure.kind() == FailureKind::Permanent;
                self.held = if lasts { None } else { Some(Held::Unknown) };
                self.failed(failure, now);
            }
        }
    }

    fn failed(&mut self, failure: Failure, now: Instant) {
        self.retry.failed(failure, now);
        if self.is_outdated {
            self.retry.hasten(now);
        }
    }

    /// Has the target read again if it reports what it holds, because somebody may
    /// have edited it, and retries a permanent failure at once.
    pub(crate) fn reread(&mut self, now: Instant) {
        if self.can_be_read && self.work == Work::None {
            self.held = None;
        }
        self.hasten(now);
    }

    /// Notes that the task which worked on the cell was dropped. Nobody knows how far
    /// it came, so the toggle is prepared again.
    pub(crate) fn interrupted(&mut self) {
        if std::mem::take(&mut self.work) != Work::None {
            self.held = None;
        }
    }

    /// Retries a permanent failure at once: the policy has changed, and what was
    /// rejected before may be accepted now.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.is_outdated = true;
        self.retry.hasten(now);
    }

    /// Releases the change that is held back, and returns whether there was one.
    ///
    /// The confirmation is for the set `policy` as it is now. If the policy changes
    /// again before the write, the limit applies to the new set.
    pub(crate) fn confirm(&mut self, policy: Option<&Users>) -> bool {
        let is_withheld = self.withheld.take().is_some();
        if is_withheld {
            self.confirmed = policy.cloned();
        }
        is_withheld
    }

    /// Returns when [`next`](Self::next) must be called again if nothing else happens.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.retry.due().filter(|_| self.work == Work::None)
    }

    /// The change that waits for a confirmation.
    pub(crate) fn withheld(&self) -> Option<Withheld> {
        self.withheld
    }

    /// When the target was last known to hold what the policy says.
    pub(crate) fn in_step(&self) -> Option<Instant> {
        self.in_step
    }

    /// The failures of preparing and writing since the last success.
    pub(crate) fn retry(&self) -> &Retry {
        &self.retry
    }

    /// Whether no attempt has ended yet, neither well nor badly.
    pub(crate) fn is_new(&self) -> bool {
        self.held.is_none() && self.retry.failure().is_none()
    }

    /// Whether the target reports what it holds.
    pub(crate) fn can_be_read(&self) -> bool {
        self.can_be_read
    }

    /// Whether work is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.work != Work::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_changed_while_a_write_was_being_refused_is_written_at_once() {
        let (now, settings) = (Instant::now(), Settings::default());
        let [first, second] = ["bob", "al"].map(|name| [name].into_iter().collect::<Users>());
        let mut cell = Cell::default();
        cell.next(Some(&first), &settings, now);
        cell.prepared(Ok(Held::Unknown), now);
        assert_eq!(cell.next(Some(&first), &settings, now), Some(Work::Write(first.clone())));
        cell.hasten(now);
        cell.written(Err(Failure::permanent("no")), now);
        assert_eq!(cell.next(Some(&second), &settings, now), Some(Work::Prepare));
        cell.prepared(Ok(Held::Unknown), now);
        assert_eq!(cell.retry().failure().unwrap().to_string(), "no", "it is not written yet");
        assert_eq!(cell.next(Some(&second), &settings, now), Some(Work::Write(second.clone())));
        cell.written(Err(Failure::permanent("no")), now);
        assert_eq!(cell.next(Some(&second), &settings, now), None, "nothing has changed since");
    }
}
