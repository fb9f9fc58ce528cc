//! What a scalar of YAML stands for.
//!
//! A scalar without quotes and without a tag is guessed by its form, as flagd's
//! library does it. Some results surprise people who know other libraries:
//!
//! | text | value |
//! |---|---|
//! | empty, `~`, `null` | null |
//! | `true`, `True`, `TRUE` | true |
//! | `yes`, `on`, `n` | strings |
//! | `17`, `0x11`, `0b10001`, `0o21`, `021`, `1_7` | 17 |
//! | `08` | the float 8, since 8 is not an octal digit |
//! | `1e400` | a string, because no float holds it |
//! | `.inf`, `.nan` | an error, because JSON cannot represent them |
//! | `2024-1-5` | the string `2024-01-05T00:00:00Z` |
//!
//! A tag such as `!!int` asks for a type, and it is an error if the text does not
//! have it. Quotes make a string of everything.

use serde_json::{Number, Value as Json};

/// The value of a scalar.
///
/// `plain` means neither quoted nor a block. `tag` is the name of its type, such
/// as `int`, or empty if the tag is not one of YAML's.
///
/// # Errors
///
/// With a message without a place, when the text does not have the type of the
/// tag, or JSON cannot represent it.
pub(crate) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Json, String> {
    let as_text = || Json::String(text.to_owned());
    match tag {
        None if plain => guess(text, true),
        None | Some("str" | "") => Ok(as_text()),
        Some("binary") => Err("`!!binary` is not supported: write the string itself".to_owned()),
        Some("timestamp") => timestamp(text).map(Json::String).ok_or_else(|| wrong(text, "date")),
        Some(kind) => {
            let value = guess(text, false)?;
            let fits = match kind {
                "int" => value.is_i64() || value.is_u64(),
                "float" => value.is_number(),
                "bool" => value.is_boolean(),
                "null" => value.is_null(),
                _ => return Ok(as_text()),
            };
            if fits { Ok(value) } else { Err(wrong(text, kind)) }
        }
    }
}

/// The message for a text that does not have the type of its tag.
fn wrong(text: &str, kind: &str) -> String {
    format!("`{text}` is not a valid {kind}")
}

/// The value that a text stands for by its form. With a tag, a date is not looked
/// for.
fn guess(text: &str, dates: bool) -> Result<Json, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(format!("JSON cannot represent `{text}`"));
        }
        _ => {
            let date = if dates { timestamp(text).map(Json::String) } else { None };
            date.or_else(|| number(text)).unwrap_or_else(|| Json::String(text.to_owned()))
        }
    })
}

/// The number that a text stands for.
///
/// Underscores in it are ignored, wherever they are. Only a text that begins with
/// a point may have none.
fn number(text: &str) -> Option<Json> {
    if text.starts_with('.') {
        return float(text);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')) {
        return None;
    }
    let digits = text.replace('_', "");
    integer(&digits).or_else(|| float(&digits))
}

/// An integer: decimal, or with the prefix `0x`, `0o` or `0b`, or `0` for octal.
///
/// It must fit 64 bits, and may use all of them only without a sign.
fn integer(text: &str) -> Option<Json> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &unsigned[2..]),
        [b'0', b'o' | b'O', ..] => (8, &unsigned[2..]),
        [b'0', b'b' | b'B', ..] => (2, &unsigned[2..]),
        [b'0', _, ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return i64::try_from(-i128::from(size)).ok().map(Json::from);
    }
    (size <= i64::MAX.unsigned_abs() || unsigned.len() == text.len()).then(|| Json::from(size))
}

/// A float: digits with or without a point and an exponent. `None` if it is
/// infinite.
fn float(text: &str) -> Option<Json> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let known = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    // An exponent needs digits before it; Rust's parser sees to the rest.
    if !unsigned.bytes().all(known) || unsigned.starts_with(['+', '-']) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    Number::from_f64(value).map(Json::Number)
}

/// Whether a string is the text of a number that 64 bits cannot hold. The linter
/// warns that it was not read as a number.
pub(crate) fn is_too_large(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit()) && text.parse().is_ok_and(f64::is_infinite)
}

/// The date, or date and time, that `text` is, in the form of RFC 3339.
///
/// Times after a space have no zone, and count as UTC. Fractions of a second are
/// cut after nine digits and lose the zeros at their end.
fn timestamp(text: &str) -> Option<String> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(end) => (&text[..end], Some((&text[end..=end], &text[end + 1..]))),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let (year, month, day) = (whole(year, 4)?, whole(month, 2)?, whole(day, 2)?);
    if !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
        return None;
    }
    let clock = match time {
        None => "00:00:00Z".to_owned(),
        Some((" ", time)) => clock(time)? + "Z",
        Some((_, time)) => {
            let zone = time.find(['Z', '+', '-'])?;
            clock(&time[..zone])? + &offset(&time[zone..])?
        }
    };
    Some(format!("{year:04}-{month:02}-{day:02}T{clock}"))
}

/// A number with at most this many digits, and at least one.
fn whole(text: &str, digits: usize) -> Option<u32> {
    let valid = (1..=digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

/// The number of days in a month.
fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A time of day such as `1:02:03.250`, in the form of RFC 3339.
fn clock(text: &str) -> Option<String> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (second, fraction) = second.split_once(['.', ',']).unwrap_or((second, "0"));
    let (hour, minute, second) = (whole(hour, 2)?, whole(minute, 2)?, whole(second, 2)?);
    let valid = hour < 24 && minute < 60 && second < 60;
    if !valid || fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction[..fraction.len().min(9)].trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{hour:02}:{minute:02}:{second:02}{point}{fraction}"))
}

/// A time zone: `Z`, or a sign with hours and minutes. Zero is `Z`.
fn offset(text: &str) -> Option<String> {
    if text == "Z" {
        return Some("Z".to_owned());
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (whole(hours, 2)?, whole(minutes, 2)?);
    if hours > 24 || minutes >= 60 {
        return None;
    }
    Some(if hours + minutes == 0 { "Z".to_owned() } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars() {
        for (text, value) in [
            ("~", json!(null)),
            ("", json!(null)),
            ("Null", json!(null)),
            ("TRUE", json!(true)),
            ("yes", json!("yes")),
            ("on", json!("on")),
            ("n", json!("n")),
            ("0o17", json!(15)),
            ("017", json!(15)),
            ("08", json!(8.0)),
            ("0x1F", json!(31)),
            ("-0b11", json!(-3)),
            ("1_000", json!(1000)),
            ("+7", json!(7)),
            ("-0", json!(0)),
            ("18446744073709551615", json!(u64::MAX)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("1e400", json!("1e400")),
            ("1e", json!("1e")),
            ("-", json!("-")),
            ("0x", json!("0x")),
            ("1.2.3", json!("1.2.3")),
            ("2024-1-5", json!("2024-01-05T00:00:00Z")),
            ("2024-01-05T1:02:03.250+02:00", json!("2024-01-05T01:02:03.25+02:00")),
            ("2024-01-05 01:02:03", json!("2024-01-05T01:02:03Z")),
            ("2023-02-29", json!("2023-02-29")),
            ("infinity", json!("infinity")),
        ] {
            assert_eq!(resolve(text, true, None), Ok(value), "{text}");
        }
        assert!(resolve(".nan", true, None).is_err());
        assert!(resolve("-.Inf", true, None).is_err());
    }

    #[test]
    fn quotes_and_tags() {
        assert_eq!(resolve("5", false, None), Ok(json!("5")));
        assert_eq!(resolve("5", true, Some("str")), Ok(json!("5")));
        assert_eq!(resolve("5", false, Some("int")), Ok(json!(5)));
        assert_eq!(resolve("5", true, Some("float")), Ok(json!(5)));
        assert_eq!(resolve("5", true, Some("")), Ok(json!("5")));
        assert!(resolve("x", true, Some("int")).is_err());
        assert!(resolve("5", true, Some("bool")).is_err());
        assert!(resolve("aGk=", true, Some("binary")).is_err());
    }
}
