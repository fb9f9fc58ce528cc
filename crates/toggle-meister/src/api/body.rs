//! What is read from bodies of JSON, as freely as the original does.

use serde_json::Value;
use service::problem::Problem;

/// The text of a field. What is missing, null or no text counts as not there.
pub(super) fn text<'a>(body: &'a Value, field: &str) -> Option<&'a str> {
    body.get(field).and_then(Value::as_str)
}

/// The trimmed text of a field that may be cleared: blank, null and missing count alike.
pub(super) fn filled<'a>(body: &'a Value, field: &str) -> Result<Option<&'a str>, Problem> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|it| !it.is_empty())),
        Some(_) => Err(Problem::invalid(format!("{field} must be a string or null"))),
    }
}
