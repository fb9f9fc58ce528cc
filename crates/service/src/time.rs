//! Times as the services store and write them.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Now, in milliseconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// A time in [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), in UTC.
///
/// ```
/// assert_eq!(service::time::rfc3339(1_500), "1970-01-01T00:00:01.5Z");
/// ```
#[must_use]
pub fn rfc3339(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX).to_string()
}

/// Reads a time in RFC 3339, as milliseconds since 1970.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}
