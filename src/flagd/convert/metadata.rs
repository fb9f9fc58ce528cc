//! Metadata of flags, from the wire to the SDK.
//!
//! On the wire it is an object of any shape. In the SDK, as in the
//! [specification], it is flat: strings, numbers and booleans.
//!
//! [specification]: https://openfeature.dev/specification/types/#flag-metadata

use open_feature::{FlagMetadata, FlagMetadataValue};

use crate::flagd::wire::value::{Object, Value};

/// 2^53. A protobuf number is an `f64`, which represents every whole number exactly
/// up to here, and down to the negative of it.
pub(crate) const MAX_EXACT_INT: u64 = 1 << 53;

/// The metadata for the SDK: `{"version": 3, "ratio": 0.5, "owner": {...}}` becomes
/// the integer `version` and the float `ratio`.
///
/// Objects, arrays, nulls and values without a kind are left out, because the SDK
/// cannot represent them. They are not an error: metadata must not make an
/// evaluation fail.
pub(crate) fn object_to_metadata(metadata: Object<'_>) -> FlagMetadata {
    let fields = metadata.0.into_iter();
    let values = fields.filter_map(|(name, value)| Some((name.to_owned(), to_metadata(&value)?)));
    FlagMetadata { values: values.collect() }
}

/// A value of the SDK's metadata; `None` if it is left out.
fn to_metadata(value: &Value<'_>) -> Option<FlagMetadataValue> {
    match value {
        Value::Bool(value) => Some(FlagMetadataValue::Bool(*value)),
        Value::Number(value) => Some(number(*value)),
        Value::Text(value) => Some(FlagMetadataValue::String((*value).to_owned())),
        Value::Null | Value::List(_) | Value::Object(_) => None,
    }
}

/// A number as an integer if it is whole and within ±2^53, otherwise as a float. The
/// wire does not distinguish the two, and -0.0 becomes 0.
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

    /// The SDK cannot represent them.
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
