//! JSON: from objects that were received, and to values of the SDK.
//!
//! There are two sources, which give the same: [`Object`], which borrows from a
//! response, and prost's `Struct`, which the sync stream has. For evaluation in
//! this process, JSON is also converted to the SDK's values and metadata. A
//! property test compares that with what the resolver `rpc` makes of the same
//! value: a result must not depend on the resolver.
//!
//! ```text
//! rpc:         protobuf ──────────────────────> StructValue, FlagMetadata
//! in-process:  JSON of the definition ────────> StructValue, FlagMetadata
//! resolve_json: protobuf ──> JSON, or the JSON of the definition
//! ```

#[cfg(feature = "in-process")]
use open_feature::{FlagMetadata, FlagMetadataValue, StructValue};
#[cfg(feature = "in-process")]
use prost_types::{Struct, value::Kind};
use serde_json::{Map, Value as Json};

#[cfg(feature = "in-process")]
use super::{
    metadata::number,
    path::{Path, Step},
    value::NullInList,
};
use crate::flagd::wire::value::{Object, Value};

/// The object as JSON. NaN and the infinities, which JSON does not have, become
/// null, as does a value without a kind.
// The recursion needs no bound: an object that was read has at most 100 levels of messages.
pub(crate) fn object_to_json(object: Object<'_>) -> Map<String, Json> {
    object.0.into_iter().map(|(name, value)| (name.to_owned(), to_json(value))).collect()
}

/// A value as JSON.
fn to_json(value: Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::from(value),
        Value::Number(value) => Json::from(value),
        Value::Text(value) => Json::from(value),
        Value::List(items) => items.into_iter().map(to_json).collect(),
        Value::Object(object) => Json::Object(object_to_json(object)),
    }
}

/// Like [`object_to_json`], for a message that prost has read, which has the same
/// bound of its depth.
#[cfg(feature = "in-process")]
pub(crate) fn struct_to_json(object: Struct) -> Map<String, Json> {
    object.fields.into_iter().map(|(name, value)| (name, kind_to_json(value.kind))).collect()
}

/// A value as JSON; null if it has no kind.
#[cfg(feature = "in-process")]
fn kind_to_json(kind: Option<Kind>) -> Json {
    match kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::from(value),
        Some(Kind::NumberValue(value)) => Json::from(value),
        Some(Kind::StringValue(value)) => Json::from(value),
        Some(Kind::ListValue(list)) => {
            list.values.into_iter().map(|value| kind_to_json(value.kind)).collect()
        }
        Some(Kind::StructValue(object)) => Json::Object(struct_to_json(object)),
    }
}

/// The object as a value of the SDK, the same that
/// [`object_to_value`](super::object_to_value) makes of it: numbers are floats,
/// fields that are null are left out.
///
/// # Errors
///
/// An array contains null.
#[cfg(feature = "in-process")]
pub(crate) fn json_to_value(object: &Map<String, Json>) -> Result<StructValue, NullInList> {
    fields(object, &Path::root("$"))
}

/// The fields that are not null. `path` is that of the object.
#[cfg(feature = "in-process")]
fn fields(object: &Map<String, Json>, path: &Path<'_>) -> Result<StructValue, NullInList> {
    let mut made = StructValue::default();
    for (name, value) in object {
        if let Some(value) = sdk_value(value, &path.then(Step::Field(name)))? {
            made.fields.insert(name.clone(), value);
        }
    }
    Ok(made)
}

/// A value of the SDK; `None` for null.
#[cfg(feature = "in-process")]
fn sdk_value(value: &Json, path: &Path<'_>) -> Result<Option<open_feature::Value>, NullInList> {
    Ok(match value {
        Json::Null => None,
        Json::Bool(value) => Some((*value).into()),
        Json::Number(value) => value.as_f64().map(Into::into),
        Json::String(value) => Some(value.as_str().into()),
        Json::Array(items) => {
            let items = items.iter().enumerate().map(|(index, item)| {
                let path = path.then(Step::Element(index));
                sdk_value(item, &path)?.ok_or_else(|| NullInList { path: path.shown() })
            });
            Some(open_feature::Value::Array(items.collect::<Result<_, _>>()?))
        }
        Json::Object(object) => Some(open_feature::Value::Struct(fields(object, path)?)),
    })
}

/// Metadata of the SDK, the same that
/// [`object_to_metadata`](super::object_to_metadata) makes of it.
#[cfg(feature = "in-process")]
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

#[cfg(all(test, feature = "in-process"))]
mod tests {
    use proptest::{collection, prelude::*};
    use serde_json::json;

    use prost_types::Value;

    use super::*;
    use crate::flagd::convert::{metadata::object_to_metadata, value::object_to_value};

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

    /// The value as a server would send it.
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
        /// A result must not depend on the resolver.
        #[test]
        fn values_and_metadata_are_those_of_the_wire(
            fields in collection::btree_map("[a-c]{0,2}", json(), 0..4),
        ) {
            let object: Map<String, Json> = fields.into_iter().collect();
            let wire = sent_object(&object);
            prop_assert_eq!(object_to_json((&wire).into()), struct_to_json(wire.clone()));
            prop_assert_eq!(json_to_value(&object), object_to_value((&wire).into()));
            let metadata = object_to_metadata((&wire).into());
            prop_assert_eq!(json_to_metadata(&object).values, metadata.values);
        }
    }
}
