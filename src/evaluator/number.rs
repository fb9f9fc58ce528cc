//! Numbers as flagd reads and writes them.

/// The number that a text stands for: decimal, hexadecimal with an exponent, `inf`, `nan`. A number
/// too large for 64 bits is infinite. Nothing else, no spaces either.
pub(super) fn parse(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let Some(digits) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        let size = hexadecimal(digits)?;
        return Some(if text.starts_with('-') { -size } else { size });
    }
    // Go takes no sign before `nan`; Rust does.
    if unsigned.len() != text.len() && unsigned.eq_ignore_ascii_case("nan") {
        return None;
    }
    text.parse().ok()
}

/// As [`parse`], for comparisons: there a number out of range is none.
pub(super) fn parse_in_range(text: &str) -> Option<f64> {
    let number = parse(text)?;
    let spelled = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    (number.is_finite() || number.is_nan() || spelled).then_some(number)
}

/// `digits` is what follows `0x`; the exponent is mandatory, underscores may stand between digits.
fn hexadecimal(digits: &str) -> Option<f64> {
    let (mantissa, exponent) = digits.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let misplaced = digits.contains("__")
        || whole.ends_with('_')
        || fraction.starts_with('_')
        || mantissa.ends_with('_')
        || exponent.contains('_');
    if misplaced {
        return None;
    }
    let mut value = 0f64;
    let mut any = false;
    let mut shift = 0i32;
    for (digit, scale) in whole.chars().map(|c| (c, 0)).chain(fraction.chars().map(|c| (c, -4))) {
        if digit == '_' {
            continue;
        }
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
        shift = shift.saturating_add(scale);
        any = true;
    }
    let signless = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if !any || signless.is_empty() || !signless.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent = exponent.parse::<i32>().unwrap_or(if exponent.starts_with('-') {
        i32::MIN
    } else {
        i32::MAX
    });
    let scaled = value * 2f64.powi(exponent.saturating_add(shift));
    Some(if value == 0.0 { 0.0 } else { scaled })
}

/// The whole number towards zero. What does not fit 64 bits is the smallest of them, as on the
/// processors that flagd runs on.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn to_integer(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

/// The text of a number, without exponent.
pub(super) fn plain(number: f64) -> String {
    if number.is_infinite() {
        return String::from(if number > 0.0 { "+Inf" } else { "-Inf" });
    }
    number.to_string()
}

/// The JSON text of a number; infinity and NaN have none.
pub(super) fn json(number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return Some(number.to_string());
    }
    let text = format!("{number:e}");
    Some(if size >= 1.0 { text.replace('e', "e+") } else { text })
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
            ("0x1p4", 16.0),
            ("-0x1.8P1", -3.0),
            ("0x_1p-2", 0.25),
        ];
        for (text, number) in numbers {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        assert!(parse("NaN").unwrap().is_nan());
    }

    #[test]
    fn texts_that_are_no_numbers() {
        for text in
            ["", " 1", "1 ", "abc", "1_000", "0x10", "0b1", "+nan", "1e", ".", "infin", "0xp1"]
        {
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
    }
}
