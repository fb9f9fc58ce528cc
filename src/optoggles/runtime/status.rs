//! How an engine is doing, for its health endpoints, its metrics and the program that
//! embeds it.
//!
//! The types serialize to the JSON of `/details`, in camel case. They name toggles,
//! sources and targets, and count users without naming them.

use std::time::Duration;

use serde::Serialize;

/// How an engine is doing; see [`Running::status`](super::Running::status).
///
/// `/details` at the management address shows it as JSON:
///
/// ```json
/// {
///   "started": true,
///   "healthy": false,
///   "sources": [{"id": "opa", "failure": null, "failing": 0}],
///   "targets": [{"id": "ld", "failure": null, "failing": 1}],
///   "toggles": [{
///     "key": "us-only", "source": "opa", "users": 2, "failure": null, "emptyFor": null,
///     "targets": [{
///       "target": "ld",
///       "inStep": 12.5,
///       "failure": {"kind": "temporary", "error": "... answered 503", "seconds": 7.25},
///       "heldBack": null
///     }]
///   }],
///   "removals": []
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Status {
    /// Whether everything was tried once since the start: every source was queried, and
    /// every toggle was written to its targets, successfully or not. Stays true.
    pub started: bool,
    /// Whether nothing fails now. A change that is held back, and an empty set that waits
    /// for its confirmation, are not failures.
    pub healthy: bool,
    /// The sources, in the order of the configuration.
    pub sources: Vec<PartStatus>,
    /// The targets, in the order of the configuration.
    pub targets: Vec<PartStatus>,
    /// The toggles, in the order of the configuration.
    pub toggles: Vec<ToggleStatus>,
    /// The toggles that have left the configuration and could not be removed yet.
    pub removals: Vec<RemovalStatus>,
}

/// A toggle that has left the configuration and that a target could not remove yet.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RemovalStatus {
    /// The key.
    pub toggle: String,
    /// The id of the target.
    pub target: String,
    /// Why it could not be removed. It is retried like a write.
    pub failure: FailureStatus,
}

/// How a source or a target is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PartStatus {
    /// Its id in the configuration.
    pub id: String,
    /// Why changes of a source are not noticed. Always `None` for a target. Failures of a
    /// single toggle are reported with that toggle.
    pub failure: Option<FailureStatus>,
    /// How many toggles fail at this source or target, with those that a target cannot
    /// remove.
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
    /// How many users the policy authorizes. `None` before the first answer.
    pub users: Option<usize>,
    /// Why the query for the users fails; the rule may be undefined.
    pub failure: Option<FailureStatus>,
    /// For how many seconds the answer has been empty and waiting for its confirmation.
    /// `users` still counts those before. `None`: nothing is waiting.
    pub empty_for: Option<f64>,
    /// How it is doing at each of its targets.
    pub targets: Vec<CellStatus>,
}

/// How a toggle is doing at one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CellStatus {
    /// The id of the target.
    pub target: String,
    /// Seconds since the target was last known to have the users that the policy
    /// authorizes. It is compared when something changes and at each resync, so a healthy
    /// toggle shows anything up to the interval of resyncs. `None`: not since the start.
    pub in_step: Option<f64>,
    /// Why the toggle could not be prepared or written.
    pub failure: Option<FailureStatus>,
    /// The change that is held back until somebody [confirms](super::Running::confirm) it.
    pub held_back: Option<HeldBack>,
}

/// A change that would remove more users than
/// [`max_removed`](super::EngineBuilder::max_removed) allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeldBack {
    /// How many users it would remove.
    pub removed: usize,
    /// How many users the target has now.
    pub of: usize,
}

/// A failure that has not ended yet.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FailureStatus {
    /// `temporary`, `permanent` or `undefined`; see
    /// [`FailureKind`](crate::optoggles::FailureKind).
    pub kind: &'static str,
    /// The last error with its causes, in one line.
    pub error: String,
    /// Seconds since the first failure after the last success.
    pub seconds: f64,
}

/// A duration in seconds, rounded to the millisecond.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
