//! The SDK's values as JSON and back.

use open_feature::{
    EvaluationContext, EvaluationContextFieldValue as Field, FlagMetadata, FlagMetadataValue,
};
use serde_json::{Map, Value as Json, json};

/// The value of a flag, with whole numbers shown so: flagd sends all numbers as floats.
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

pub(crate) fn from_metadata(metadata: FlagMetadata) -> Map<String, Json> {
    let value = |value| match value {
        FlagMetadataValue::Bool(value) => json!(value),
        FlagMetadataValue::Int(value) => json!(value),
        FlagMetadataValue::Float(value) => json!(value),
        FlagMetadataValue::String(value) => json!(value),
    };
    metadata.values.into_iter().map(|(name, field)| (name, value(field))).collect()
}

/// Whole numbers without a fraction, as far as floats count exactly.
pub(crate) fn number(value: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole, and within the range of exact floats"
    )]
    let whole = value as i64;
    if value.fract() == 0.0 && value.abs() <= EXACT { json!(whole) } else { json!(value) }
}

/// The evaluation context with these fields.
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
