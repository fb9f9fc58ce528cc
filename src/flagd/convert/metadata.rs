//! Metadata off the wire, as the SDK's.

use open_feature::{FlagMetadata, FlagMetadataValue};

use crate::flagd::wire::value::{Object, Value};

/// 2^53: up to here, either way, a protobuf number (an `f64`) holds every whole number.
pub(crate) const MAX_EXACT_INT: u64 = 1 << 53;

/// The SDK's form of `metadata`: a number that is whole and within ±2^53 is an int.
///
/// The SDK's metadata is flat and has no null: nested values, nulls and values of no kind are
/// left out.
pub(crate) fn object_to_metadata(metadata: Object<'_>) -> FlagMetadata {
    let fields = metadata.0.into_iter();
    let values = fields.filter_map(|(name, value)| Some((name.to_owned(), to_metadata(&value)?)));
    FlagMetadata { values: values.collect() }
}

fn to_metadata(value: &Value<'_>) -> Option<FlagMetadataValue> {
    match value {
        Value::Bool(value) => Some(FlagMetadataValue::Bool(*value)),
        Value::Number(value) => Some(number(*value)),
        Value::Text(value) => Some(FlagMetadataValue::String((*value).to_owned())),
        Value::Null | Value::List(_) | Value::Object(_) => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "both casts are exact: 2^53 is a float, and what is cast back is whole and within it"
)]
pub(crate) fn number(value: f64) -> FlagMetadataValue {
    if value.fract() == 0.0 && value.abs() <= MAX_EXACT_INT as f64 {
        FlagMetadataValue::Int(value as i64)
    } else {
        FlagMetadataValue::Float(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost_types::{Struct, Value, value::Kind};

    use super::*;

    const MAX: i64 = 1 << 53;

    fn converted(value: impl Into<Value>) -> Option<FlagMetadataValue> {
        let metadata = Struct { fields: [("key".to_owned(), value.into())].into() };
        let mut metadata = object_to_metadata((&metadata).into());
        metadata.values.remove("key")
    }

    #[test]
    fn bools_and_strings_are_kept() {
        assert_eq!(converted(true), Some(FlagMetadataValue::Bool(true)));
        let text = FlagMetadataValue::String("7".into());
        assert_eq!(converted("7"), Some(text));
    }

    /// Section 6: "whole numbers in metadata are ints, others floats".
    #[test]
    fn whole_numbers_are_ints() {
        let limit = 9_007_199_254_740_992.0;
        assert_eq!(converted(limit), Some(FlagMetadataValue::Int(MAX)));
        assert_eq!(converted(-limit), Some(FlagMetadataValue::Int(-MAX)));
        assert_eq!(converted(-0.0), Some(FlagMetadataValue::Int(0)));
        for float in [0.5, limit + 2.0, -limit - 2.0, f64::MAX, f64::INFINITY] {
            assert_eq!(converted(float), Some(FlagMetadataValue::Float(float)));
        }
        let nan = converted(f64::NAN);
        assert!(matches!(nan, Some(FlagMetadataValue::Float(n)) if n.is_nan()));
    }

    /// Section 6: "nested metadata is left out"; so is what has no value.
    #[test]
    fn nested_null_and_kindless_are_left_out() {
        assert_eq!(converted(Kind::StructValue(Struct::default())), None);
        assert_eq!(converted(vec![true.into()]), None);
        assert_eq!(converted(Kind::NullValue(0)), None);
        assert_eq!(converted(Value { kind: None }), None);
    }

    proptest! {
        #[test]
        fn every_exact_int_comes_back(int in -MAX..=MAX) {
            #[expect(clippy::cast_precision_loss, reason = "exact within 2^53")]
            let number = int as f64;
            prop_assert_eq!(converted(number), Some(FlagMetadataValue::Int(int)));
        }
    }
}
