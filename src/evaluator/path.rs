//! Names of variables: `user.roles.0`.

use std::sync::Arc;

use serde_json::Number;

use super::{number, value::Value};

/// The name of a variable, split beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path(Arc<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Part {
    name: Box<str>,
    index: Option<usize>,
}

impl Path {
    pub(super) fn new(name: &str) -> Self {
        let parts = name.split('.').filter(|part| !part.is_empty());
        Self(parts.map(|name| Part { name: name.into(), index: index(name) }).collect())
    }

    /// A number as a name: 1.5 is the field `5` of the field `1`.
    pub(super) fn of_number(name: &Number) -> Self {
        Self::new(&number::plain(name.as_f64().unwrap_or(f64::NAN)))
    }

    /// What the variable holds; null where there is none.
    pub(super) fn read<'a>(&self, data: &Value<'a>) -> Value<'a> {
        let mut parts = self.0.iter();
        let Some(first) = parts.next() else { return data.clone() };
        let mut value = first.of(data);
        for part in parts {
            value = part.of(&value);
        }
        value
    }
}

impl Part {
    fn of<'a>(&self, value: &Value<'a>) -> Value<'a> {
        step(value, &self.name, || self.index)
    }
}

/// What the variable of a computed name holds; null where there is none.
pub(super) fn read<'a>(name: &str, data: &Value<'a>) -> Value<'a> {
    let parts = name.split('.').filter(|part| !part.is_empty());
    parts.fold(data.clone(), |value, part| step(&value, part, || index(part)))
}

fn step<'a>(value: &Value<'a>, name: &str, index: impl Fn() -> Option<usize>) -> Value<'a> {
    match value {
        Value::Object(object) => object.get(name),
        Value::List(list) => index().and_then(|index| list.get(index)),
        _ => None,
    }
    .unwrap_or(Value::Null)
}

/// A name as the index of a list: one that is no number is 0.
fn index(name: &str) -> Option<usize> {
    usize::try_from(number::to_integer(number::parse(name).unwrap_or(0.0))).ok()
}

/// Whether a value is neither list nor object.
pub(super) fn is_scalar(value: &Value<'_>) -> bool {
    !matches!(value, Value::List(_) | Value::Object(_))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_both(name: &str) -> String {
        let data = json!({"o": {"p": [10, {"x": "y"}], "": 1}, "n": null, "1": {"5": "half"}});
        let data = Value::from(&data);
        let mut texts = [Path::new(name).read(&data), super::read(name, &data)].map(|value| {
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
