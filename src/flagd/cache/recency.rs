//! The order in which entries were used, to the millisecond, for next to nothing.
//!
//! A stamp is a millisecond with a running number in its low bits. The most recent one is known to
//! all: who holds it was used last, and using it again changes nothing, so that a hot flag costs
//! neither a look at the clock nor a write. An odd stamp is nobody's.

use std::sync::atomic::{AtomicU64, Ordering};

/// Low bits for what happens within a millisecond. More than they hold runs into the next.
const WITHIN: u32 = 16;

/// Hands out stamps.
#[derive(Default)]
pub(super) struct Recency {
    latest: AtomicU64,
}

impl Recency {
    /// A stamp later than all before it, and at least of `now`.
    pub(super) fn stamp(&self, now: u64) -> u64 {
        let next = |latest: u64| ((latest | 1) + 1).max(now << WITHIN);
        let taken = self
            .latest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| Some(next(latest)));
        next(taken.unwrap_or_else(|latest| latest)) // the update is never refused
    }

    /// Notes that the entry with the stamp `used` is used. Within one millisecond it has one stamp.
    #[inline]
    pub(super) fn touch(&self, used: &AtomicU64, now: impl FnOnce() -> u64) {
        let (latest, stamp) = (self.latest.load(Ordering::Relaxed), used.load(Ordering::Relaxed));
        if stamp == latest {
            return;
        }
        let now = now();
        if stamp < now << WITHIN {
            used.store(self.stamp(now), Ordering::Relaxed);
        } else if latest.is_multiple_of(2) {
            // The holder of the latest stamp is no longer the last that was used.
            let (even, odd) = (latest, latest + 1);
            let _ = self.latest.compare_exchange(even, odd, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_within_a_millisecond_and_with_the_clock() {
        let recency = Recency::default();
        let stamps = [5, 5, 5, 6, 9].map(|now| recency.stamp(now));
        assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
        assert_eq!(stamps.map(|stamp| stamp >> WITHIN), [5, 5, 5, 6, 9]);
    }

    #[test]
    fn the_one_used_last_needs_no_clock() {
        let recency = Recency::default();
        let a = AtomicU64::new(recency.stamp(1));
        recency.touch(&a, || panic!("the clock was read"));
    }

    #[test]
    fn one_that_stayed_hot_is_later_than_all_used_before_it_and_earlier_than_all_after() {
        let recency = Recency::default();
        let (a, b, c) = (recency.stamp(1), recency.stamp(1), recency.stamp(1));
        let [a, b, c] = [a, b, c].map(AtomicU64::new);
        let order =
            |x: &AtomicU64, y: &AtomicU64| x.load(Ordering::Relaxed) < y.load(Ordering::Relaxed);
        recency.touch(&c, || panic!("c was the last"));
        // Within the millisecond b is used, and c after it, at 9.
        recency.touch(&b, || 1);
        recency.touch(&c, || 9);
        assert!(order(&a, &b) && order(&b, &c));
        recency.touch(&b, || 12);
        assert!(order(&c, &b));
    }
}
