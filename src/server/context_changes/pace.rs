//! Limits how often something is reported: each key at once, and then at most once in
//! a period.
//!
//! ```text
//! changes   a   a b   a           a
//! time      0   0.3   0.6   1     1.5   2
//! reported  a   b           a           a
//! ```
//!
//! It is pure: the time is an argument, and the caller waits until
//! [`Pace::deadline`].

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use tokio::time::Instant;

/// The keys that were reported within the last period.
#[derive(Debug)]
pub(crate) struct Pace<K> {
    period: Duration,
    /// Whether each of them has changed again since.
    recent: HashMap<K, bool>,
    /// The same keys with the end of their period, the first one first.
    ends: VecDeque<(Instant, K)>,
}

impl<K: Clone + Eq + Hash> Pace<K> {
    pub(crate) fn new(period: Duration) -> Self {
        Self { period, recent: HashMap::new(), ends: VecDeque::new() }
    }

    /// Notes that these have changed. Returns what to report now.
    pub(crate) fn changed(&mut self, keys: impl IntoIterator<Item = K>, now: Instant) -> Vec<K> {
        let mut due = self.elapsed(now);
        for key in keys {
            if let Some(again) = self.recent.get_mut(&key) {
                *again = true;
            } else {
                self.report(key.clone(), now);
                due.push(key);
            }
        }
        due
    }

    /// Returns what has changed again within a period that has ended by now.
    pub(crate) fn elapsed(&mut self, now: Instant) -> Vec<K> {
        let mut due = Vec::new();
        let ended = self.ends.partition_point(|(end, _)| *end <= now);
        for (_, key) in self.ends.drain(..ended) {
            if self.recent.remove(&key) == Some(true) {
                due.push(key);
            }
        }
        for key in &due {
            self.report(key.clone(), now);
        }
        due
    }

    /// When [`elapsed`](Self::elapsed) is due; none while nothing was reported.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.ends.front().map(|(end, _)| *end)
    }

    /// Begins the period of a key.
    fn report(&mut self, key: K, now: Instant) {
        self.ends.push_back((now + self.period, key.clone()));
        self.recent.insert(key, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn at_once_and_then_once_a_period() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::new(SECOND);
        assert_eq!(pace.deadline(), None);
        assert_eq!(pace.changed(["a"], at(0)), ["a"]);
        assert_eq!(pace.changed(["a", "b", "a"], at(300)), ["b"]);
        assert_eq!(pace.changed(["a"], at(600)), [""; 0]);
        assert_eq!(pace.deadline(), Some(at(1000)));
        assert_eq!(pace.elapsed(at(999)), [""; 0]);
        assert_eq!(pace.elapsed(at(1000)), ["a"]);
        // `b` has not changed again, and is forgotten.
        assert_eq!(pace.deadline(), Some(at(1300)));
        assert_eq!(pace.elapsed(at(1300)), [""; 0]);
        assert_eq!(pace.changed(["a", "b"], at(1500)), ["b"]);
        assert_eq!(pace.elapsed(at(2000)), ["a"]);
        assert_eq!(pace.elapsed(at(3000)), [""; 0]);
        assert_eq!((pace.deadline(), pace.recent.len()), (None, 0));
        assert_eq!(pace.changed(["a"], at(3001)), ["a"]);
    }

    /// A caller that is late reports each key once all the same.
    #[test]
    fn what_is_due_is_reported_with_the_next_change() {
        let start = Instant::now();
        let mut pace = Pace::new(SECOND);
        pace.changed(["a", "b"], start);
        pace.changed(["b"], start);
        assert_eq!(pace.changed(["b", "a"], start + SECOND), ["b", "a"]);
        assert_eq!(pace.elapsed(start + SECOND), [""; 0]);
        assert_eq!(pace.elapsed(start + 2 * SECOND), ["b"]);
    }
}
