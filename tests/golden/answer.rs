//! Comparison of answers.

use flagstaff::evaluator::ErrorCode;
use serde_json::{Value, json};

/// An answer without empty metadata, and under version 1 without what is absent on its wire: a `zero`
/// value, and an empty variant.
pub(crate) fn tidy(answer: &Value, zero: Option<&Value>) -> Value {
    let mut answer = answer.clone();
    if let Some(fields) = answer.as_object_mut().filter(|fields| !fields.contains_key("error")) {
        fields.retain(|name, value| match (name.as_str(), zero) {
            ("value", Some(zero)) => !same(value, zero),
            ("variant", Some(_)) => value != "",
            ("metadata", _) => !same(value, &json!({})),
            _ => true,
        });
    }
    answer
}

/// The name of the gRPC status for an error.
pub(crate) fn status(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::FlagNotFound => "NOT_FOUND",
        ErrorCode::ParseError => "DATA_LOSS",
        ErrorCode::TypeMismatch => "INVALID_ARGUMENT",
        _ => "UNKNOWN",
    }
}

/// Equality of JSON values, numbers by what they are worth.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}
