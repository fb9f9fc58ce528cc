//! What is read from bodies of JSON, as freely as the original does.

use serde_json::Value;

/// The text of a field. What is missing, null or no text counts as not there.
pub(super) fn text<'a>(body: &'a Value, field: &str) -> Option<&'a str> {
    body.get(field).and_then(Value::as_str)
}
