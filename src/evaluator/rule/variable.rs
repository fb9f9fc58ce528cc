//! Reads variables from the context, or from the item of an array.
//!
//! A name is a path through objects and arrays: `user.roles.0`. Its parts are
//! separated by dots, and empty parts are skipped, so `a`, `a.` and `.a` are the
//! same, and a field whose name contains a dot cannot be named. In an array, a
//! part is an index counted from 0, and one that is not a number is index 0, as in
//! flagd.
//!
//! Whatever is missing on the way is null, and so is a part of a scalar.

use crate::evaluator::value::{
    Value,
    path::{self, Path},
};

/// The value of a variable, or null. The empty path is all of `data`.
pub(crate) fn read<'a>(path: &Path, data: &Value<'a>) -> Value<'a> {
    let mut parts = path.0.iter();
    let Some(first) = parts.next() else { return data.clone() };
    let mut value = step(data, &first.name, || first.index);
    for part in parts {
        value = step(&value, &part.name, || part.index);
    }
    value
}

/// The value of a variable whose name is not split yet, as [`read`] returns it.
pub(crate) fn read_named<'a>(name: &str, data: &Value<'a>) -> Value<'a> {
    let parts = name.split('.').filter(|part| !part.is_empty());
    parts.fold(data.clone(), |value, part| step(&value, part, || path::index(part)))
}

/// One part of a path. The index is computed only for an array.
fn step<'a>(value: &Value<'a>, name: &str, index: impl Fn() -> Option<usize>) -> Value<'a> {
    match value {
        Value::Object(object) => object.get(name),
        Value::List(list) => index().and_then(|index| list.get(index)),
        _ => None,
    }
    .unwrap_or(Value::Null)
}

/// Whether a value is neither an array nor an object, so that it cannot be read as
/// a rule, nor contain one.
pub(crate) fn is_scalar(value: &Value<'_>) -> bool {
    !matches!(value, Value::List(_) | Value::Object(_))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_both(name: &str) -> String {
        let data = json!({"o": {"p": [10, {"x": "y"}], "": 1}, "n": null, "1": {"5": "half"}});
        let data = Value::from(&data);
        let mut texts = [read(&Path::new(name), &data), read_named(name, &data)].map(|value| {
            let mut text = String::new();
            value.write_json(&mut text).unwrap();
            text
        });
        assert_eq!(texts[0], texts[1], "{name}");
        std::mem::take(&mut texts[0])
    }

    #[test]
    fn paths_go_through_objects_and_lists() {
        assert_eq!(read_both("o.p.1.x"), r#""y""#);
        assert_eq!(read_both("1.5"), r#""half""#);
        assert_eq!(read_both("n.x"), "null");
        assert_eq!(read_both("nope"), "null");
    }

    #[test]
    fn empty_parts_are_skipped() {
        assert_eq!(read_both("..o..p.0."), "10");
    }

    #[test]
    fn an_index_is_any_number() {
        assert_eq!(read_both("o.p.abc"), "10");
        assert_eq!(read_both("o.p.-0"), "10");
        assert_eq!(read_both("o.p.1e0.x"), r#""y""#);
        assert_eq!(read_both("o.p.-1"), "null");
        assert_eq!(read_both("o.p.2"), "null");
        assert_eq!(read_both("o.p.NaN"), "null");
    }
}
