//! The SDK's evaluation context, as the struct that flagd reads, and its fields as JSON.

use std::{any::Any, collections::BTreeMap, fmt};

use open_feature::{
    EvaluationContext, EvaluationContextFieldValue, EvaluationError, EvaluationErrorCode,
    StructValue, Value,
};
use prost_types::Struct;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{MAX_EXACT_INT, form::Form};

/// The name by which flagd's rules know the targeting key.
pub(super) const TARGETING_KEY: &str = "targetingKey";

/// How many objects and lists may lie within one another in a field.
// flagd 0.16 takes 3000. A server that refuses 100 levels of messages, as prost does, would take
// 32 objects (three messages each) or 48 lists (two).
const MAX_NESTING: usize = 64;

/// How many characters of a path an error shows.
const MAX_PATH_SHOWN: usize = 100;

type Converted<F> = Result<F, EvaluationError>;

/// The protobuf form of `context`, with the targeting key at the top level.
///
/// # Errors
///
/// `INVALID_CONTEXT`, naming the field: an int beyond ±2^53, a float that is not finite, a date
/// that RFC 3339 cannot express, a struct of an unknown type, or nesting beyond 64 levels.
pub(crate) fn context_to_struct(context: &EvaluationContext) -> Result<Struct, EvaluationError> {
    let key = context.targeting_key.as_deref();
    let custom = context.custom_fields.iter();
    let mut fields = custom
        .filter(|(name, _)| key.is_none() || *name != TARGETING_KEY)
        .map(|(name, value)| Ok((name.clone(), field(name, value)?)))
        .collect::<Result<BTreeMap<_, _>, EvaluationError>>()?;
    if let Some(key) = key {
        fields.insert(TARGETING_KEY.to_owned(), key.into());
    }
    Ok(Struct { fields })
}

/// A field in another form.
///
/// # Errors
///
/// As of [`context_to_struct`].
pub(super) fn field<F: Form>(name: &str, value: &EvaluationContextFieldValue) -> Converted<F> {
    let path = &Path::root(name);
    match value {
        EvaluationContextFieldValue::Bool(value) => Ok(F::boolean(*value)),
        EvaluationContextFieldValue::Int(value) => exact(*value, path).map(F::number),
        EvaluationContextFieldValue::Float(value) => finite(*value, path).map(F::number),
        EvaluationContextFieldValue::String(value) => Ok(F::text(value.clone())),
        EvaluationContextFieldValue::DateTime(value) => date_time(value, path).map(F::text),
        EvaluationContextFieldValue::Struct(value) => any_struct(value.as_ref(), path),
    }
}

/// The number of a field that is an int.
#[cfg(feature = "in-process")]
pub(super) fn int(name: &str, value: i64) -> Result<f64, EvaluationError> {
    exact(value, &Path::root(name))
}

/// The number of a field that is a float.
#[cfg(feature = "in-process")]
pub(super) fn float(name: &str, value: f64) -> Result<f64, EvaluationError> {
    finite(value, &Path::root(name))
}

/// A struct of the types that are known, since the SDK lets it be of any.
fn any_struct<F: Form>(value: &(dyn Any + Send + Sync), path: &Path<'_>) -> Converted<F> {
    if let Some(value) = value.downcast_ref::<StructValue>() {
        object(&value.fields, path, sdk)
    } else if let Some(value) = value.downcast_ref::<Value>() {
        sdk(value, path)
    } else if let Some(values) = value.downcast_ref::<Vec<Value>>() {
        list(values, path, sdk)
    } else if let Some(value) = value.downcast_ref::<serde_json::Value>() {
        json(value, path)
    } else if let Some(fields) = value.downcast_ref::<serde_json::Map<String, serde_json::Value>>()
    {
        object(fields, path, json)
    } else {
        Err(path.invalid(
            "is a struct of an unknown type; accepted are open_feature::StructValue, \
             open_feature::Value, Vec<open_feature::Value>, serde_json::Value and \
             serde_json::Map<String, serde_json::Value>",
        ))
    }
}

fn sdk<F: Form>(value: &Value, path: &Path<'_>) -> Converted<F> {
    match value {
        Value::Bool(value) => Ok(F::boolean(*value)),
        Value::Int(value) => exact(*value, path).map(F::number),
        Value::Float(value) => finite(*value, path).map(F::number),
        Value::String(value) => Ok(F::text(value.clone())),
        Value::Array(values) => list(values, path, sdk),
        Value::Struct(value) => object(&value.fields, path, sdk),
    }
}

fn json<F: Form>(value: &serde_json::Value, path: &Path<'_>) -> Converted<F> {
    match value {
        serde_json::Value::Null => Ok(F::null()),
        serde_json::Value::Bool(value) => Ok(F::boolean(*value)),
        serde_json::Value::Number(value) => json_number(value, path).map(F::number),
        serde_json::Value::String(value) => Ok(F::text(value.clone())),
        serde_json::Value::Array(values) => list(values, path, json),
        serde_json::Value::Object(fields) => object(fields, path, json),
    }
}

fn object<'v, F: Form, V: 'v>(
    fields: impl IntoIterator<Item = (&'v String, &'v V)>,
    path: &Path<'_>,
    convert: fn(&V, &Path<'_>) -> Converted<F>,
) -> Converted<F> {
    path.check_nesting()?;
    let fields = fields
        .into_iter()
        .map(|(name, value)| Ok((name.clone(), convert(value, &path.then(Step::Field(name)))?)))
        .collect::<Result<Vec<_>, EvaluationError>>()?;
    Ok(F::object(fields))
}

fn list<F: Form, V>(
    values: &[V],
    path: &Path<'_>,
    convert: fn(&V, &Path<'_>) -> Converted<F>,
) -> Converted<F> {
    path.check_nesting()?;
    let values = values
        .iter()
        .enumerate()
        .map(|(index, value)| convert(value, &path.then(Step::Element(index))))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(F::list(values))
}

#[expect(clippy::cast_precision_loss, reason = "exact: what is beyond 2^53 is refused before")]
fn exact(value: i64, path: &Path<'_>) -> Result<f64, EvaluationError> {
    if value.unsigned_abs() > MAX_EXACT_INT {
        return Err(path.too_big());
    }
    Ok(value as f64)
}

fn finite(value: f64, path: &Path<'_>) -> Result<f64, EvaluationError> {
    // Protobuf's JSON mapping has no such numbers, so flagd's rules could not read them.
    if !value.is_finite() {
        return Err(path.invalid(&format!("is {value}, and flagd takes finite numbers only")));
    }
    Ok(value)
}

fn json_number(value: &serde_json::Number, path: &Path<'_>) -> Result<f64, EvaluationError> {
    if let Some(value) = value.as_i64() {
        return exact(value, path);
    }
    // `as_f64` alone would round a u64, and any longer int under serde_json's arbitrary precision.
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(value) => finite(value, path),
        None => Err(path.too_big()),
    }
}

fn date_time(value: &OffsetDateTime, path: &Path<'_>) -> Result<String, EvaluationError> {
    value
        .format(&Rfc3339)
        .map_err(|e| path.invalid(&format!("is no date that RFC 3339 can express: {e}")))
}

/// Where a value lies in the context; it becomes text only in an error.
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
    /// How many objects and lists there are around the value, the context not counted.
    nesting: usize,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Element(usize),
}

impl<'a> Path<'a> {
    fn root(name: &'a str) -> Self {
        Path { parent: None, step: Step::Field(name), nesting: 0 }
    }

    fn then(&'a self, step: Step<'a>) -> Self {
        Path { parent: Some(self), step, nesting: self.nesting + 1 }
    }

    /// Whether another object or list may begin here: what bounds the recursion.
    fn check_nesting(&self) -> Result<(), EvaluationError> {
        if self.nesting < MAX_NESTING {
            return Ok(());
        }
        Err(self.invalid(&format!("is nested beyond {MAX_NESTING} levels")))
    }

    fn too_big(&self) -> EvaluationError {
        self.invalid("is a whole number beyond ±2^53, which flagd would round: pass it as text")
    }

    fn invalid(&self, what: &str) -> EvaluationError {
        let mut path = self.to_string();
        if let Some((end, _)) = path.char_indices().nth(MAX_PATH_SHOWN) {
            path.truncate(end);
            path.push_str("...");
        }
        EvaluationError {
            code: EvaluationErrorCode::InvalidContext,
            message: Some(format!("context field `{path}` {what}")),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Element(index) => write!(f, "[{index}]"),
            Step::Field(name) => {
                let dot = if self.parent.is_some() { "." } else { "" };
                write!(f, "{dot}{}", name.escape_debug())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests;
