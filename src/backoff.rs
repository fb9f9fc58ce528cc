//! How long to wait before the next reconnection, and when that starts anew. Pure: time is passed in.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// A stream must stay ready for at least so long before the past is forgotten.
const STABLE: Duration = Duration::from_secs(5);

/// Delays that double from `first` to `max`, each shortened by a random part of up to a half, so
/// that the clients of a flagd that comes back do not arrive together.
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    delays: ExponentialBackoff,
    failures: u32,
    ready_since: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        let first = first.min(max);
        Self { first, max, delays: Self::delays(first, max), failures: 0, ready_since: None }
    }

    fn delays(first: Duration, max: Duration) -> ExponentialBackoff {
        // backon adds up to the delay itself as jitter, on top of the maximum: half of both, then.
        ExponentialBuilder::default()
            .with_min_delay(first / 2)
            .with_max_delay(max / 2)
            .with_jitter()
            .without_max_times()
            .build()
    }

    /// The shortest time between two attempts.
    pub(crate) fn first(&self) -> Duration {
        self.first
    }

    /// Attempts that failed since a stream was last stable.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// A stream is ready.
    pub(crate) fn ready(&mut self, now: Instant) {
        self.ready_since = Some(now);
    }

    /// A stream, or the attempt to open one, failed. A stream that was not stable counts as a
    /// failed attempt; one that was resets delay and count.
    pub(crate) fn failed(&mut self, now: Instant) -> Duration {
        let stable = self.max.max(STABLE);
        match self.ready_since.take() {
            Some(since) if now.duration_since(since) >= stable => {
                self.failures = 0;
                self.delays = Self::delays(self.first, self.max);
            }
            _ => self.failures = self.failures.saturating_add(1),
        }
        self.delays.next().unwrap_or(self.max).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(5);

    fn within(delay: Duration, full: Duration) {
        assert!(delay >= full / 2 && delay <= full, "{delay:?} is not of {full:?}");
    }

    #[tokio::test]
    async fn delays_double_up_to_the_maximum_with_the_jitter_inside() {
        for _ in 0..200 {
            let mut backoff = Backoff::new(FIRST, MAX);
            for seconds in [1, 2, 4, 5, 5, 5, 5, 5, 5, 5] {
                within(backoff.failed(Instant::now()), Duration::from_secs(seconds));
            }
        }
    }

    #[tokio::test]
    async fn jitter_spreads_the_first_delay_and_the_longest() {
        let now = Instant::now();
        for before in [0, 10] {
            let delay = |_| {
                let mut backoff = Backoff::new(FIRST, MAX);
                for _ in 0..before {
                    backoff.failed(now);
                }
                backoff.failed(now)
            };
            let delays: std::collections::HashSet<_> = (0..50).map(delay).collect();
            assert!(delays.len() > 25, "{} of 50 delays differ after {before}", delays.len());
        }
    }

    #[tokio::test]
    async fn the_first_delay_is_capped_too() {
        assert_eq!(Backoff::new(FIRST, MAX).first(), FIRST);
        let mut backoff = Backoff::new(MAX, FIRST);
        assert_eq!(backoff.first(), FIRST);
        within(backoff.failed(Instant::now()), FIRST);
    }

    #[tokio::test]
    async fn a_stable_stream_resets_delay_and_count() {
        let mut backoff = Backoff::new(FIRST, MAX);
        let start = Instant::now();
        for _ in 0..4 {
            backoff.failed(start);
        }
        assert_eq!(backoff.failures(), 4);
        backoff.ready(start);
        within(backoff.failed(start + STABLE), FIRST);
        assert_eq!(backoff.failures(), 0, "the loss of a stable stream is no failed attempt");
    }

    #[tokio::test]
    async fn a_stream_that_flaps_goes_on_from_where_it_was() {
        let mut backoff = Backoff::new(FIRST, MAX);
        let mut now = Instant::now();
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (4, 5), (5, 5)] {
            backoff.ready(now);
            now += Duration::from_millis(4_999);
            within(backoff.failed(now), Duration::from_secs(seconds));
            assert_eq!(backoff.failures(), failures);
        }
    }

    #[tokio::test]
    async fn stable_is_the_longer_of_the_maximal_delay_and_five_seconds() {
        let long = Duration::from_secs(60);
        let mut backoff = Backoff::new(FIRST, long);
        let now = Instant::now();
        backoff.failed(now);
        backoff.ready(now);
        backoff.failed(now + STABLE);
        assert_eq!(backoff.failures(), 2, "not stable before 60 s");
        backoff.ready(now);
        backoff.failed(now + long);
        assert_eq!(backoff.failures(), 0);
    }
}
