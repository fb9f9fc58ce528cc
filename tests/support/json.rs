//! JSON to protobuf's `Struct` and back.

use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::{Map, Value as Json, json};

/// This string becomes a `Value` without a kind, which JSON cannot express and a server may send.
pub const KINDLESS: &str = "\0a value of no kind";

/// The JSON object as a `Struct`; panics on anything else.
pub fn to_struct(json: &Json) -> Struct {
    let object = json.as_object().unwrap_or_else(|| panic!("not an object: {json}"));
    Struct { fields: object.iter().map(|(key, value)| (key.clone(), to_value(value))).collect() }
}

fn to_value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(value) => Kind::NumberValue(value.as_f64().unwrap()),
        Json::String(value) if value == KINDLESS => return Value { kind: None },
        Json::String(value) => Kind::StringValue(value.clone()),
        Json::Array(values) => {
            Kind::ListValue(ListValue { values: values.iter().map(to_value).collect() })
        }
        Json::Object(_) => Kind::StructValue(to_struct(json)),
    };
    Value { kind: Some(kind) }
}

/// The `Struct` as a JSON object; whole numbers are integers, so that `json!` literals compare.
pub fn from_struct(value: &Struct) -> Json {
    let field = |(key, value): (&String, &Value)| (key.clone(), from_value(value));
    Json::Object(value.fields.iter().map(field).collect::<Map<_, _>>())
}

fn from_value(value: &Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => json!(value),
        Some(Kind::NumberValue(value)) => from_number(*value),
        Some(Kind::StringValue(value)) => json!(value),
        Some(Kind::ListValue(list)) => Json::Array(list.values.iter().map(from_value).collect()),
        Some(Kind::StructValue(value)) => from_struct(value),
    }
}

fn from_number(value: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation)] // within the range where f64 is exact
    let whole = value as i64;
    if value.fract() == 0.0 && value.abs() <= EXACT { json!(whole) } else { json!(value) }
}

/// Equality of JSON values; numbers are compared by value.
pub fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}
