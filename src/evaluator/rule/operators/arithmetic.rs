//! Arithmetic.
//!
//! Numbers are 64-bit floats. A string counts as the number that it contains, or as 0
//! if it is not a number; a value of any other type fails, null too.
//!
//! Nothing fails because of its result: overflow and division by zero are infinite, and
//! 0/0 is NaN. Within a rule these are ordinary values, but JSON cannot represent them,
//! so that a rule which returns one fails in the end.

use crate::evaluator::{
    rule::args::{Args, argument},
    value::{Evaluated, Fail, Value},
};

/// `+`: the sum, 0 of no arguments. A single argument is converted to a number, and
/// may be written without an array.
pub(crate) fn add<'a>(args: Args<'_, 'a>) -> Evaluated<'a> {
    Ok(Value::Number(match args {
        Args::Single(value) | Args::List([value]) => value.to_number()?,
        Args::List(items) => {
            items.iter().try_fold(0.0, |sum, item| item.to_number().map(|number| sum + number))?
        }
    }))
}

/// `-`: the first argument less all others. A single argument is negated. Of no
/// arguments, it is flagd's whole-number zero.
pub(crate) fn subtract<'a>(args: Args<'_, 'a>) -> Evaluated<'a> {
    match args.list()? {
        [] => Ok(Value::IntegerZero),
        [value] => Ok(Value::Number(-value.to_number()?)),
        [first, rest @ ..] => {
            fold(first, rest, |difference, number| difference - number).map(Value::Number)
        }
    }
}

/// `*`: the product, 1 of no arguments.
pub(crate) fn multiply<'a>(args: Args<'_, 'a>) -> Evaluated<'a> {
    let mut product = 1.0;
    for item in args.list()? {
        product *= item.to_number()?;
    }
    Ok(Value::Number(product))
}

/// `/`: the first argument divided by all others, one after the other. A single argument
/// is converted to a number. Of no arguments, it is flagd's whole-number zero.
pub(crate) fn divide<'a>(args: Args<'_, 'a>) -> Evaluated<'a> {
    match args.list()? {
        [] => Ok(Value::IntegerZero),
        [first, rest @ ..] => {
            fold(first, rest, |quotient, number| quotient / number).map(Value::Number)
        }
    }
}

/// `%`: the remainder, with the sign of the dividend: `{"%": [1, -2]}` is 1. Arguments
/// after the second are ignored.
pub(crate) fn remainder<'a>(args: Args<'_, 'a>) -> Evaluated<'a> {
    let items = args.list()?;
    let (a, b) = (argument(items, 0)?, argument(items, 1)?);
    Ok(Value::Number(a.to_number()? % b.to_number()?))
}

/// `abs`: the first argument without its sign. It may be written without an array.
pub(crate) fn abs<'a>(args: Args<'_, 'a>) -> Evaluated<'a> {
    let value = match args {
        Args::Single(value) => value,
        Args::List(items) => argument(items, 0)?,
    };
    Ok(Value::Number(value.to_number()?.abs()))
}

/// `max` and `min`: the number that is `better` than those before it; null of no
/// arguments.
pub(crate) fn extreme<'a>(args: Args<'_, 'a>, better: fn(f64, f64) -> bool) -> Evaluated<'a> {
    let [first, rest @ ..] = args.list()? else { return Ok(Value::Null) };
    let pick = |best, number| if better(number, best) { number } else { best };
    fold(first, rest, pick).map(Value::Number)
}

/// Combines the first argument with each of the others, from left to right.
fn fold(
    first: &Value<'_>,
    rest: &[Value<'_>],
    step: impl Fn(f64, f64) -> f64,
) -> Result<f64, Fail> {
    rest.iter().try_fold(first.to_number()?, |result, item| Ok(step(result, item.to_number()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::evaluator::rule::operators::testing::{assert_all, on};

    #[test]
    fn sums() {
        assert_all([
            (json!({"+": [1, "2", 0.5]}), "3.5"),
            (json!({"+": "3.14"}), "3.14"),
            (json!({"+": []}), "0"),
            (json!({"+": ["abc"]}), "0"),
            (json!({"+": [null]}), "fails"),
            (json!({"+": [1, true]}), "fails"),
            (json!({"+": [[1]]}), "fails"),
            (json!({"+": [0.1, 0.2]}), "0.30000000000000004"),
            (json!({"+": ["1e400"]}), "fails"),
        ]);
        assert_eq!(on(&json!({"+": {"var": "l"}}), &json!({"l": [1, 2]})), "3");
    }

    #[test]
    fn differences() {
        assert_all([
            (json!({"-": [5, 1, 1]}), "3"),
            (json!({"-": ["abc"]}), "-0"),
            (json!({"-": []}), "0"),
            (json!({"-": 1}), "fails"),
        ]);
    }

    #[test]
    fn products_quotients_remainders() {
        assert_all([
            (json!({"*": []}), "1"),
            (json!({"*": [2, "3"]}), "6"),
            (json!({"*": 2}), "fails"),
            (json!({"/": [1, 4]}), "0.25"),
            (json!({"/": ["7"]}), "7"),
            (json!({"/": [1, 0]}), "fails"),
            (json!({"if": [{"/": [1, 0]}, "infinite"]}), "\"infinite\""),
            (json!({"%": [1, -2]}), "1"),
            (json!({"%": [-5, 3]}), "-2"),
            (json!({"%": [1]}), "fails"),
            (json!({"abs": -2}), "2"),
            (json!({"abs": ["-1.5", 9]}), "1.5"),
            (json!({"abs": []}), "fails"),
        ]);
    }

    #[test]
    fn extremes() {
        assert_all([
            (json!({"max": [1, "3", 2]}), "3"),
            (json!({"min": ["x", 2]}), "0"),
            (json!({"max": []}), "null"),
            (json!({"max": [null]}), "fails"),
            (json!({"min": 1}), "fails"),
        ]);
    }
}
