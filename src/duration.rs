//! Durations as flagd writes them: `30s`, `1h0m0s`, `1.5s`, `300ms`, `0`.
//!
//! It is the format of
//! [Go's `time.ParseDuration`](https://pkg.go.dev/time#ParseDuration) without signs: numbers
//! with an optional fraction, each followed by a unit, which are added up. Only 0 needs no
//! unit.

use std::time::Duration;

/// Go's units, in seconds. `ms` must come before `m`, since the first unit that the text
/// begins with is taken. There are two characters for micro: the sign U+00B5 and the Greek
/// letter U+03BC.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Parses a duration.
///
/// # Errors
///
/// The text is not a duration, or is longer than a [`Duration`] can be. clap adds the option
/// and the text to the message.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let invalid = || "expected a duration such as `30s`, `1h30m` or `500ms`".to_owned();
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let unit = UNITS.iter().find(|(name, _)| rest.starts_with(name)).ok_or_else(invalid)?;
        rest = &rest[unit.0.len()..];
        seconds += number * unit.1;
    }
    if text.is_empty() {
        return Err(invalid());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go() {
        for (text, millis) in [
            ("0", 0),
            ("30s", 30_000),
            ("1h0m0s", 3_600_000),
            ("1m30s", 90_000),
            ("1.5s", 1500),
            ("300ms", 300),
            (".5m", 30_000),
            ("1500us", 1),
            ("2h45m", 9_900_000),
        ] {
            assert_eq!(parse(text).map(|it| it.as_millis()), Ok(millis), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1x", "1s5", "1..2s", "99999999999999999999h"] {
            parse(text).unwrap_err();
        }
    }
}
