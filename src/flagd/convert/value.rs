//! The value of an object flag, from the wire to the SDK.
//!
//! ```text
//! {"size": 3, "unit": null, "list": [1, "a"]}
//!     -> StructValue { "size": Float(3.0), "list": Array([Float(1.0), String("a")]) }
//! {"list": [1, null]}
//!     -> NullInList { path: "$.list[1]" }
//! ```
//!
//! See "Null" in `docs/resolvers.md`.

use std::collections::HashMap;

use open_feature::StructValue;

use super::path::{Path, Step};
use crate::flagd::wire::value::{Object, Value};

/// An array contains null, which the SDK cannot represent. Leaving it out would
/// shift the items after it, so it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NullInList {
    /// The path of the null in the object, such as `$.list[2]`, as messages show it.
    pub(crate) path: String,
}

/// The object as a value of the SDK. Nested objects and arrays are kept whole, and
/// every number is a float with the same bits.
///
/// A field that is null, or has no kind, is left out of its object.
///
/// # Errors
///
/// An array contains null, at any depth.
// The recursion needs no bound: an object that was read has at most 100 levels of messages.
pub(crate) fn object_to_value(object: Object<'_>) -> Result<StructValue, NullInList> {
    fields(object, &Path::root("$"))
}

/// The fields that are not null. `path` is that of the object.
fn fields(object: Object<'_>, path: &Path<'_>) -> Result<StructValue, NullInList> {
    let mut fields = HashMap::with_capacity(object.0.len());
    for (name, value) in object.0 {
        if let Some(value) = to_value(value, &path.then(Step::Field(name)))? {
            fields.insert(name.to_owned(), value);
        }
    }
    Ok(StructValue { fields })
}

/// A value of the SDK; `None` for null.
fn to_value(value: Value<'_>, path: &Path<'_>) -> Result<Option<open_feature::Value>, NullInList> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(value) => value.into(),
        Value::Number(value) => value.into(),
        Value::Text(value) => value.into(),
        Value::List(items) => {
            let items = items.into_iter().enumerate();
            let items = items.map(|(index, item)| {
                let path = path.then(Step::Element(index));
                to_value(item, &path)?.ok_or_else(|| NullInList { path: path.shown() })
            });
            open_feature::Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(object) => open_feature::Value::Struct(fields(object, path)?),
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use open_feature::Value;
    use proptest::prelude::*;
    use prost_types::{Struct, value::Kind};

    use super::*;

    fn object(fields: impl IntoIterator<Item = (&'static str, prost_types::Value)>) -> Struct {
        Struct { fields: fields.into_iter().map(|(k, v)| (k.into(), v)).collect() }
    }

    fn converted(object: &Struct) -> Result<StructValue, NullInList> {
        object_to_value(object.into())
    }

    const NULL: prost_types::Value = prost_types::Value { kind: Some(Kind::NullValue(0)) };
    const KINDLESS: prost_types::Value = prost_types::Value { kind: None };

    #[test]
    fn nested_values_are_kept_whole() {
        let inner = object([("flag", true.into()), ("list", vec!["a".into()].into())]);
        let converted = converted(&object([
            ("inner", Kind::StructValue(inner.clone()).into()),
            ("list", vec![Kind::StructValue(inner).into()].into()),
        ]));
        let inner = StructValue::default().with_field("flag", true).with_field("list", vec!["a"]);
        let expected = StructValue::default()
            .with_field("inner", inner.clone())
            .with_field("list", vec![inner]);
        assert_eq!(converted, Ok(expected));
    }

    /// `docs/resolvers.md`, "Null": "A field of an object that is null is left out."
    #[test]
    fn a_field_that_is_null_or_kindless_is_left_out() {
        let inner = object([("null", NULL), ("none", KINDLESS), ("kept", "x".into())]);
        let converted = converted(&object([
            ("null", NULL),
            ("none", KINDLESS),
            ("list", vec!["y".into(), Kind::StructValue(inner.clone()).into()].into()),
            ("inner", Kind::StructValue(inner).into()),
        ]));
        let inner = StructValue::default().with_field("kept", "x");
        let list = vec![Value::from("y"), inner.clone().into()];
        let expected = StructValue::default().with_field("list", list).with_field("inner", inner);
        assert_eq!(converted, Ok(expected));
    }

    /// `docs/resolvers.md`, "Null": "An array that contains null is a `PARSE_ERROR` that names the
    /// place".
    #[test]
    fn a_null_in_a_list_is_an_error_that_says_where() {
        let list = |items: Vec<prost_types::Value>| prost_types::Value::from(items);
        let inner = object([("a", list(vec![true.into(), NULL]))]);
        for (value, path) in [
            (list(vec!["x".into(), "y".into(), NULL]), "$.list[2]"),
            (list(vec![KINDLESS, "y".into()]), "$.list[0]"),
            (list(vec![NULL]), "$.list[0]"),
            (list(vec![list(vec![]), list(vec![list(vec![NULL])])]), "$.list[1][0][0]"),
            (list(vec![Kind::StructValue(inner.clone()).into()]), "$.list[0].a[1]"),
            (Kind::StructValue(inner).into(), "$.list.a[1]"),
        ] {
            let converted = converted(&object([("list", value), ("other", NULL)]));
            assert_eq!(converted, Err(NullInList { path: path.to_owned() }));
        }
    }

    proptest! {
        /// `docs/resolvers.md`, "Null": "Numbers inside an object are floats with every resolver."
        #[test]
        fn numbers_come_back_bit_equal(number in any::<f64>()) {
            let converted = converted(&object([("n", number.into())])).unwrap();
            let Some(Value::Float(back)) = converted.fields.get("n") else {
                panic!("{converted:?}");
            };
            prop_assert_eq!(back.to_bits(), number.to_bits());
        }
    }
}
