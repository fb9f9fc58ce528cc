//! The limits on what the engine writes.

use std::time::Duration;

/// The limits on what the engine writes by itself.
///
/// Both protect against a policy engine that answers wrongly, for example because it
/// has lost its data. They apply to every toggle alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    /// How long an empty answer that is not vouched for must last before it counts.
    /// Zero: it counts at once. Default: 30 s.
    pub(crate) empty_confirmation: Duration,
    /// The largest share of a toggle's users that one write may remove, from 0 to 1.
    /// A write that would remove more waits for a confirmation. Default: no limit.
    pub(crate) max_removed: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { empty_confirmation: Duration::from_secs(30), max_removed: None }
    }
}

impl Settings {
    /// Whether a write that removes so many of a toggle's users needs a confirmation.
    ///
    /// A limit of 0 holds back every removal; a limit of 1 none.
    pub(crate) fn holds_back(&self, removed: usize, of: usize) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "fewer users than 2^52")]
        let is_beyond = |limit: f64| removed as f64 > limit * of as f64;
        self.max_removed.is_some_and(is_beyond)
    }
}
