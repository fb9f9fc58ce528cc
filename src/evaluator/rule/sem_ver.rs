//! `sem_ver`: comparison of semantic versions.

use std::{borrow::Cow, cmp::Ordering};

use super::args::Args;
use crate::evaluator::{number, value::Value};

/// Null unless there are exactly a version, an operator and a version.
pub(crate) fn compare<'a>(args: Args<'_, 'a>) -> Value<'a> {
    let Args::List([left, Value::Text(operator), right]) = args else { return Value::Null };
    let (Some(left), Some(right)) = (text(left), text(right)) else { return Value::Null };
    let (Some(a), Some(b)) = (Version::parse(&left), Version::parse(&right)) else {
        return Value::Null;
    };
    let order = a.cmp(&b);
    Value::Bool(match &**operator {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "^" => a.numbers[0] == b.numbers[0],
        "~" => a.numbers[..2] == b.numbers[..2],
        _ => return Value::Null,
    })
}

/// Whether a value is a version.
pub(crate) fn is_version(value: &Value<'_>) -> bool {
    text(value).is_some_and(|text| Version::parse(&text).is_some())
}

/// A number is a version by its text, which has an exponent from a million on, and then is none.
fn text<'v>(value: &'v Value<'_>) -> Option<Cow<'v, str>> {
    match value {
        Value::Text(text) => Some(Cow::Borrowed(text)),
        Value::Number(version) if *version < 1e6 => Some(Cow::Owned(number::plain(*version))),
        Value::IntegerZero => Some(Cow::Borrowed("0")),
        _ => None,
    }
}

/// Build metadata is checked and forgotten.
#[derive(Debug, PartialEq, Eq)]
struct Version<'v> {
    /// Digits without leading zeros, of any length.
    numbers: [&'v str; 3],
    prerelease: Option<&'v str>,
}

impl<'v> Version<'v> {
    /// A version of one, two or three numbers, after an optional `v` or `V`.
    fn parse(text: &'v str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        let (core, prerelease) = match text.split_once('-') {
            Some((core, prerelease)) => (core, Some(prerelease)),
            None => (text, None),
        };
        let mut numbers = ["0"; 3];
        let mut count = 0;
        for part in core.split('.') {
            *numbers.get_mut(count)? = part;
            count += 1;
            if !is_number(part) || has_leading_zero(part) {
                return None;
            }
        }
        let identifiers = |list: &str, strict: bool| {
            list.split('.').all(|part| is_identifier(part) && !(strict && is_zero_padded(part)))
        };
        let complete = count == 3 || prerelease.is_none() && build.is_none();
        let valid = complete
            && prerelease.is_none_or(|list| identifiers(list, true))
            && build.is_none_or(|list| identifiers(list, false));
        valid.then_some(Self { numbers, prerelease })
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
}

fn has_leading_zero(part: &str) -> bool {
    part.len() > 1 && part.starts_with('0')
}

fn is_zero_padded(part: &str) -> bool {
    is_number(part) && has_leading_zero(part)
}

fn is_identifier(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn compare_numbers(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn compare_identifiers(a: &str, b: &str) -> Ordering {
    match (is_number(a), is_number(b)) {
        (true, true) => compare_numbers(a, b),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.cmp(b),
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = self.numbers.iter().zip(&other.numbers);
        let by_number = numbers
            .map(|(a, b)| compare_numbers(a, b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal);
        by_number.then_with(|| match (self.prerelease, other.prerelease) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => {
                let (mut a, mut b) = (a.split('.'), b.split('.'));
                loop {
                    match (a.next(), b.next()) {
                        (None, None) => return Ordering::Equal,
                        (None, Some(_)) => return Ordering::Less,
                        (Some(_), None) => return Ordering::Greater,
                        (Some(a), Some(b)) if a == b => {}
                        (Some(a), Some(b)) => return compare_identifiers(a, b),
                    }
                }
            }
        })
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::evaluator::rule::operators::testing::assert_all;

    #[test]
    fn precedence() {
        let ordered = [
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-11",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1",
            "1.0.1",
            "1.2",
            "2.0.0",
            "10.0.0",
            "99999999999999999999.0.0",
            "100000000000000000000.0.0",
        ];
        for pair in ordered.windows(2) {
            assert!(
                Version::parse(pair[0]).unwrap() < Version::parse(pair[1]).unwrap(),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn what_is_no_version() {
        for text in [
            "",
            "v",
            "vv1",
            "Vv1",
            "1.",
            "1.2.3.4",
            "01.2.3",
            "1.2.03",
            "1.2-alpha",
            "1+build",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3-01",
            "1.2.3+",
            "1.2.3+a_b",
            " 1.2.3",
            "1.2.3 ",
            "-1",
            "x",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        for text in ["v1", "V1.2", "1.2.3-0a.-", "1.2.3+01.x", "1.2.3-x+y-z"] {
            assert!(Version::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn operators() {
        assert_all([
            (json!({"sem_ver": ["v1.2.3", "=", "1.2.3+build"]}), "true"),
            (json!({"sem_ver": ["1.2.3", "!=", "1.2.3"]}), "false"),
            (json!({"sem_ver": ["1.9.0", "^", "1.0.0"]}), "true"),
            (json!({"sem_ver": ["1.9.0", "~", "1.0.0"]}), "false"),
            (json!({"sem_ver": ["1.9.1-rc", "~", "1.9"]}), "true"),
            (json!({"sem_ver": [1.5, ">=", 1]}), "true"),
            (json!({"sem_ver": [999_999.5, ">=", 1]}), "true"),
            (json!({"sem_ver": [1_000_000, ">=", 1]}), "null"),
            (json!({"sem_ver": ["1.0.0", "==", "1.0.0"]}), "null"),
            (json!({"sem_ver": ["1.0.0", "=", "x"]}), "null"),
            (json!({"sem_ver": ["1.0.0", "="]}), "null"),
            (json!({"sem_ver": [true, "=", "1.0.0"]}), "null"),
            (json!({"sem_ver": "1.0.0"}), "null"),
        ]);
    }
}
