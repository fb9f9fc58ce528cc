//! Arithmetic: of numbers, and of texts that are numbers (0 if they are none). Other types fail.

use crate::evaluator::{
    rule::args::{Args, argument},
    value::{Answer, Fail, Value},
};

/// `+`: a single argument is turned into a number.
pub(crate) fn add<'a>(args: Args<'_, 'a>) -> Answer<'a> {
    Ok(Value::Number(match args {
        Args::Single(value) | Args::List([value]) => value.to_number()?,
        Args::List(items) => {
            items.iter().try_fold(0.0, |sum, item| item.to_number().map(|number| sum + number))?
        }
    }))
}

/// `-`: a single argument is negated.
pub(crate) fn subtract<'a>(args: Args<'_, 'a>) -> Answer<'a> {
    match args.list()? {
        [] => Ok(Value::IntegerZero),
        [value] => Ok(Value::Number(-value.to_number()?)),
        [first, rest @ ..] => {
            fold(first, rest, |difference, number| difference - number).map(Value::Number)
        }
    }
}

pub(crate) fn multiply<'a>(args: Args<'_, 'a>) -> Answer<'a> {
    let mut product = 1.0;
    for item in args.list()? {
        product *= item.to_number()?;
    }
    Ok(Value::Number(product))
}

/// `/`: by zero it is infinite, which no variant is.
pub(crate) fn divide<'a>(args: Args<'_, 'a>) -> Answer<'a> {
    match args.list()? {
        [] => Ok(Value::IntegerZero),
        [first, rest @ ..] => {
            fold(first, rest, |quotient, number| quotient / number).map(Value::Number)
        }
    }
}

/// `%`: with the sign of the dividend.
pub(crate) fn remainder<'a>(args: Args<'_, 'a>) -> Answer<'a> {
    let items = args.list()?;
    let (a, b) = (argument(items, 0)?, argument(items, 1)?);
    Ok(Value::Number(a.to_number()? % b.to_number()?))
}

pub(crate) fn abs<'a>(args: Args<'_, 'a>) -> Answer<'a> {
    let value = match args {
        Args::Single(value) => value,
        Args::List(items) => argument(items, 0)?,
    };
    Ok(Value::Number(value.to_number()?.abs()))
}

/// `max` and `min`: null of nothing.
pub(crate) fn extreme<'a>(args: Args<'_, 'a>, better: fn(f64, f64) -> bool) -> Answer<'a> {
    let [first, rest @ ..] = args.list()? else { return Ok(Value::Null) };
    let pick = |best, number| if better(number, best) { number } else { best };
    fold(first, rest, pick).map(Value::Number)
}

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
