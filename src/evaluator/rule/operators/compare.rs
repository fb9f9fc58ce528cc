//! Equality and order of any two values.

use crate::evaluator::{
    number,
    rule::{args::Args, operator::Comparison},
    value::{Answer, Fail, Value},
};

/// The number for comparisons: null is 0, true 1, blank text 0; what is no number equals nothing.
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

#[allow(clippy::float_cmp)]
pub(crate) fn equals(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Null, other) | (other, Value::Null) => other.is_null(),
        (Value::Text(a), Value::Text(b)) => a == b,
        (a, b) => number(a) == number(b),
    }
}

/// Texts are compared by their bytes, everything else as numbers.
pub(crate) fn less(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a < b,
        (a, b) => number(a) < number(b),
    }
}

pub(crate) fn at_most(a: &Value<'_>, b: &Value<'_>) -> bool {
    less(a, b) || equals(a, b)
}

/// `==`: false with fewer than two arguments.
pub(crate) fn equal(args: Args<'_, '_>) -> Result<bool, Fail> {
    Ok(matches!(args.list()?, [a, b, ..] if equals(a, b)))
}

/// `===`: of one type, and equal.
pub(crate) fn same(args: Args<'_, '_>) -> bool {
    match args {
        Args::List([a, b, ..]) => identical(a, b),
        _ => false,
    }
}

/// Whether two values are of one type, and equal.
pub(crate) fn identical(a: &Value<'_>, b: &Value<'_>) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b) && equals(a, b)
}

/// `starts_with` and `ends_with`: null unless there are exactly two texts.
pub(crate) fn texts<'a>(args: Args<'_, 'a>, comparison: Comparison) -> Value<'a> {
    match args {
        Args::List([a, b]) => comparison.of(a, b).map_or(Value::Null, Value::Bool),
        _ => Value::Null,
    }
}

/// `<` and its kin: of three arguments the middle one lies between; more are ignored, all but two.
pub(crate) fn ordered<'a>(
    args: Args<'_, 'a>,
    holds: fn(&Value<'_>, &Value<'_>) -> bool,
) -> Answer<'a> {
    Ok(Value::Bool(match args.list()? {
        [a, b, c] => holds(a, b) && holds(b, c),
        [a, b, ..] => holds(a, b),
        _ => false,
    }))
}

/// `!`: of the first item of a list, if it has one.
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
