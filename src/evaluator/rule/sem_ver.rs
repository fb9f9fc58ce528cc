//! `sem_ver`: comparison of semantic versions.
//!
//! flagd specifies the operator in
//! [Semantic Versioning Operation Specification](https://flagd.dev/reference/specifications/custom-operations/semver-operation-spec/);
//! see also "`sem_ver`" in `docs/flagd.md`. Versions are those of
//! [Semantic Versioning 2.0.0](https://semver.org), and in addition
//!
//! - a `v` or `V` may come first;
//! - the second and third number may be left out and are then 0, but only in a
//!   version without pre-release and build metadata: `1.2` is valid, and `1.2-rc`
//!   is not;
//! - the numbers may have any length.
//!
//! ```json
//! {"sem_ver": [{"var": "version"}, ">=", "1.2.0"]}
//! ```
//!
//! The crate `semver` parses the pre-release and orders it. It does not parse the
//! version, because its numbers are of 64 bits, and it knows none of the additions.

use std::borrow::Cow;

use semver::{BuildMetadata, Prerelease};

use super::args::Args;
use crate::evaluator::{number, value::Value};

/// Compares the first argument with the third. The result is null unless the
/// arguments are exactly a version, an operator and a version.
///
/// `^` is true if the major versions are the same, and `~` if the minor ones are
/// too. The rest of the versions does not matter then, neither which is later.
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

/// The text of a version. A number counts by its text: 1.5 is the version `1.5`.
/// From a million on, flagd's text of a number has an exponent, and is not a version.
fn text<'v>(value: &'v Value<'_>) -> Option<Cow<'v, str>> {
    match value {
        Value::Text(text) => Some(Cow::Borrowed(text)),
        Value::Number(version) if *version < 1e6 => Some(Cow::Owned(number::plain(*version))),
        Value::IntegerZero => Some(Cow::Borrowed("0")),
        _ => None,
    }
}

/// A version. The order of its fields makes the derived order that of
/// [precedence](https://semver.org/#spec-item-11): number by number, then by
/// pre-release. Build metadata does not count, so it is checked and not kept.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version<'v> {
    /// Major, minor and patch, each as the count of its digits and the digits.
    ///
    /// There are no leading zeros, so of two numbers the one with more digits is
    /// larger, and digits of the same count compare as strings. No number is too
    /// large.
    numbers: [(usize, &'v str); 3],
    /// Empty in a release, which comes after all its pre-releases.
    prerelease: Prerelease,
}

impl<'v> Version<'v> {
    /// A version of one, two or three numbers, after an optional `v` or `V`. `None`
    /// if the text is anything else, even if only by a space.
    fn parse(text: &'v str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (text, build) = split(text, b'+')?;
        let (core, prerelease) = split(text, b'-')?;
        let mut numbers = [(1, "0"); 3];
        let mut count = 0;
        for part in core.split('.') {
            let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if !is_number || part.len() > 1 && part.starts_with('0') {
                return None;
            }
            *numbers.get_mut(count)? = (part.len(), part);
            count += 1;
        }
        BuildMetadata::new(build).ok()?;
        let prerelease = Prerelease::new(prerelease).ok()?;
        let complete = count == 3 || prerelease.is_empty() && build.is_empty();
        complete.then_some(Self { numbers, prerelease })
    }
}

/// What is before and after the first occurrence of a mark. Without the mark, the
/// second part is empty. `None` if nothing follows the mark.
fn split(text: &str, mark: u8) -> Option<(&str, &str)> {
    // Faster than `split_once` where strings are as short as versions.
    match text.bytes().position(|b| b == mark) {
        None => Some((text, "")),
        Some(at) => (at + 1 < text.len()).then(|| (&text[..at], &text[at + 1..])),
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
