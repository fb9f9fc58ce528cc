//! What an engine counts from its start on, for its metrics.
//!
//! Counters survive a reload of the configuration, because Prometheus expects them to
//! grow. Those of sources and targets that have left it stay.

use std::{collections::BTreeMap, time::Duration};

use crate::optoggles::failure::FailureKind;

/// The upper bounds of the buckets of durations, in seconds, ascending. The first are for
/// an OPA next door, the last for targets that had to be retried.
pub(crate) const BOUNDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The counters of an engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// Failures, by `source` or `target`, its id, and
    /// [kind](FailureKind::as_str).
    pub(crate) failures: BTreeMap<(&'static str, String, &'static str), u64>,
    /// Successful writes, by the id of the target.
    pub(crate) writes: BTreeMap<String, u64>,
    /// How long syncs took, by the id of the source.
    pub(crate) syncs: BTreeMap<String, Durations>,
}

/// A histogram of durations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durations {
    /// How many durations are within each bound and above the one before; the last are
    /// those above all bounds. Not cumulative: `metrics.rs` adds them up.
    pub(crate) classes: [u64; BOUNDS.len() + 1],
    /// All durations together.
    pub(crate) sum: Duration,
}

impl Counters {
    /// Counts a failure; `part` is `source` or `target`.
    pub(crate) fn failed(&mut self, part: &'static str, id: &str, kind: FailureKind) {
        *self.failures.entry((part, id.to_owned(), kind.as_str())).or_default() += 1;
    }

    /// Counts a successful write.
    pub(crate) fn wrote(&mut self, target: &str) {
        *self.writes.entry(target.to_owned()).or_default() += 1;
    }

    /// Counts a sync: the time from the first notice of a change until nothing was under
    /// way any more for the toggles of the source.
    pub(crate) fn synced(&mut self, source: &str, duration: Duration) {
        let durations = self.syncs.entry(source.to_owned()).or_default();
        let class = BOUNDS.iter().position(|bound| duration.as_secs_f64() <= *bound);
        durations.classes[class.unwrap_or(BOUNDS.len())] += 1;
        durations.sum += duration;
    }
}
