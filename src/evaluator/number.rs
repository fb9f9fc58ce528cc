//! Numbers as flagd reads and writes them.
//!
//! flagd is written in Go, and its rules convert between numbers and strings all
//! the time: `{"+": ["1.5", 1]}` reads one, `{"cat": [1.5]}` writes one, and the
//! number 1 as a result chooses the variant `1`. This module has Go's conversions
//! where Rust's differ:
//!
//! | | Go | Rust |
//! |---|---|---|
//! | reads `+nan` | not a number | NaN |
//! | reads `1e400` | infinity, with an error for the range | infinity |
//! | converts 1e19 to an integer | -2^63 (on x86-64) | 2^63 - 1 |
//! | writes a number halfway between two shortest texts | the one with the even digit | the one further from zero |
//! | writes 1e21 in JSON | `1e+21` | `1e21` |

/// The number that a string stands for, or `None` if it is not one.
///
/// Decimal numbers with an optional sign, fraction and exponent are numbers, and
/// so are `inf`, `infinity` and `nan` in any case. A number too large for 64 bits
/// is infinite. Spaces, `0x10` and `1_000` are not accepted.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    // Rust accepts a sign before `nan`, and Go does not.
    if unsigned.len() != text.len() && unsigned.eq_ignore_ascii_case("nan") {
        return None;
    }
    text.parse().ok()
}

/// The number that a string stands for in a comparison, where one that is out of
/// range is not a number: `1e400` is `None`, but `inf`, which is spelled out, is
/// infinite.
pub(crate) fn parse_in_range(text: &str) -> Option<f64> {
    let number = parse(text)?;
    let spelled = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    (number.is_finite() || number.is_nan() || spelled).then_some(number)
}

/// The number without its fraction.
///
/// NaN and what does not fit 64 bits is [`i64::MIN`], as Go converts it on
/// x86-64.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn to_integer(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

/// The text of a number without an exponent, as `cat` writes it: 1e21 is a one
/// with 21 zeros. Infinity and NaN are `+Inf`, `-Inf` and `NaN`.
pub(crate) fn plain(number: f64) -> String {
    if number.is_infinite() {
        return String::from(if number > 0.0 { "+Inf" } else { "-Inf" });
    }
    to_nearest(number, number.to_string())
}

/// The JSON text of a number; `None` for infinity and NaN, which have none.
///
/// Like Go, it uses an exponent below 1e-6 and from 1e21 on.
pub(crate) fn json(number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return Some(to_nearest(number, number.to_string()));
    }
    let text = to_nearest(number, format!("{number:e}"));
    Some(if size >= 1.0 { text.replace('e', "e+") } else { text })
}

/// Replaces the last digit of `text`, the shortest text of `number`, by the even
/// digit where the number lies halfway between two texts of that length. Go
/// writes that one, and Rust the one further from zero.
///
/// ```text
/// -851488246714819.25   Rust: -851488246714819.3   Go: -851488246714819.2
/// ```
fn to_nearest(number: f64, mut text: String) -> String {
    /// A number with fewer digits is not halfway between two texts.
    const FEWEST: usize = 15;
    let is_digit = |c: &u8| c.is_ascii_digit();
    let digits = |text: &str| text.bytes().take_while(|b| *b != b'e').filter(is_digit).count();
    if digits(&text) < FEWEST || !number.is_finite() {
        return text;
    }
    let count = digits(&format!("{number:e}"));
    if count < FEWEST {
        return text;
    }
    let rounded = format!("{number:.*e}", count - 1);
    let last = rounded.split('e').next().and_then(|mantissa| mantissa.chars().next_back());
    let end = text.find('e').unwrap_or(text.len());
    let place = text[..end].rfind(|c| ('1'..='9').contains(&c));
    if let (Some(last), Some(place)) = (last, place)
        && rounded.parse() == Ok(number)
    {
        text.replace_range(place..=place, last.encode_utf8(&mut [0; 4]));
    }
    text
}

/// Whether a number is what its text in JSON or YAML says.
///
/// It is for the warning about numbers that change when they are read, and so
/// errs on the side of silence. A whole number beyond 2^53 is exact if it is
/// printed as it is written, a fraction always, because nearly all of them are
/// rounded, and zero if its text has no other digit: `1e-400` is not exact.
pub(crate) fn is_exact(text: &str, number: &serde_json::Number) -> bool {
    /// Whole numbers with fewer digits are below 2^53, and so exact.
    const FEWEST: usize = 16;
    let value = number.as_f64().unwrap_or(f64::INFINITY);
    let written = text.trim_start_matches(['+', '-']);
    let prints = |digits: &str| {
        let value = value.abs();
        value.to_string() == digits || format!("{value:.0}") == digits
    };
    if value == 0.0 {
        let mantissa = written.split(['e', 'E']).next().unwrap_or_default();
        return !mantissa.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0');
    }
    // In YAML, `0x1F` and `1_000` are whole numbers too: their text says nothing about the digits.
    if number.is_u64() || number.is_i64() {
        let digits = number.to_string();
        return digits.len() < FEWEST || prints(digits.trim_start_matches('-'));
    }
    let whole = written.bytes().all(|byte| byte.is_ascii_digit());
    !whole || prints(written.trim_start_matches('0'))
}

/// The room that [`short`] needs, in bytes.
pub(crate) const SHORT: usize = 10;

/// Whether [`short`] can write a number: it is whole, below 1e9 and not negative,
/// and not negative zero either.
pub(crate) fn is_short(number: f64) -> bool {
    number.fract() == 0.0 && (0.0..1e9).contains(&number) && number.is_sign_positive()
}

/// The text of a number that [`is_short`], written into `room`. Rules that return
/// small numbers to name a variant thus need no allocation.
pub(crate) fn short(number: f64, room: &mut [u8; SHORT]) -> &str {
    let mut rest = to_integer(number).unsigned_abs();
    let mut start = room.len();
    loop {
        start -= 1;
        room[start] = b"0123456789"[usize::try_from(rest % 10).unwrap_or_default()];
        rest /= 10;
        if rest == 0 || start == 0 {
            return std::str::from_utf8(&room[start..]).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_numbers() {
        let numbers = [
            ("1", 1.0),
            ("-1.5", -1.5),
            ("+2", 2.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1e400", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("Infinity", f64::INFINITY),
        ];
        for (text, number) in numbers {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        assert!(parse("NaN").unwrap().is_nan());
    }

    #[test]
    fn texts_that_are_no_numbers() {
        for text in [
            "", " 1", "1 ", "abc", "0x10", "0x1p4", "0b1", "+nan", "1e", ".", "infin", "1_000",
            "in_f",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn out_of_range_is_no_number_in_comparisons() {
        assert_eq!(parse_in_range("1e400"), None);
        assert_eq!(parse_in_range("-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_in_range("1e-400"), Some(0.0));
    }

    #[test]
    fn whole_numbers() {
        assert_eq!(to_integer(-1.9), -1);
        for number in [f64::NAN, f64::INFINITY, 1e19, -1e19] {
            assert_eq!(to_integer(number), i64::MIN);
        }
    }

    #[test]
    fn numbers_that_are_read_as_others() {
        let is_exact = |text: &str| is_exact(text, &serde_json::from_str(text).unwrap());
        for text in [
            "0",
            "-0",
            "0.0",
            "0e9",
            "1",
            "0.1",
            "9007199254740992",
            "9007199254740994",
            "-9007199254740992",
            "18446744073709551616",
            "100000000000000000000",
            "100000000000000000000000",
            "-100000000000000000000000",
            "18446744073709552000",
            "1e300",
            "5e-324",
            "123456789012345678.5",
        ] {
            assert!(is_exact(text), "{text}");
        }
        for text in [
            "9007199254740993",
            "-9007199254740993",
            "18446744073709551615",
            "18446744073709551617",
            "100000000000000000001",
            "1e-400",
            "-0.1e-999",
        ] {
            assert!(!is_exact(text), "{text}");
        }
    }

    #[test]
    fn short_numbers() {
        for number in [0.0, 7.0, 10.0, 1_234_567.0, 999_999_999.0] {
            assert!(is_short(number));
            assert_eq!(short(number, &mut [0; SHORT]), json(number).unwrap());
        }
        for number in [-0.0, -1.0, 0.5, 1e9, f64::NAN, f64::INFINITY] {
            assert!(!is_short(number), "{number}");
        }
    }

    #[test]
    #[allow(clippy::excessive_precision)] // these are exact
    fn texts_of_numbers() {
        assert_eq!(plain(1e21), "1000000000000000000000");
        assert_eq!(plain(-0.0), "-0");
        assert_eq!(plain(f64::INFINITY), "+Inf");
        assert_eq!(plain(f64::NAN), "NaN");
        assert_eq!(json(1e21).unwrap(), "1e+21");
        assert_eq!(json(-1.5e-7).unwrap(), "-1.5e-7");
        assert_eq!(json(1e20).unwrap(), "100000000000000000000");
        assert_eq!(json(0.000_001).unwrap(), "0.000001");
        assert_eq!(json(f64::NAN), None);
        assert_eq!(json(-851_488_246_714_819.25).unwrap(), "-851488246714819.2");
        assert_eq!(plain(851_488_246_714_819.75), "851488246714819.8");
        assert_eq!(plain(0.1 + 0.2), "0.30000000000000004");
        assert_eq!(json(2f64.powi(70)).unwrap(), "1.1805916207174113e+21");
        assert_eq!(json(9_007_199_254_740_993.0).unwrap(), "9007199254740992");
        assert_eq!(json(5e-324).unwrap(), "5e-324");
        assert_eq!(json(f64::MAX).unwrap(), "1.7976931348623157e+308");
    }
}
