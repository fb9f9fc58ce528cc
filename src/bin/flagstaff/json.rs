//! The SDK's values as JSON, and JSON as the SDK's evaluation context.
//!
//! The program reads and prints JSON; the provider takes and returns the SDK's types. The
//! conversions here lose nothing that a user wrote: a value that the SDK's types cannot
//! represent is passed through them as JSON, which the provider accepts.

use open_feature::{
    EvaluationContext, EvaluationContextFieldValue as Field, FlagMetadata, FlagMetadataValue,
};
use serde_json::{Map, Value as Json, json};

/// The value of a flag, with whole numbers printed as such, at any depth. flagd knows only
/// floats, and would have 10 printed as `10.0`.
pub(crate) fn plain(value: Json) -> Json {
    match value {
        Json::Number(value) if value.is_f64() => number(value.as_f64().unwrap_or_default()),
        Json::Array(items) => items.into_iter().map(plain).collect(),
        Json::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key, plain(value))).collect()
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value,
    }
}

/// The metadata of a flag as a JSON object.
pub(crate) fn from_metadata(metadata: FlagMetadata) -> Map<String, Json> {
    let value = |value| match value {
        FlagMetadataValue::Bool(value) => json!(value),
        FlagMetadataValue::Int(value) => json!(value),
        FlagMetadataValue::Float(value) => json!(value),
        FlagMetadataValue::String(value) => json!(value),
    };
    metadata.values.into_iter().map(|(name, field)| (name, value(field))).collect()
}

/// A number as JSON: an integer if it is whole and at most 2^53, beyond which floats skip
/// integers and the digits would claim to be exact. Otherwise a float.
pub(crate) fn number(value: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole, and within the range of exact floats"
    )]
    let whole = value as i64;
    if value.fract() == 0.0 && value.abs() <= EXACT { json!(whole) } else { json!(value) }
}

/// The evaluation context with these fields. A string `targetingKey` becomes the SDK's
/// targeting key.
pub(crate) fn to_context(fields: Map<String, Json>) -> EvaluationContext {
    let mut context = EvaluationContext::default();
    for (name, value) in fields {
        context = match value {
            Json::String(key) if name == "targetingKey" => context.with_targeting_key(key),
            value => context.with_custom_field(name, to_field(value)),
        };
    }
    context
}

/// A field of the evaluation context. Nulls, arrays, objects and integers beyond `i64` are
/// passed as JSON.
fn to_field(value: Json) -> Field {
    match value {
        Json::Bool(value) => Field::Bool(value),
        Json::String(value) => Field::String(value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Field::Int(value),
            (None, Some(value)) if number.is_f64() => Field::Float(value),
            _ => Field::new_struct(Json::Number(number)),
        },
        value => Field::new_struct(value),
    }
}
