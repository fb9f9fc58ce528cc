//! A struct off the wire, as the SDK's value.

use open_feature::{StructValue, Value};
use prost_types::{Struct, value::Kind};

/// The SDK's form of `object`, nested objects and lists whole, every number a float, bit for bit.
///
/// The SDK has no null: a null, or a value of no kind, is left out of its object or list.
// Recursion needs no bound here: prost refuses to decode beyond 100 levels of messages.
pub(crate) fn struct_to_value(object: Struct) -> StructValue {
    let fields = object.fields.into_iter();
    StructValue {
        fields: fields.filter_map(|(name, value)| Some((name, to_value(value)?))).collect(),
    }
}

fn to_value(value: prost_types::Value) -> Option<Value> {
    match value.kind? {
        Kind::NullValue(_) => None,
        Kind::BoolValue(value) => Some(Value::Bool(value)),
        Kind::NumberValue(value) => Some(Value::Float(value)),
        Kind::StringValue(value) => Some(Value::String(value)),
        Kind::ListValue(list) => {
            Some(Value::Array(list.values.into_iter().filter_map(to_value).collect()))
        }
        Kind::StructValue(object) => Some(Value::Struct(struct_to_value(object))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(fields: impl IntoIterator<Item = (&'static str, prost_types::Value)>) -> Struct {
        Struct { fields: fields.into_iter().map(|(k, v)| (k.into(), v)).collect() }
    }

    const NULL: prost_types::Value = prost_types::Value { kind: Some(Kind::NullValue(0)) };
    const KINDLESS: prost_types::Value = prost_types::Value { kind: None };

    /// Section 6: "nested objects and lists are kept whole".
    #[test]
    fn nested_values_are_kept_whole() {
        let inner = object([("flag", true.into()), ("list", vec!["a".into()].into())]);
        let converted = struct_to_value(object([
            ("inner", Kind::StructValue(inner.clone()).into()),
            ("list", vec![Kind::StructValue(inner).into()].into()),
        ]));
        let inner = StructValue::default().with_field("flag", true).with_field("list", vec!["a"]);
        let expected = StructValue::default()
            .with_field("inner", inner.clone())
            .with_field("list", vec![inner]);
        assert_eq!(converted, expected);
    }

    /// Section 6: "leave the field out, and leave the element out of a list".
    #[test]
    fn null_and_kindless_are_left_out() {
        let inner = object([("null", NULL), ("none", KINDLESS), ("kept", "x".into())]);
        let converted = struct_to_value(object([
            ("null", NULL),
            ("none", KINDLESS),
            ("list", vec![NULL, "y".into(), KINDLESS].into()),
            ("inner", Kind::StructValue(inner).into()),
        ]));
        let expected = StructValue::default()
            .with_field("list", vec!["y"])
            .with_field("inner", StructValue::default().with_field("kept", "x"));
        assert_eq!(converted, expected);
    }

    proptest! {
        /// Section 6: "what the wire carries is given back exactly", and "numbers inside a
        /// struct are floats".
        #[test]
        fn numbers_come_back_bit_equal(number in any::<f64>()) {
            let converted = struct_to_value(object([("n", number.into())]));
            let Some(Value::Float(back)) = converted.fields.get("n") else {
                panic!("{converted:?}");
            };
            prop_assert_eq!(back.to_bits(), number.to_bits());
        }
    }
}
