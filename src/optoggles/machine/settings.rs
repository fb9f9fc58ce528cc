//! What the engine may do.

use std::time::Duration;

/// What the engine may do, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    /// How long an empty answer that is not vouched for must last before it is written.
    pub(crate) empty_confirmation: Duration,
    /// The largest share of the users of a toggle that one write may remove.
    pub(crate) max_removed: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { empty_confirmation: Duration::from_secs(30), max_removed: None }
    }
}
