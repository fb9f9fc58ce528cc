//! Times, numbers and paths as the pages write them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use service::time;

use crate::serve::DAY;

/// A number with what it counts: `1 day`, `2,000 days`.
pub(super) fn count(number: i64, one: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{} {one}{end}", thousands(number))
}

/// A number with commas between its thousands.
pub(super) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How long ago a time was, in days: an open page must not change each minute.
pub(super) fn age(since: i64, now: i64) -> String {
    match now.saturating_sub(since) / DAY {
        ..1 => "less than a day".to_owned(),
        days => count(days, "day"),
    }
}

/// Days as they were written, which may be a fraction.
pub(super) fn days(number: &str) -> String {
    format!("{number} day{}", if number == "1" { "" } else { "s" })
}

/// A time for people.
pub(super) fn short(at: i64) -> String {
    short_of(&time::rfc3339(at))
}

/// A time in RFC 3339, for people.
pub(super) fn short_of(at: &str) -> String {
    let minute = at.get(..16).unwrap_or(at);
    format!("{} UTC", minute.replace('T', " "))
}

/// A day, in days since 1970, as somebody says it today.
pub(super) fn day(day: i64, today: i64) -> String {
    match today - day {
        0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        _ => date(day),
    }
}

/// A day, in days since 1970.
pub(super) fn date(day: i64) -> String {
    time::rfc3339(day * DAY).chars().take(10).collect()
}

/// The path of a feature's page.
pub(super) fn feature_path(name: &str) -> String {
    format!("/ui/feature/{}", encoded(name))
}

/// What is not written as it is in a path or a query. Most names have underscores.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_');

/// A part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The page that a form leads back to: the list or a feature's page, and nothing else.
pub(super) fn back(wanted: &str) -> &str {
    let rest = wanted.strip_prefix("/ui");
    let is_ours = rest.is_some_and(|it| it.is_empty() || it.starts_with(['?', '/']));
    if is_ours && wanted.bytes().all(|it| it.is_ascii_graphic()) { wanted } else { "/ui" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ages_are_written_as_people_do() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(-1_234_567), "-1,234,567");
        assert_eq!(count(1, "request"), "1 request");
        assert_eq!(count(1_000, "request"), "1,000 requests");
        assert_eq!(age(0, DAY - 1), "less than a day");
        assert_eq!(age(0, DAY), "1 day");
        assert_eq!(age(DAY, 0), "less than a day", "the clock was set back");
        assert_eq!(short(1_500), "1970-01-01 00:00 UTC");
        assert_eq!(day(9, 10), "yesterday");
        assert_eq!(day(1, 10), "1970-01-02");
    }

    #[test]
    fn a_form_leads_back_to_our_own_pages_only() {
        for ours in ["/ui", "/ui?q=a%20b", "/ui/feature/f"] {
            assert_eq!(back(ours), ours);
        }
        for other in ["", "//evil.example", "https://evil.example/ui", "/uix", "/ui\r\nx", "/api"] {
            assert_eq!(back(other), "/ui", "{other}");
        }
    }
}
