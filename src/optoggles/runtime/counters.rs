//! What an engine counts over its whole life, for its metrics.

use std::{collections::BTreeMap, time::Duration};

use crate::optoggles::failure::FailureKind;

/// The upper bounds of the classes of durations, in seconds.
pub(crate) const BOUNDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// What an engine counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// Failures, by `source` or `target`, its id, and their kind.
    pub(crate) failures: BTreeMap<(&'static str, String, &'static str), u64>,
    /// How many writes each target took.
    pub(crate) writes: BTreeMap<String, u64>,
    /// How long a sync of each source took.
    pub(crate) syncs: BTreeMap<String, Durations>,
}

/// How long something took: how often up to each bound, and in all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durations {
    pub(crate) classes: [u64; BOUNDS.len() + 1],
    pub(crate) sum: Duration,
}

impl Counters {
    pub(crate) fn failed(&mut self, part: &'static str, id: &str, kind: FailureKind) {
        *self.failures.entry((part, id.to_owned(), kind.as_str())).or_default() += 1;
    }

    pub(crate) fn wrote(&mut self, target: &str) {
        *self.writes.entry(target.to_owned()).or_default() += 1;
    }

    pub(crate) fn synced(&mut self, source: &str, duration: Duration) {
        let durations = self.syncs.entry(source.to_owned()).or_default();
        let class = BOUNDS.iter().position(|bound| duration.as_secs_f64() <= *bound);
        durations.classes[class.unwrap_or(BOUNDS.len())] += 1;
        durations.sum += duration;
    }
}
