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
