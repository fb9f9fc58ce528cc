//! When work that failed is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use crate::optoggles::failure::{Failure, FailureKind};

/// The pause before the first retry, and the longest. Jitter makes each up to a half shorter.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(16);

/// The pause before a retry of what cannot pass by itself.
const PERMANENT: Duration = Duration::from_secs(5 * 60);

/// The longest pause that the other side may ask for. It also keeps the sum of an instant and a pause
/// from overflowing.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The failures of one kind of work since it last succeeded.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    last: Option<Failed>,
    delays: Option<ExponentialBackoff>,
}

#[derive(Debug)]
struct Failed {
    failure: Failure,
    /// When the first of these failures happened.
    since: Instant,
    /// When to try again.
    due: Instant,
}

impl Retry {
    /// Forgets the failures.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure, and when to try again: no sooner than the other side wishes.
    pub(crate) fn failed(&mut self, failure: Failure, now: Instant) {
        let since = self.since().unwrap_or(now);
        let delay = match failure.kind() {
            FailureKind::Permanent => PERMANENT,
            _ => self.delays.get_or_insert_with(delays).next().unwrap_or(LONGEST).min(LONGEST),
        };
        let due = now + delay.max(failure.delay().unwrap_or_default().min(PATIENCE));
        self.last = Some(Failed { failure, since, due });
    }

    /// Lets the next attempt begin at once where there was a permanent failure: what it is about has
    /// changed.
    pub(crate) fn hasten(&mut self, now: Instant) {
        if let Some(last) = &mut self.last
            && last.failure.kind() == FailureKind::Permanent
        {
            last.due = now;
        }
    }

    /// When to try again, if the last attempt failed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.last.as_ref().map(|last| last.due)
    }

    /// Whether an attempt may begin.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due().is_none_or(|due| due <= now)
    }

    /// The last failure, if there was no success since.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.last.as_ref().map(|last| &last.failure)
    }

    /// Since when every attempt has failed.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.last.as_ref().map(|last| last.since)
    }
}

/// backon adds up to the delay itself as jitter: half of the delays, then.
fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST / 2)
        .with_max_delay(LONGEST / 2)
        .with_jitter()
        .without_max_times()
        .build()
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
