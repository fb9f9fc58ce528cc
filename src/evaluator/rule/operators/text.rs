//! Operators on strings.
//!
//! Numbers are accepted too, and converted to their text; null is the empty string. Booleans,
//! arrays and objects fail.

use crate::evaluator::{
    number,
    rule::{
        args::{Args, argument},
        run::Run,
    },
    value::{Evaluated, Fail, Value, steps},
};

/// `cat`: joins the arguments, and trims the white space at both ends of the result if
/// there was more than one.
///
/// Without an array, the argument must be a string. `reduce` can double a string with each
/// item, so the result takes steps.
pub(crate) fn cat<'a>(args: Args<'_, 'a>, run: &Run) -> Evaluated<'a> {
    let items = match args {
        Args::Single(text @ Value::Text(_)) => return Ok(text.clone()),
        other => other.list()?,
    };
    if let [single] = items {
        return single.to_text().map(Value::Text);
    }
    let mut joined = String::new();
    for item in items {
        let text = item.to_text()?;
        run.charge(steps(text.len()))?;
        joined.push_str(&text);
    }
    Ok(Value::from(joined.trim().to_owned()))
}

/// `substr`: the string, where to start, and optionally how many characters to take.
///
/// Characters are counted, not bytes. A negative start counts from the end, and so does a
/// negative length: it says how many characters to leave off. A start outside of the string
/// returns the whole string, and an end before the start fails.
///
/// | Rule | Result |
/// |---|---|
/// | `{"substr": ["abcdef", -2]}` | `ef` |
/// | `{"substr": ["abcdef", 1, -2]}` | `bcd` |
/// | `{"substr": ["abcdef", 9, 9]}` | `abcdef` |
/// | `{"substr": ["abcdef", 5, -5]}` | fails |
pub(crate) fn substr<'a>(args: Args<'_, 'a>) -> Evaluated<'a> {
    let items = args.list()?;
    let text = argument(items, 0)?.to_text()?;
    let mut from = number::to_integer(argument(items, 1)?.to_number()?);
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if from < 0 {
        from = from.wrapping_add(length);
    }
    if from < 0 || from > length {
        return Ok(Value::Text(text));
    }
    let wanted = match items {
        [_, _, wanted] => number::to_integer(wanted.to_number()?),
        _ => length,
    };
    let to = if wanted < 0 { length.wrapping_add(wanted) } else { from.wrapping_add(wanted) };
    let count = to.min(length).checked_sub(from).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(Fail("the end lies before the start"))?;
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    Ok(Value::from(text.chars().skip(from).take(count).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::evaluator::rule::operators::testing::assert_all;

    #[test]
    fn joining() {
        assert_all([
            (json!({"cat": [" a ", 1, null, 1.5, " "]}), r#""a 11.5""#),
            (json!({"cat": [" a "]}), r#"" a ""#),
            (json!({"cat": " a "}), r#"" a ""#),
            (json!({"cat": []}), r#""""#),
            (json!({"cat": [1e21]}), r#""1000000000000000000000""#),
            (json!({"cat": [{"/": [-1, 0]}]}), r#""-Inf""#),
            (json!({"cat": [true]}), "fails"),
            (json!({"cat": [["a"], "b"]}), "fails"),
            (json!({"cat": 5}), "fails"),
            (json!({"cat": null}), "fails"),
        ]);
    }

    #[test]
    fn parts() {
        assert_all([
            (json!({"substr": ["abcdef", 2]}), r#""cdef""#),
            (json!({"substr": ["abcdef", -2]}), r#""ef""#),
            (json!({"substr": ["abcdef", 1, 3]}), r#""bcd""#),
            (json!({"substr": ["abcdef", 1, -2]}), r#""bcd""#),
            (json!({"substr": ["abcdef", 9, 9]}), r#""abcdef""#),
            (json!({"substr": ["abcdef", -9]}), r#""abcdef""#),
            (json!({"substr": ["abcdef", 5, -5]}), "fails"),
            (json!({"substr": ["abcdef", 1, -9]}), "fails"),
            (json!({"substr": ["žluť", 1, 2]}), r#""lu""#),
            (json!({"substr": [12345, "1", "2"]}), r#""23""#),
            (json!({"substr": [null, 0]}), r#""""#),
            (json!({"substr": ["abc", 1, 1, 1]}), r#""bc""#),
            (json!({"substr": ["abc", 1, 1e300]}), "fails"),
            (json!({"substr": ["abc"]}), "fails"),
            (json!({"substr": ["abc", null]}), "fails"),
            (json!({"substr": [true, 0]}), "fails"),
        ]);
    }

    #[test]
    fn comparison() {
        assert_all([
            (json!({"starts_with": ["abc", "ab"]}), "true"),
            (json!({"ends_with": ["abc", "ab"]}), "false"),
            (json!({"ends_with": ["abc", ""]}), "true"),
            (json!({"ends_with": ["abc", 1]}), "null"),
            (json!({"ends_with": ["abc"]}), "null"),
            (json!({"starts_with": ["a", "a", "a"]}), "null"),
            (json!({"starts_with": "a"}), "null"),
        ]);
    }
}
