//! What is written into the fields of a form.

use crate::{problem::Problem, time};

/// The text of a field that may stay blank, without spaces around it.
#[must_use]
pub fn filled(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The time, in milliseconds since 1970, in a field for a date and a time, which is in UTC and may
/// stay blank.
///
/// # Errors
///
/// 400 for another text.
pub fn moment(text: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = filled(text) else { return Ok(None) };
    let text = if text.contains('T') { text } else { format!("{text}T00:00") };
    let time = time::parse(&format!("{text}Z"));
    time.map(Some).ok_or_else(|| Problem::invalid("expected a date and a time before 9999-12-31"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_for_a_moment_is_read_as_utc() {
        assert_eq!(moment(" ").unwrap(), None);
        for text in ["2026-01-02T03:04", "2026-01-02T03:04:00", "2026-01-02T03:04:00.000"] {
            let read = moment(text).unwrap().map(time::rfc3339);
            assert_eq!(read.as_deref(), Some("2026-01-02T03:04:00Z"), "{text}");
        }
        let day = moment("2026-01-02").unwrap().map(time::rfc3339);
        assert_eq!(day.as_deref(), Some("2026-01-02T00:00:00Z"));
        assert!(moment("tomorrow").is_err());
    }
}
