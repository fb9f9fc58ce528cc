//! Operators on arrays.
//!
//! Equality is not that of `==` here. `in` converts the items to numbers if it looks for
//! a number, and fails if that is not possible. Otherwise, and for `contains_*`, a value
//! equals only a value of its own type, and comparing an array with an array or an object
//! with an object fails.
//!
//! Searching takes one step for four items, and more for long strings.

use serde_json::Value as Json;

use crate::evaluator::{
    number,
    rule::{
        args::{Args, argument},
        eval,
        run::Run,
    },
    value::{Evaluated, Fail, List, Value},
};

/// `in`: whether the first argument is a part of the string, or an item of the array,
/// that comes second. If that is neither, the result is false.
///
/// An array within the array is a range of two numbers: `{"in": [5, [[1, 9]]]}` is true.
#[allow(clippy::float_cmp)]
pub(crate) fn is_in<'a>(args: Args<'_, 'a>, run: &Run) -> Evaluated<'a> {
    let items = args.list()?;
    let needle = argument(items, 0)?;
    let found = match items.get(1) {
        Some(Value::Text(text)) => {
            text.contains(needle.as_text().ok_or(Fail("expected a string"))?)
        }
        Some(Value::List(List::Json(items))) if matches!(needle, Value::Text(_)) => {
            run.charge(items.len() / 4)?;
            is_among(needle, items, run)?
        }
        Some(Value::List(list)) => {
            run.charge(list.len() / 4)?;
            any(list, run, |item| match (item, needle) {
                (Value::List(range), needle) => in_range(needle, range, run),
                // Nothing equals the whole-number zero, but flagd converts the items all
                // the same, which can fail.
                (item, Value::IntegerZero) => item.to_number().map(|_| false),
                (item, Value::Number(needle)) => Ok(item.to_number()? == *needle),
                (item, needle) => identical(item, needle),
            })?
        }
        _ => false,
    };
    Ok(Value::Bool(found))
}

/// Whether a string is in an array that is JSON: the usual case, in which no item needs
/// to become a [`Value`].
fn is_among(text: &Value<'_>, items: &[Json], run: &Run) -> Result<bool, Fail> {
    for item in items {
        let found = match item {
            Json::String(item) => text.as_text() == Some(item),
            Json::Array(range) => in_range(text, &List::Json(range), run)?,
            _ => false,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a condition holds for an item, up to the first for which it does.
fn any<'a>(
    list: &List<'a>,
    run: &Run,
    mut holds: impl FnMut(&Value<'a>) -> Result<bool, Fail>,
) -> Result<bool, Fail> {
    for item in list.iter() {
        run.charge(item.steps())?;
        if holds(&item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a value lies in the range `[low, high]`, both included. Fails if a bound is
/// missing, or if one of the numbers that it compares is neither a number nor a string.
fn in_range(needle: &Value<'_>, range: &List<'_>, run: &Run) -> Result<bool, Fail> {
    let bound = |index| range.get(index).ok_or(Fail("a range needs two numbers"));
    let (low, high) = (bound(0)?, bound(1)?);
    run.charge(needle.steps() + low.steps() + high.steps())?;
    Ok(needle.to_number()? >= low.to_number()? && high.to_number()? >= needle.to_number()?)
}

/// Whether two values are equal without any conversion. Fails for two arrays or two
/// objects.
#[allow(clippy::float_cmp)]
fn identical(a: &Value<'_>, b: &Value<'_>) -> Result<bool, Fail> {
    Ok(match (a, b) {
        (Value::Null, Value::Null) | (Value::IntegerZero, Value::IntegerZero) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::List(_), Value::List(_)) | (Value::Object(_), Value::Object(_)) => {
            return Err(Fail("arrays and objects cannot be compared"));
        }
        _ => false,
    })
}

/// `merge`: one array of the items of all arguments that are arrays, and of the other
/// arguments themselves.
pub(crate) fn merge<'a>(args: Args<'_, 'a>, run: &Run) -> Evaluated<'a> {
    let items = match args {
        Args::Single(Value::Null | Value::Object(_)) => {
            return Err(Fail("expected an array"));
        }
        Args::Single(value) => std::slice::from_ref(value),
        Args::List(items) => items,
    };
    let mut merged = Vec::new();
    for item in items {
        match item {
            Value::List(list) => {
                run.charge(list.steps())?;
                merged.extend(list.iter());
            }
            item => merged.push(item.clone()),
        }
    }
    Ok(merged.into())
}

/// Whether a variable is null. Its name may itself be a rule, since flagd evaluates it
/// once more.
fn is_missing<'a>(name: &Value<'a>, data: &Value<'a>, run: &Run) -> Result<bool, Fail> {
    run.charge(1)?;
    Ok(eval::variable(&eval::eval_value(name, data, run)?, data, run)?.is_null())
}

/// `missing`: the names of those variables that are null or missing. A single name may be
/// written without an array.
pub(crate) fn missing<'a>(args: Args<'_, 'a>, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    let names = match args {
        Args::Single(name @ Value::Text(_)) => std::slice::from_ref(name),
        other => other.list()?,
    };
    let mut missing = Vec::new();
    for name in names {
        if is_missing(name, data, run)? {
            missing.push(name.clone());
        }
    }
    Ok(missing.into())
}

/// `missing_some`: an empty array if at least so many of the variables are present as the
/// first argument says, or else the names of those that are missing.
pub(crate) fn missing_some<'a>(args: Args<'_, 'a>, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    let items = args.list()?;
    let wanted = number::to_integer(argument(items, 0)?.to_number()?);
    let Value::List(names) = argument(items, 1)? else { return Err(Fail("expected an array")) };
    let mut missing = Vec::new();
    for name in names.iter() {
        if is_missing(&name, data, run)? {
            missing.push(name);
        }
    }
    let found = i64::try_from(names.len() - missing.len()).unwrap_or(i64::MAX);
    Ok(if wanted > found { missing.into() } else { Vec::new().into() })
}

/// The arguments of `contains_*`, if they are exactly two arrays.
fn two_lists<'v, 'a>(args: Args<'v, 'a>) -> Option<(&'v List<'a>, &'v List<'a>)> {
    match args {
        Args::List([Value::List(a), Value::List(b)]) => Some((a, b)),
        _ => None,
    }
}

/// Whether an array contains a value. Any two numbers are compared, the whole-number zero
/// too.
#[allow(clippy::float_cmp)]
fn contains(list: &List<'_>, wanted: &Value<'_>, run: &Run) -> Result<bool, Fail> {
    run.charge(list.len() / 4)?;
    any(list, run, |item| {
        let numbers = item.is_number() && wanted.is_number();
        Ok(identical(item, wanted)? || numbers && item.to_number()? == wanted.to_number()?)
    })
}

/// `contains_all`: whether the first array contains all items of the second. False unless
/// there are exactly two arrays.
pub(crate) fn contains_all<'a>(args: Args<'_, 'a>, run: &Run) -> Evaluated<'a> {
    let Some((list, wanted)) = two_lists(args) else { return Ok(Value::Bool(false)) };
    let lacks = any(wanted, run, |wanted| Ok(!contains(list, wanted, run)?))?;
    Ok(Value::Bool(!lacks))
}

/// `contains_any` if `positive`: whether the first array contains an item of the second.
/// Otherwise its opposite, `contains_none`. Unless there are exactly two arrays,
/// `contains_any` is false and `contains_none` true.
pub(crate) fn contains_any<'a>(args: Args<'_, 'a>, run: &Run, positive: bool) -> Evaluated<'a> {
    let Some((list, wanted)) = two_lists(args) else { return Ok(Value::Bool(!positive)) };
    let found = any(wanted, run, |wanted| contains(list, wanted, run))?;
    Ok(Value::Bool(found == positive))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::evaluator::rule::operators::testing::{assert_all, on};

    #[test]
    fn membership() {
        assert_all([
            (json!({"in": ["b", "abc"]}), "true"),
            (json!({"in": [5, ""]}), "fails"),
            (json!({"in": [5, ["5"]]}), "true"),
            (json!({"in": ["5", [5]]}), "false"),
            (json!({"in": [0, ["x"]]}), "true"),
            (json!({"in": [5, [null]]}), "fails"),
            (json!({"in": [5, [5, null]]}), "true"),
            (json!({"in": [null, [null]]}), "true"),
            (json!({"in": [5, [[1, 9]]]}), "true"),
            (json!({"in": ["5", [["1", 9]]]}), "true"),
            (json!({"in": [5, [[1]]]}), "fails"),
            (json!({"in": [true, [[1, 2]]]}), "fails"),
            (json!({"in": [[1], ["a"]]}), "false"),
            (json!({"in": [{}, [{}]]}), "fails"),
            (json!({"in": [{"-": []}, [0]]}), "false"),
            (json!({"in": [5, 5]}), "false"),
            (json!({"in": [5]}), "false"),
            (json!({"in": []}), "fails"),
            (json!({"in": "a"}), "fails"),
        ]);
    }

    /// A constant list of many strings is looked up, and one from the context gone through.
    #[test]
    fn membership_of_many_strings_is_as_of_few() {
        let mut list: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        list.extend(["", " 21 ", "1e2", "alice", "x", "NaN"].map(str::to_owned));
        let needles = json!(["5", "05", 5, 5.5, 21, 100, 0, "", "alice", "bob", null, true, false,
            [], ["5"], {}, {"a": 1}, {"-": []}, {"/": []}, {"var": "n"}, {"var": "none"},
            {"nope": 1}, {"+": [2, 3]}, {"cat": ["al", "ice"]}]);
        for needle in needles.as_array().unwrap() {
            let context = json!({"list": list, "n": "7"});
            let looked_up = on(&json!({"in": [needle, list]}), &context);
            let gone_through = on(&json!({"in": [needle, {"var": "list"}]}), &context);
            assert_eq!(looked_up, gone_through, "{needle}");
        }
    }

    #[test]
    fn merging() {
        assert_all([
            (json!({"merge": [[1], 2, [[3]]]}), "[1,2,[3]]"),
            (json!({"merge": 1}), "[1]"),
            (json!({"merge": []}), "[]"),
            (json!({"merge": null}), "fails"),
        ]);
    }

    #[test]
    fn what_is_missing() {
        let context = json!({"s": "x", "n": null, "r": {"cat": ["s"]}});
        for (rule, expected) in [
            (json!({"missing": ["s", "n", "m"]}), r#"["n","m"]"#),
            (json!({"missing": "m"}), r#"["m"]"#),
            (json!({"missing": [["s", "m"]]}), "[]"),
            (json!({"missing": [["m", 1]]}), "[]"),
            (json!({"missing": [1]}), "[1]"),
            (json!({"missing": [true]}), "fails"),
            (json!({"missing": 1}), "fails"),
            (json!({"missing": [{"var": "r"}]}), "[]"),
            (json!({"missing_some": [1, ["s", "m"]]}), "[]"),
            (json!({"missing_some": [2, ["s", "m"]]}), r#"["m"]"#),
            (json!({"missing_some": ["2", ["m", "n"]]}), r#"["m","n"]"#),
            (json!({"missing_some": [1, "m"]}), "fails"),
            (json!({"missing_some": [1]}), "fails"),
        ] {
            assert_eq!(on(&rule, &context), expected, "{rule}");
        }
    }

    #[test]
    fn containing() {
        assert_all([
            (json!({"contains_all": [[1, "a"], ["a", 1]]}), "true"),
            (json!({"contains_all": [[1], [1, 2]]}), "false"),
            (json!({"contains_all": [[1], []]}), "true"),
            (json!({"contains_all": [[1], 1]}), "false"),
            (json!({"contains_any": [[1], ["1", 1]]}), "true"),
            (json!({"contains_any": [[[1]], [[1]]]}), "fails"),
            (json!({"contains_none": [[1], ["1"]]}), "true"),
            (json!({"contains_none": 1}), "true"),
        ]);
    }
}
