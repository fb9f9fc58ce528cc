//! Why a source or a target did not do what it was asked for, and when to try again.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use crate::excerpt::chain;

/// Why a [source](super::PolicySource) or a [target](super::ToggleTarget) failed, and whether a
/// retry may help.
///
/// Its text and its causes are shown in logs and in the health details: they must hold neither
/// secrets nor user names.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: FailureKind,
    retry_after: Option<Duration>,
    cause: Arc<dyn Error + Send + Sync>,
}

/// What can be done about a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// It can pass, such as a lost connection: retried after 0.5 s, doubled up to 16 s.
    Temporary,
    /// Somebody must do something about it, such as a rejected token: retried at the next change, at
    /// the next resync, and every five minutes.
    Permanent,
    /// The rule has no value: it does not exist, or OPA has not loaded it yet. Retried like a
    /// temporary failure.
    Undefined,
}

impl FailureKind {
    /// The name in metrics and in the health details.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::Permanent => "permanent",
            Self::Undefined => "undefined",
        }
    }
}

impl Failure {
    /// A failure that can pass.
    pub fn temporary(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(FailureKind::Temporary, cause)
    }

    /// A failure that lasts until somebody acts.
    pub fn permanent(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(FailureKind::Permanent, cause)
    }

    pub(crate) fn undefined(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(FailureKind::Undefined, cause)
    }

    fn of(kind: FailureKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, retry_after: None, cause: Arc::from(cause.into()) }
    }

    /// The failure of an HTTP response. A redirect, which was not followed, and a request that is
    /// rejected for what it is last; others pass, after `Retry-After` where there is one.
    pub(crate) fn of_status(
        status: StatusCode,
        headers: &HeaderMap,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let kind = match status.as_u16() {
            // A timeout, a conflict, a lock, and too many or too early requests.
            408 | 409 | 423 | 425 | 429 => FailureKind::Temporary,
            300..=499 => FailureKind::Permanent,
            _ => FailureKind::Temporary,
        };
        let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        Self { retry_after: after, ..Self::of(kind, cause) }
    }

    /// The same failure, not to be retried before this time has passed.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Whether a retry may help.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The shortest time before a retry, if the other side named one.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The text with its causes, in one line.
    pub(crate) fn line(&self) -> String {
        chain(&*self.cause)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}
