//! Comparison of responses.

use flagstaff::evaluator::ErrorCode;
use serde_json::{Value, json};

pub(crate) use crate::support::json::same;

/// A response without empty metadata, and under version 1 without what is absent on the wire: a
/// `zero` value, and an empty variant.
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
