//! The response for a scripted flag: flagd's own, from a value and a reason.

use prost_types::Struct;
use serde_json::{Value, json};
use tonic::Status;

use super::{Method, Version};
use crate::support::json::to_struct;

/// A flag and its response. `Flag::from(true)`, or `true.into()`, is static with variant "default".
#[derive(Clone, Debug, PartialEq)]
pub struct Flag {
    value: Option<Value>,
    variant: String,
    reason: String,
    metadata: Option<Value>,
}

impl<T: Into<Value>> From<T> for Flag {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl Flag {
    /// A flag with this value, static, with variant "default".
    pub fn new(value: impl Into<Value>) -> Self {
        Self {
            value: Some(value.into()),
            variant: "default".to_owned(),
            reason: "STATIC".to_owned(),
            metadata: None,
        }
    }

    /// A flag without a default variant: v1 does not find it, v2 returns no value.
    pub fn no_default() -> Self {
        Self { value: None, reason: "DEFAULT".to_owned(), ..Self::new(Value::Null) }
    }

    /// A disabled flag: v1 returns a zero value, v2 none.
    pub fn disabled() -> Self {
        Self { value: None, reason: "DISABLED".to_owned(), ..Self::new(Value::Null) }
    }

    #[must_use]
    pub fn variant(self, variant: &str) -> Self {
        Self { variant: variant.to_owned(), ..self }
    }

    #[must_use]
    pub fn reason(self, reason: &str) -> Self {
        Self { reason: reason.to_owned(), ..self }
    }

    /// Metadata, a JSON object.
    #[must_use]
    pub fn metadata(self, metadata: Value) -> Self {
        Self { metadata: Some(metadata), ..self }
    }
}

/// A response before it is converted to a message of one type and version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub value: Option<Value>,
    pub reason: String,
    pub variant: Option<String>,
    pub metadata: Option<Struct>,
}

/// flagd's response to a call for this flag, as measured on 0.16.1.
pub fn answer(flag: Option<&Flag>, version: Version, method: Method) -> Result<Answer, Status> {
    let not_found = || Status::not_found("Flag not found");
    let flag = flag.ok_or_else(not_found)?;
    let metadata = flag.metadata.as_ref().map(to_struct).unwrap_or_default();
    let answer =
        Answer { reason: flag.reason.clone(), metadata: Some(metadata), ..Answer::default() };
    match &flag.value {
        None if flag.reason != "DISABLED" && version == Version::V1 => Err(not_found()),
        None => Ok(answer),
        Some(value) => {
            let value = convert(value, method)
                .ok_or_else(|| Status::invalid_argument("Type mismatch error"))?;
            Ok(Answer { value: Some(value), variant: Some(flag.variant.clone()), ..answer })
        }
    }
}

/// The value as the requested type; int and float are one type.
#[allow(clippy::cast_possible_truncation)] // as flagd does it
fn convert(value: &Value, method: Method) -> Option<Value> {
    match method {
        Method::Boolean => value.as_bool().map(Value::from),
        Method::String => value.as_str().map(Value::from),
        Method::Float => value.as_f64().map(Value::from),
        Method::Int => {
            value.as_i64().or_else(|| value.as_f64().map(|value| value as i64)).map(Value::from)
        }
        Method::Object => value.is_object().then(|| value.clone()),
        Method::All | Method::EventStream => None,
    }
}

/// The flag's part of a response to v1's `ResolveAll`; None omits it.
pub fn any_answer(flag: &Flag, failure: Option<&Status>) -> Option<Answer> {
    let value = flag.value.as_ref()?;
    let value = match value {
        Value::Null | Value::Array(_) => return None,
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    };
    if failure.is_none() {
        return Some(Answer {
            value: Some(value),
            reason: flag.reason.clone(),
            variant: Some(flag.variant.clone()),
            metadata: flag.metadata.as_ref().map(to_struct),
        });
    }
    let zero = match value {
        Value::Bool(_) => json!(false),
        Value::String(_) => json!(""),
        Value::Number(_) => json!(0.0),
        _ => json!({}),
    };
    Some(Answer { value: Some(zero), reason: "ERROR".to_owned(), ..Answer::default() })
}
