//! The SDK's evaluation context, as the request that flagd reads, and its fields as JSON.

use std::any::Any;

use open_feature::{
    EvaluationContext, EvaluationContextFieldValue, EvaluationError, EvaluationErrorCode,
    StructValue, Value,
};
use prost::bytes::Bytes;
use serde_json::{Map, Value as Json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    form::Form,
    metadata::MAX_EXACT_INT,
    path::{Path, Step},
};
use crate::{context_source::TARGETING_KEY, flagd::wire::writer::Writer};

/// How many objects and lists may lie within one another in a field.
// flagd 0.16 takes 3000. A server that refuses 100 levels of messages, as prost does, would take
// 32 objects (three messages each) or 48 lists (two).
const MAX_NESTING: usize = 64;

/// The length of what precedes a message of gRPC.
const HEAD: usize = 5;

type Converted<T = ()> = Result<T, EvaluationError>;

/// A call's message as gRPC frames it: a byte that says that it is not compressed, and its length.
/// All five requests have the same fields with the same numbers.
///
/// The targeting key is a field of the context.
///
/// # Errors
///
/// `INVALID_CONTEXT`, naming the field: an int beyond ±2^53, a float that is not finite, a date
/// that RFC 3339 cannot express, a struct of an unknown type, or nesting beyond 64 levels.
///
/// `added` are the fields of a [`ContextSource`](crate::ContextSource).
pub(crate) fn request(
    flag_key: &str,
    context: &EvaluationContext,
    added: Option<&Map<String, Json>>,
) -> Converted<Bytes> {
    let mut out = Writer::with_capacity(expected_len(flag_key, context));
    out.raw(&[0; HEAD]);
    if !flag_key.is_empty() {
        out.text(1, flag_key);
    }
    out.message(2, |out| fields(context, added, out))?;
    let mut frame = out.into_bytes();
    let len = u32::try_from(frame.len() - HEAD)
        .map_err(|_| invalid("the context is longer than 4 GiB".to_owned()))?;
    frame[1..HEAD].copy_from_slice(&len.to_be_bytes());
    Ok(frame.into())
}

/// Enough for a context without structs, so that it is written without another allocation.
fn expected_len(flag_key: &str, context: &EvaluationContext) -> usize {
    // Keys and lengths, of four messages at most, and a number.
    const OTHERS: usize = 32;
    let text = |value: &EvaluationContextFieldValue| match value {
        EvaluationContextFieldValue::String(text) => text.len(),
        _ => 0,
    };
    let fields = context.custom_fields.iter();
    let fields = fields.map(|(name, value)| OTHERS + name.len() + text(value)).sum::<usize>();
    let key = context.targeting_key.as_ref().map_or(0, |key| OTHERS + key.len());
    HEAD + OTHERS + flag_key.len() + fields + key
}

/// The context as the content of a `google.protobuf.Struct`.
fn fields(
    context: &EvaluationContext,
    added: Option<&Map<String, Json>>,
    out: &mut Writer,
) -> Converted {
    let key = context.targeting_key.as_deref();
    let added = || added.into_iter().flatten().filter(|(name, _)| *name != TARGETING_KEY);
    let is_hidden = |name: &String| added().any(|(other, _)| other == name);
    for (name, value) in &context.custom_fields {
        if (key.is_none() || name != TARGETING_KEY) && !is_hidden(name) {
            out.entry(1, name, |out| field(name, value, out))?;
        }
    }
    for (name, value) in added() {
        out.entry(1, name, |out| json(value, &Path::root(name), out))?;
    }
    match key {
        Some(key) => out.entry(1, TARGETING_KEY, |out| {
            Form::text(out, key);
            Ok(())
        }),
        None => Ok(()),
    }
}

/// A field in another form.
///
/// # Errors
///
/// As of [`request`].
pub(crate) fn field(
    name: &str,
    value: &EvaluationContextFieldValue,
    out: &mut impl Form,
) -> Converted {
    let path = &Path::root(name);
    match value {
        EvaluationContextFieldValue::Bool(value) => out.boolean(*value),
        EvaluationContextFieldValue::Int(value) => out.number(exact(*value, path)?),
        EvaluationContextFieldValue::Float(value) => out.number(finite(*value, path)?),
        EvaluationContextFieldValue::String(value) => out.text(value),
        EvaluationContextFieldValue::DateTime(value) => out.text(&date_time(value, path)?),
        EvaluationContextFieldValue::Struct(value) => any_struct(value.as_ref(), path, out)?,
    }
    Ok(())
}

/// The number of a field that is an int.
#[cfg(feature = "in-process")]
pub(crate) fn int(name: &str, value: i64) -> Converted<f64> {
    exact(value, &Path::root(name))
}

/// The number of a field that is a float.
#[cfg(feature = "in-process")]
pub(crate) fn float(name: &str, value: f64) -> Converted<f64> {
    finite(value, &Path::root(name))
}

/// A struct of the types that are known, since the SDK lets it be of any.
fn any_struct<F: Form>(value: &(dyn Any + Send + Sync), path: &Path<'_>, out: &mut F) -> Converted {
    if let Some(value) = value.downcast_ref::<StructValue>() {
        object(&value.fields, path, out, sdk)
    } else if let Some(value) = value.downcast_ref::<Value>() {
        sdk(value, path, out)
    } else if let Some(values) = value.downcast_ref::<Vec<Value>>() {
        list(values, path, out, sdk)
    } else if let Some(value) = value.downcast_ref::<Json>() {
        json(value, path, out)
    } else if let Some(fields) = value.downcast_ref::<Map<String, Json>>() {
        object(fields, path, out, json)
    } else {
        Err(path.invalid(
            "is a struct of an unknown type; accepted are open_feature::StructValue, \
             open_feature::Value, Vec<open_feature::Value>, serde_json::Value and \
             serde_json::Map<String, serde_json::Value>",
        ))
    }
}

fn sdk<F: Form>(value: &Value, path: &Path<'_>, out: &mut F) -> Converted {
    match value {
        Value::Bool(value) => out.boolean(*value),
        Value::Int(value) => out.number(exact(*value, path)?),
        Value::Float(value) => out.number(finite(*value, path)?),
        Value::String(value) => out.text(value),
        Value::Array(values) => list(values, path, out, sdk)?,
        Value::Struct(value) => object(&value.fields, path, out, sdk)?,
    }
    Ok(())
}

fn json<F: Form>(value: &Json, path: &Path<'_>, out: &mut F) -> Converted {
    match value {
        Json::Null => out.null(),
        Json::Bool(value) => out.boolean(*value),
        Json::Number(value) => out.number(json_number(value, path)?),
        Json::String(value) => out.text(value),
        Json::Array(values) => list(values, path, out, json)?,
        Json::Object(fields) => object(fields, path, out, json)?,
    }
    Ok(())
}

/// Converts a value at a path into a form.
type Convert<V, F> = fn(&V, &Path<'_>, &mut F) -> Converted;

fn object<'v, F: Form, V: 'v>(
    fields: impl IntoIterator<Item = (&'v String, &'v V)>,
    path: &Path<'_>,
    out: &mut F,
    convert: Convert<V, F>,
) -> Converted {
    path.check_nesting()?;
    out.object(fields.into_iter(), |name, value, out| {
        convert(value, &path.then(Step::Field(name)), out)
    })
}

fn list<F: Form, V>(
    values: &[V],
    path: &Path<'_>,
    out: &mut F,
    convert: Convert<V, F>,
) -> Converted {
    path.check_nesting()?;
    out.list(values.iter().enumerate(), |(index, value), out| {
        convert(value, &path.then(Step::Element(index)), out)
    })
}

#[expect(clippy::cast_precision_loss, reason = "exact: what is beyond 2^53 is refused before")]
fn exact(value: i64, path: &Path<'_>) -> Converted<f64> {
    if value.unsigned_abs() > MAX_EXACT_INT {
        return Err(path.too_big());
    }
    Ok(value as f64)
}

fn finite(value: f64, path: &Path<'_>) -> Converted<f64> {
    // Protobuf's JSON mapping has no such numbers, so flagd's rules could not read them.
    if !value.is_finite() {
        return Err(path.invalid(&format!("is {value}, but flagd accepts only finite numbers")));
    }
    Ok(value)
}

fn json_number(value: &serde_json::Number, path: &Path<'_>) -> Converted<f64> {
    if let Some(value) = value.as_i64() {
        return exact(value, path);
    }
    // `as_f64` alone would round a u64, and any longer int under serde_json's arbitrary precision.
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(value) => finite(value, path),
        None => Err(path.too_big()),
    }
}

fn date_time(value: &OffsetDateTime, path: &Path<'_>) -> Converted<String> {
    value
        .format(&Rfc3339)
        .map_err(|e| path.invalid(&format!("is not a date that RFC 3339 can express: {e}")))
}

impl Path<'_> {
    /// Whether another object or list may begin here: what bounds the recursion.
    fn check_nesting(&self) -> Converted {
        if self.nesting < MAX_NESTING {
            return Ok(());
        }
        Err(self.invalid(&format!("is nested beyond {MAX_NESTING} levels")))
    }

    fn too_big(&self) -> EvaluationError {
        self.invalid("is a whole number beyond ±2^53, which flagd would round: pass it as a string")
    }

    fn invalid(&self, what: &str) -> EvaluationError {
        invalid(format!("context field `{}` {what}", self.shown()))
    }
}

fn invalid(message: String) -> EvaluationError {
    EvaluationError { code: EvaluationErrorCode::InvalidContext, message: Some(message) }
}

/// What a server reads, by prost.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
pub(crate) fn context_to_struct(context: &EvaluationContext) -> Converted<prost_types::Struct> {
    use crate::flagd::proto::ResolveBooleanRequest;
    use prost::Message as _;

    let frame = request("flag", context, None)?;
    let message = ResolveBooleanRequest::decode(&frame[HEAD..]).unwrap();
    assert_eq!(message.flag_key, "flag");
    // Fields are in another order; nothing is longer or shorter than prost would make it.
    assert_eq!(message.encoded_len(), frame.len() - HEAD);
    Ok(message.context.unwrap())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests;
