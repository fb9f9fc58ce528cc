//! One toggle at one target: what it holds, and what is to be done about it.

use tokio::time::Instant;

use super::{retry::Retry, settings::Settings};
use crate::optoggles::{
    failure::{Failure, FailureKind},
    target::Held,
    users::Users,
};

/// One toggle at one target.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    /// What the target holds. None: the toggle is to be prepared first.
    held: Option<Held>,
    /// The users that the target was last known to have, whatever happened since.
    former: Option<Users>,
    /// Whether the target says what it holds.
    can_be_read: bool,
    work: Work,
    retry: Retry,
    /// Whether something has changed since the work under way began.
    is_outdated: bool,
    withheld: Option<Withheld>,
    /// The users that an operator has confirmed, for whom the limit does not count.
    confirmed: Option<Users>,
    /// When the target was last seen to hold what the policy says.
    in_step: Option<Instant>,
}

/// What is under way for a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing.
    #[default]
    None,
    /// The toggle is being created, or read.
    Prepare,
    /// These users are being written.
    Write(Users),
}

/// A change that removes more users than the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Withheld {
    /// How many users it would remove.
    pub(crate) removed: usize,
    /// How many users there are.
    pub(crate) of: usize,
}

impl Cell {
    /// What is to be done now for the target to have these users; it then counts as under way.
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
            // There is nothing to try again.
            self.retry.succeeded();
            return None;
        }
        self.is_outdated = false;
        Some(self.work.clone())
    }

    /// The change to these users, if it removes more than the limit allows.
    fn beyond_limit(&self, policy: &Users, settings: &Settings) -> Option<Withheld> {
        let limit = settings.max_removed?;
        if self.confirmed.as_ref() == Some(policy) {
            return None;
        }
        let former = self.former.as_ref()?;
        let (removed, of) = (former.without(policy).len(), former.len());
        #[allow(clippy::cast_precision_loss, reason = "fewer users than 2^52")]
        let is_beyond = removed > 0 && removed as f64 > limit * of as f64;
        is_beyond.then_some(Withheld { removed, of })
    }

    /// The target was read, and the toggle created if need be.
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

    /// The target was written.
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
                // What cannot pass may be a toggle that somebody has deleted. After other failures it
                // is not known whether the write took effect.
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

    /// Reads the target anew, if it says what it holds: somebody may have changed it.
    pub(crate) fn reread(&mut self, now: Instant) {
        if self.can_be_read && self.work == Work::None {
            self.held = None;
        }
        self.hasten(now);
    }

    /// Whoever worked on it has gone, and it is not known how far that work came.
    pub(crate) fn interrupted(&mut self) {
        if std::mem::take(&mut self.work) != Work::None {
            self.held = None;
        }
    }

    /// The policy has changed, so that what lasted may have passed.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.is_outdated = true;
        self.retry.hasten(now);
    }

    /// Lets the change that is held back be made, unless the policy changes once more. Returns
    /// whether there is one.
    pub(crate) fn confirm(&mut self, policy: Option<&Users>) -> bool {
        let is_withheld = self.withheld.take().is_some();
        if is_withheld {
            self.confirmed = policy.cloned();
        }
        is_withheld
    }

    /// When the cell is to be looked at again, if nothing happens before.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.retry.due().filter(|_| self.work == Work::None)
    }

    /// The change that is held back.
    pub(crate) fn withheld(&self) -> Option<Withheld> {
        self.withheld
    }

    /// When the target was last seen to hold what the policy says.
    pub(crate) fn in_step(&self) -> Option<Instant> {
        self.in_step
    }

    /// The failures since the last success.
    pub(crate) fn retry(&self) -> &Retry {
        &self.retry
    }

    /// Whether nothing was tried yet.
    pub(crate) fn is_new(&self) -> bool {
        self.held.is_none() && self.retry.failure().is_none()
    }

    /// Whether something is under way.
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
