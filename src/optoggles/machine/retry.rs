//! Decides when failed work is tried again.
//!
//! | failure | pause |
//! |---|---|
//! | temporary | 0.5, 1, 2, 4, 8, 16, 16, ... s, each shortened by up to a half at random |
//! | undefined | the same, or until the policy changes ([`Retry::hasten`]) |
//! | permanent | 5 min, or until the thing it is about changes |
//!
//! A longer pause that the other side asks for (`Retry-After`) replaces the computed
//! one, up to a day. There is no last attempt: a program that keeps things in step
//! must be right again whenever the other side is. The jitter keeps a thousand
//! toggles that failed together from being retried together.

use std::time::Duration;

use backon::ExponentialBackoff;
use tokio::time::Instant;

use crate::{
    backoff::delays,
    optoggles::failure::{Failure, FailureKind},
};

/// The pause before the first retry of a temporary failure, and the longest one.
/// Jitter shortens each by up to a half.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(16);

/// The pause before a permanent failure is retried although nothing has changed:
/// somebody may have renewed a token or granted a role at the other side.
const PERMANENT: Duration = Duration::from_secs(5 * 60);

/// The longest pause that the other side may ask for. It also keeps the sum of an
/// instant and a pause from overflowing, which would panic.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The failures of one kind of work since it last succeeded.
///
/// The default value has no failures, and lets an attempt begin at once.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    /// The last failure. `None`: the last attempt succeeded, or there was none.
    last: Option<Failed>,
    /// The pauses still to come. Made at the first temporary failure; permanent ones
    /// do not consume any.
    delays: Option<ExponentialBackoff>,
}

/// A failure, and when the work is tried again.
#[derive(Debug)]
struct Failed {
    failure: Failure,
    /// When the first failure after the last success happened.
    since: Instant,
    /// When the next attempt may begin.
    due: Instant,
}

impl Retry {
    /// Notes a success: forgets the failures, and starts the pauses from the beginning.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure, and computes when to try again: no sooner than the other side
    /// asks for.
    pub(crate) fn failed(&mut self, failure: Failure, now: Instant) {
        let since = self.since().unwrap_or(now);
        let delay = match failure.kind() {
            FailureKind::Permanent => PERMANENT,
            _ => self
                .delays
                .get_or_insert_with(|| delays(FIRST, LONGEST))
                .next()
                .unwrap_or(LONGEST)
                .min(LONGEST),
        };
        let due = now + delay.max(failure.delay().unwrap_or_default().min(PATIENCE));
        self.last = Some(Failed { failure, since, due });
    }

    /// Lets the next attempt begin at once if the last failure was permanent or an
    /// undefined rule, because what it was about has changed.
    ///
    /// A temporary failure keeps its pause: otherwise every change of the policy would
    /// be one more request to a target that is already overloaded.
    pub(crate) fn hasten(&mut self, now: Instant) {
        if let Some(last) = &mut self.last
            && last.failure.kind() != FailureKind::Temporary
        {
            last.due = now;
        }
    }

    /// When the next attempt may begin, if the last one failed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.last.as_ref().map(|last| last.due)
    }

    /// Whether an attempt may begin now: always, unless the last one failed.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due().is_none_or(|due| due <= now)
    }

    /// The last failure, if there was no success since then.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.last.as_ref().map(|last| &last.failure)
    }

    /// Since when every attempt has failed.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.last.as_ref().map(|last| last.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(failure: &Failure, count: usize) -> Vec<f64> {
        let (mut retry, now) = (Retry::default(), Instant::now());
        let pause = |_| {
            retry.failed(failure.clone(), now);
            retry.due().unwrap().duration_since(now).as_secs_f64()
        };
        (0..count).map(pause).collect()
    }

    #[tokio::test]
    async fn what_can_pass_is_retried_after_half_a_second_to_sixteen() {
        let expected = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 16.0, 16.0];
        for (pause, longest) in pauses(&Failure::temporary("lost"), 8).into_iter().zip(expected) {
            assert!(pause >= longest / 2.0 && pause <= longest, "{pause} of {longest}");
        }
        let last: Vec<_> = pauses(&Failure::temporary("lost"), 50).split_off(10);
        assert!(last.iter().any(|pause| (pause - last[0]).abs() > 1e-6), "{last:?}");
    }

    #[tokio::test]
    async fn the_other_side_may_name_a_longer_pause() {
        let limited = Failure::temporary("busy").retry_after(Duration::from_secs(60));
        assert_eq!(pauses(&limited, 2), [60.0, 60.0]);
        let endless = Failure::temporary("busy").retry_after(Duration::MAX);
        assert_eq!(pauses(&endless, 1), [86_400.0]);
        let soon = Failure::temporary("busy").retry_after(Duration::ZERO);
        assert!(pauses(&soon, 1)[0] >= 0.25);
    }

    #[tokio::test]
    async fn what_lasts_is_retried_every_five_minutes_or_after_a_change() {
        assert_eq!(pauses(&Failure::permanent("no"), 3), [300.0; 3]);
        let (mut retry, now) = (Retry::default(), Instant::now());
        retry.failed(Failure::permanent("no"), now);
        retry.hasten(now);
        assert!(retry.is_due(now));
        retry.failed(Failure::temporary("lost"), now);
        retry.hasten(now);
        assert!(!retry.is_due(now));
    }

    #[tokio::test]
    async fn an_undefined_rule_is_queried_again_after_a_change() {
        let (mut retry, now) = (Retry::default(), Instant::now());
        retry.failed(Failure::undefined("no rule"), now);
        assert!(!retry.is_due(now));
        retry.hasten(now);
        assert!(retry.is_due(now));
    }

    #[tokio::test]
    async fn a_success_starts_anew() {
        let (mut retry, now) = (Retry::default(), Instant::now());
        for _ in 0..5 {
            retry.failed(Failure::temporary("lost"), now);
        }
        retry.succeeded();
        assert!(retry.is_due(now) && retry.failure().is_none());
        retry.failed(Failure::temporary("lost"), now);
        assert!(retry.due().unwrap() <= now + FIRST);
    }
}
