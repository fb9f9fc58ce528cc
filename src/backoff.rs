//! How long to wait before the next attempt to reconnect, and when the delays start
//! again. There is no clock and no timer in it: the time is passed in.
//!
//! With a first delay of 1 s and a maximum of 5 s, the delays lie in these ranges:
//!
//! ```text
//! failure   1          2        3        4          5 and later
//! delay     0.5-1 s    1-2 s    2-4 s    2.5-5 s    2.5-5 s
//! ```
//!
//! Opening a stream does not reset them, because a server that accepts connections
//! and closes them at once would otherwise be called at the shortest delay forever.
//! A stream must stay ready for the longest delay, and for at least
//! [`STABLE`], first. See "Lost calls and connections" in `docs/lifecycle.md`.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// For how long, at least, a stream must have been ready before its loss resets
/// delays and failures.
const STABLE: Duration = Duration::from_secs(5);

/// Delays that double from `first` to `max`, each of them shortened by a random part
/// of up to a half.
///
/// The random part spreads the clients of a flagd that restarts, which all lost
/// their connection at the same moment.
pub(crate) struct Backoff {
    /// The longest delay after the first failure; at most `max`.
    first: Duration,
    /// The longest delay of all.
    max: Duration,
    /// The delays to come.
    delays: ExponentialBackoff,
    failures: u32,
    /// Since when a stream is ready; `None` while there is none.
    ready_since: Option<Instant>,
}

impl Backoff {
    /// Starts with no failures. A `first` above `max` counts as `max`.
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        let first = first.min(max);
        Self { first, max, delays: delays(first, max), failures: 0, ready_since: None }
    }

    /// The first delay without its random part. Attempts that a call triggers keep
    /// this distance from the attempt before.
    #[cfg(any(feature = "rpc", test))]
    pub(crate) fn first(&self) -> Duration {
        self.first
    }

    /// How many attempts have failed since a stream was last stable.
    #[cfg(any(feature = "rpc", test))]
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Notes that a stream is ready.
    pub(crate) fn ready(&mut self, now: Instant) {
        self.ready_since = Some(now);
    }

    /// Notes that a stream, or the attempt to open one, has failed, and returns the
    /// delay before the next attempt.
    ///
    /// A stream that was not stable counts as a failed attempt. The loss of a stable
    /// one resets the delays and the number of failures, and does not count itself.
    pub(crate) fn failed(&mut self, now: Instant) -> Duration {
        let stable = self.max.max(STABLE);
        match self.ready_since.take() {
            Some(since) if now.duration_since(since) >= stable => {
                self.failures = 0;
                self.delays = delays(self.first, self.max);
            }
            _ => self.failures = self.failures.saturating_add(1),
        }
        self.delays.next().unwrap_or(self.max).min(self.max)
    }
}

/// Delays that double from `first` to `max`, each shortened by a random part of up to a half.
pub(crate) fn delays(first: Duration, max: Duration) -> ExponentialBackoff {
    // backon adds up to the delay itself as jitter, even above its maximum. With half of both
    // values, the sum is between a half and the whole of each delay.
    ExponentialBuilder::default()
        .with_min_delay(first / 2)
        .with_max_delay(max / 2)
        .with_jitter()
        .without_max_times()
        .build()
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
