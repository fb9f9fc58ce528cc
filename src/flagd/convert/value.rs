//! An object off the wire, as the SDK's value.

use std::collections::HashMap;

use open_feature::StructValue;

use super::path::{Path, Step};
use crate::flagd::wire::value::{Object, Value};

/// A list holds a null, which the SDK cannot: were it left out, the items after it would move up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NullInList {
    /// Where in the object it is, such as `$.list[2]`.
    pub(crate) path: String,
}

/// The SDK's form of `object`, nested objects and lists whole, every number a float, bit for bit.
///
/// The SDK has no null: a field that is null, or of no kind, is left out of its object.
// Recursion needs no bound here: an object is read to 100 levels of messages at most.
pub(crate) fn object_to_value(object: Object<'_>) -> Result<StructValue, NullInList> {
    fields(object, &Path::root("$"))
}

fn fields(object: Object<'_>, path: &Path<'_>) -> Result<StructValue, NullInList> {
    let mut fields = HashMap::with_capacity(object.0.len());
    for (name, value) in object.0 {
        if let Some(value) = to_value(value, &path.then(Step::Field(name)))? {
            fields.insert(name.to_owned(), value);
        }
    }
    Ok(StructValue { fields })
}

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

    /// Section 6: "nested objects and lists are kept whole".
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

    /// Section 6: "leave the field out".
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

    /// Section 6: "in a list it must not shift the others: an error".
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
        /// Section 6: "what the wire carries is given back exactly", and "numbers inside a
        /// struct are floats".
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
