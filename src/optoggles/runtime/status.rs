//! How an engine is doing, for its health, its metrics and whoever embeds it.

use std::time::Duration;

use serde::Serialize;

/// How an engine is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Status {
    /// Whether everything was tried once: every source was asked, and every target written to.
    pub started: bool,
    /// Whether nothing fails. A change that is held back is no failure.
    pub healthy: bool,
    /// The sources.
    pub sources: Vec<PartStatus>,
    /// The targets.
    pub targets: Vec<PartStatus>,
    /// The toggles.
    pub toggles: Vec<ToggleStatus>,
}

/// How a source or a target is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PartStatus {
    /// Its id in the configuration.
    pub id: String,
    /// Of a source: why changes are not noticed. That a toggle fails is said of the toggle.
    pub failure: Option<FailureStatus>,
    /// How many toggles fail at it.
    pub failing: usize,
}

/// How a toggle is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToggleStatus {
    /// The key.
    pub key: String,
    /// The id of its source.
    pub source: String,
    /// How many users the policy authorizes, once it has answered.
    pub users: Option<usize>,
    /// Why the source gives no answer.
    pub failure: Option<FailureStatus>,
    /// For how many seconds an empty answer has been waiting to be confirmed.
    pub empty_for: Option<f64>,
    /// Its targets.
    pub targets: Vec<CellStatus>,
}

/// How a toggle is doing at one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CellStatus {
    /// The id of the target.
    pub target: String,
    /// Seconds since the target was last seen to have what the policy says.
    pub in_step: Option<f64>,
    /// Why it could not be written.
    pub failure: Option<FailureStatus>,
    /// The change that is held back until somebody confirms it.
    pub held_back: Option<HeldBack>,
}

/// A change that removes more users than the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeldBack {
    /// How many users it would remove.
    pub removed: usize,
    /// Of how many.
    pub of: usize,
}

/// What fails, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FailureStatus {
    /// `temporary`, `permanent` or `undefined`.
    pub kind: &'static str,
    /// The error with its causes.
    pub error: String,
    /// Seconds since the first failure without a success.
    pub seconds: f64,
}

/// Seconds, to the millisecond.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
