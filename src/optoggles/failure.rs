//! Why a source or a target has failed, and whether a retry may help.

use std::{
    error::Error,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{DATE, RETRY_AFTER},
};

use crate::excerpt::chain;

/// Why a [source](super::PolicySource) or a [target](super::ToggleTarget) has failed,
/// and whether a retry may help.
///
/// The engine retries every failure; the [kind](FailureKind) decides how soon. Sources
/// and targets choose between [`temporary`](Self::temporary), which is right when in
/// doubt, and [`permanent`](Self::permanent), which spares the other side requests that
/// cannot succeed.
///
/// The message and its causes are shown in logs and in the health details, so they
/// must contain neither secrets nor user names.
///
/// ```
/// use std::time::Duration;
/// use flagstaff::optoggles::{Failure, FailureKind};
///
/// let lost = Failure::temporary("connection reset");
/// assert_eq!(lost.kind(), FailureKind::Temporary);
///
/// let rejected = Failure::permanent("the token was rejected");
/// assert_eq!(rejected.kind(), FailureKind::Permanent);
///
/// let limited = Failure::temporary("rate limited").retry_after(Duration::from_secs(60));
/// assert_eq!(limited.delay(), Some(Duration::from_secs(60)));
/// assert_eq!(limited.to_string(), "rate limited");
/// ```
#[derive(Clone, Debug)]
pub struct Failure {
    kind: FailureKind,
    /// The shortest time before a retry, if the other side named one.
    retry_after: Option<Duration>,
    /// Shared, because a failure is cloned into the status each time it is inspected.
    cause: Arc<dyn Error + Send + Sync>,
}

/// Whether a [`Failure`] may pass, which decides when it is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// It may pass by itself, such as a lost connection or a status of 503. Retried
    /// after 0.5 s, then after twice as long each time, up to 16 s.
    Temporary,
    /// Somebody must act, for example because a token was rejected. Retried when the
    /// policy changes, at the next resync, and every five minutes.
    Permanent,
    /// The rule has no value: it does not exist, or OPA has not loaded it yet. It
    /// revokes nobody, and is retried like a temporary failure, and when the policy
    /// changes.
    Undefined,
}

impl FailureKind {
    /// The name used in metrics and in the health details: `temporary`, `permanent` or
    /// `undefined`.
    ///
    /// ```
    /// use flagstaff::optoggles::FailureKind;
    ///
    /// assert_eq!(FailureKind::Permanent.as_str(), "permanent");
    /// ```
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
    /// Creates a failure that may pass by itself, from an error or a message.
    pub fn temporary(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(FailureKind::Temporary, cause)
    }

    /// Creates a failure that lasts until somebody acts, from an error or a message.
    pub fn permanent(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(FailureKind::Permanent, cause)
    }

    /// Creates the failure of a rule without a value.
    pub(crate) fn undefined(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(FailureKind::Undefined, cause)
    }

    fn of(kind: FailureKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, retry_after: None, cause: Arc::from(cause.into()) }
    }

    /// Creates the failure of an HTTP response.
    ///
    /// A redirect that was not followed, and a status of 4xx, are permanent: the same
    /// request will be rejected again. 408, 409, 423, 425 and 429 are temporary, as are
    /// all others. A
    /// [`Retry-After`](https://www.rfc-editor.org/rfc/rfc9110#field.retry-after) is
    /// respected.
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
        let retry_after = retry_after(headers, SystemTime::now());
        Self { retry_after, ..Self::of(kind, cause) }
    }

    /// Sets the shortest time before a retry, as the other side asks for it. The engine
    /// waits at least that long, though no longer than a day.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Whether the failure may pass by itself.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The shortest time before a retry, if one was [set](Self::retry_after).
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The message with its causes, in one line.
    pub(crate) fn line(&self) -> String {
        chain(&*self.cause)
    }
}

/// Writes the message without its causes, which are at [`Error::source`].
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

/// The failure stands for its cause and is not a level of its own: its `source` is that
/// of the cause.
impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

/// The pause that the header `Retry-After` asks for, in seconds or until a date.
///
/// A date is compared with the `Date` of the response, because the clock here (`now`) may be
/// another than the one there.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let after = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = text(DATE).and_then(date).unwrap_or(now);
    Some(date(after)?.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_number_of_seconds_or_ends_at_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (after, date, expected) in [
            ("120", None, Some(120)),
            ("Sun, 06 Nov 1994 08:49:57 GMT", None, Some(20)),
            ("Sunday, 06-Nov-94 08:49:57 GMT", None, Some(20)),
            ("Sun Nov  6 08:49:57 1994", None, Some(20)),
            // The clock of the other side, which is a minute behind.
            ("Sun, 06 Nov 1994 08:49:57 GMT", Some("Sun, 06 Nov 1994 08:48:37 GMT"), Some(80)),
            ("Sun, 06 Nov 1994 08:49:57 GMT", Some("soon"), Some(20)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", None, Some(0)),
            ("soon", None, None),
            ("-1", None, None),
        ] {
            let mut headers = HeaderMap::from_iter([(RETRY_AFTER, after.parse().unwrap())]);
            headers.extend(date.map(|date| (DATE, date.parse().unwrap())));
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), expected, "{after} {date:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
