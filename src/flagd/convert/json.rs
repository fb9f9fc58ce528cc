//! JSON, from a struct off the wire and as the SDK's.

use open_feature::{FlagMetadata, FlagMetadataValue, StructValue};
use prost_types::{Struct, Value, value::Kind};
use serde_json::{Map, Value as Json};

use super::metadata::number;

/// The JSON form of `object`; a number that JSON does not know, or a value of no kind, is null.
// Recursion needs no bound here: prost refuses to decode beyond 100 levels of messages.
pub(crate) fn struct_to_json(object: Struct) -> Map<String, Json> {
    object.fields.into_iter().map(|(name, value)| (name, to_json(value))).collect()
}

fn to_json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::from(value),
        Some(Kind::NumberValue(value)) => Json::from(value),
        Some(Kind::StringValue(value)) => Json::from(value),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(to_json).collect(),
        Some(Kind::StructValue(object)) => Json::Object(struct_to_json(object)),
    }
}

/// The SDK's form of `object`, as [`struct_to_value`](super::struct_to_value) gives it.
pub(crate) fn json_to_value(object: &Map<String, Json>) -> StructValue {
    let fields = object.iter();
    let fields = fields.filter_map(|(name, value)| Some((name.clone(), sdk_value(value)?)));
    StructValue { fields: fields.collect() }
}

fn sdk_value(value: &Json) -> Option<open_feature::Value> {
    match value {
        Json::Null => None,
        Json::Bool(value) => Some((*value).into()),
        Json::Number(value) => value.as_f64().map(Into::into),
        Json::String(value) => Some(value.as_str().into()),
        Json::Array(items) => {
            Some(open_feature::Value::Array(items.iter().filter_map(sdk_value).collect()))
        }
        Json::Object(fields) => Some(open_feature::Value::Struct(json_to_value(fields))),
    }
}

/// The SDK's form of metadata, as [`struct_to_metadata`](super::struct_to_metadata) gives it.
pub(crate) fn json_to_metadata(metadata: &Map<String, Json>) -> FlagMetadata {
    let value = |value: &Json| match value {
        Json::Bool(value) => Some(FlagMetadataValue::Bool(*value)),
        Json::Number(value) => value.as_f64().map(number),
        Json::String(value) => Some(FlagMetadataValue::String(value.clone())),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    };
    let values = metadata.iter().filter_map(|(name, json)| Some((name.clone(), value(json)?)));
    FlagMetadata { values: values.collect() }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_every_kind() {
        let fields = [
            ("inner".to_owned(), Kind::StructValue(Struct::default()).into()),
            ("kindless".to_owned(), Value { kind: None }),
            ("list".to_owned(), vec![true.into(), 1.5.into(), f64::NAN.into()].into()),
            ("null".to_owned(), Kind::NullValue(0).into()),
            ("text".to_owned(), "a".into()),
        ];
        let expected = json!({
            "inner": {}, "kindless": null, "list": [true, 1.5, null], "null": null, "text": "a",
        });
        assert_eq!(Json::Object(struct_to_json(Struct { fields: fields.into() })), expected);
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            "[a-c]{0,2}".prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
                collection::btree_map("[a-c]{0,2}", inner, 0..4)
                    .prop_map(|fields| Json::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// The same value as a server would send it.
    fn sent(value: &Json) -> Value {
        match value {
            Json::Null => Kind::NullValue(0).into(),
            Json::Bool(value) => (*value).into(),
            Json::Number(value) => value.as_f64().unwrap_or_default().into(),
            Json::String(value) => value.as_str().into(),
            Json::Array(items) => items.iter().map(sent).collect::<Vec<_>>().into(),
            Json::Object(fields) => Kind::StructValue(sent_object(fields)).into(),
        }
    }

    fn sent_object(fields: &Map<String, Json>) -> Struct {
        Struct { fields: fields.iter().map(|(name, value)| (name.clone(), sent(value))).collect() }
    }

    proptest! {
        /// The resolver must not change an answer.
        #[test]
        fn values_and_metadata_are_those_of_the_wire(
            fields in collection::btree_map("[a-c]{0,2}", json(), 0..4),
        ) {
            let object: Map<String, Json> = fields.into_iter().collect();
            let wire = sent_object(&object);
            prop_assert_eq!(json_to_value(&object), super::super::struct_to_value(wire.clone()));
            let metadata = super::super::struct_to_metadata(wire);
            prop_assert_eq!(json_to_metadata(&object).values, metadata.values);
        }
    }
}
