//! Equality, order and truth of any values.
//!
//! | Operands | `==` | `<` |
//! |---|---|---|
//! | two strings | byte by byte | byte by byte: `"10"` is less than `"9"` |
//! | null and any value | only null equals null | null is 0 |
//! | anything else | as numbers | as numbers |
//!
//! Arrays and objects are not numbers (NaN), so that they do not even equal themselves
//! and have no order. Only strings take longer the longer they are; the caller charges
//! steps for them.

use crate::evaluator::{
    number,
    rule::{args::Args, operator::Comparison},
    value::{Evaluated, Fail, Value},
};

/// A value as a number, for comparisons: null, `false` and a blank string are 0, `true`
/// is 1. Whatever is not a number is NaN, which equals nothing.
///
/// Arithmetic converts otherwise: there a string that is not a number is 0, and a number
/// that is too large for 64 bits is infinite rather than NaN.
fn number(value: &Value<'_>) -> f64 {
    match value {
        Value::Null | Value::IntegerZero => 0.0,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Number(number) => *number,
        Value::Text(text) if text.trim().is_empty() => 0.0,
        Value::Text(text) => number::parse_in_range(text).unwrap_or(f64::NAN),
        Value::List(_) | Value::Object(_) => f64::NAN,
    }
}

/// `==` of two values.
#[allow(clippy::float_cmp)]
pub(crate) fn equals(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Null, other) | (other, Value::Null) => other.is_null(),
        (Value::Text(a), Value::Text(b)) => a == b,
        (a, b) => number(a) == number(b),
    }
}

/// `<` of two values.
pub(crate) fn less(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a < b,
        (a, b) => number(a) < number(b),
    }
}

/// `<=` of two values: `<` or `==`. So null is not at most 0, though it is less than 1.
pub(crate) fn at_most(a: &Value<'_>, b: &Value<'_>) -> bool {
    less(a, b) || equals(a, b)
}

/// `==` of any number of arguments: the first two count, and with fewer it is false.
/// Fails if they are not an array.
pub(crate) fn equal(args: Args<'_, '_>) -> Result<bool, Fail> {
    Ok(matches!(args.list()?, [a, b, ..] if equals(a, b)))
}

/// `===` of any number of arguments: the first two count. With fewer, or if they are not
/// an array, it is false.
pub(crate) fn same(args: Args<'_, '_>) -> bool {
    match args {
        Args::List([a, b, ..]) => identical(a, b),
        _ => false,
    }
}

/// `===` of two values: whether they are of the same type, and equal.
pub(crate) fn identical(a: &Value<'_>, b: &Value<'_>) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b) && equals(a, b)
}

/// `starts_with` and `ends_with`: null unless there are exactly two strings. flagd
/// specifies them in
/// [String Comparison Operation Specification](https://flagd.dev/reference/specifications/custom-operations/string-comparison-operation-spec/).
pub(crate) fn texts<'a>(args: Args<'_, 'a>, comparison: Comparison) -> Value<'a> {
    match args {
        Args::List([a, b]) => comparison.of(a, b).map_or(Value::Null, Value::Bool),
        _ => Value::Null,
    }
}

/// `<`, `<=`, `>` and `>=` of any number of arguments.
///
/// Of exactly three, the middle one must lie between the others. Of more than three, only
/// the first two count. With fewer than two it is false.
pub(crate) fn ordered<'a>(
    args: Args<'_, 'a>,
    holds: fn(&Value<'_>, &Value<'_>) -> bool,
) -> Evaluated<'a> {
    Ok(Value::Bool(match args.list()? {
        [a, b, c] => holds(a, b) && holds(b, c),
        [a, b, ..] => holds(a, b),
        _ => false,
    }))
}

/// `!`: whether the argument is false. Of an array, the first item counts, and without
/// one it is true.
pub(crate) fn not(args: Args<'_, '_>) -> bool {
    match args {
        Args::List(items) => !items.first().is_some_and(Value::is_true),
        Args::Single(value) => !value.is_true(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::evaluator::rule::operators::testing::assert_all;

    #[test]
    fn equality() {
        assert_all([
            (json!({"==": [1, "1"]}), "true"),
            (json!({"==": [1, " 1"]}), "false"),
            (json!({"==": [0, " "]}), "true"),
            (json!({"==": ["1", "1.0"]}), "false"),
            (json!({"==": [true, 1]}), "true"),
            (json!({"==": [null, 0]}), "false"),
            (json!({"==": [null, null]}), "true"),
            (json!({"==": [[1], [1]]}), "false"),
            (json!({"==": [{}, {}]}), "false"),
            (json!({"==": ["1e400", "1e400"]}), "true"),
            (json!({"==": [{"/": [1, 0]}, "1e400"]}), "false"),
            (json!({"==": [1]}), "false"),
            (json!({"!=": [1]}), "true"),
            (json!({"==": 1}), "fails"),
        ]);
    }

    #[test]
    fn identity() {
        assert_all([
            (json!({"===": [1, 1.0]}), "true"),
            (json!({"===": [1, "1"]}), "false"),
            (json!({"===": [null, null]}), "true"),
            (json!({"===": [[], []]}), "false"),
            (json!({"===": [0, {"-": []}]}), "false"),
            (json!({"===": [{"/": []}, {"-": []}]}), "true"),
            (json!({"===": 1}), "false"),
            (json!({"!==": []}), "true"),
        ]);
    }

    #[test]
    fn order() {
        assert_all([
            (json!({"<": ["10", "9"]}), "true"),
            (json!({"<": ["10", 9]}), "false"),
            (json!({"<": [null, 1]}), "true"),
            (json!({"<=": [null, 0]}), "false"),
            (json!({"<": ["a", 1]}), "false"),
            (json!({">": [2, 1, 0]}), "true"),
            (json!({">=": [2, 2, 3]}), "false"),
            (json!({"<": [1, 2, 3, 0]}), "true"),
            (json!({"<": [1]}), "false"),
            (json!({"<": 1}), "fails"),
        ]);
    }

    #[test]
    fn negation() {
        assert_all([
            (json!({"!": [[]]}), "true"),
            (json!({"!": []}), "true"),
            (json!({"!": "0"}), "false"),
            (json!({"!!": [0, 1]}), "false"),
            (json!({"!!": {"var": "nope"}}), "false"),
            (json!({"!": null}), "true"),
        ]);
    }
}
