//! The SDK's evaluation context, as the request that is sent to flagd, and its
//! fields as JSON.
//!
//! A request is written to one buffer in one pass, with its gRPC frame, and without
//! messages of prost in between. All five procedures have the same request:
//!
//! ```text
//! flag "f", targeting key "u", custom field n = 7
//!
//! 00 0000002a                          the frame: not compressed, 42 bytes
//! 0a 01 'f'                            1 flag_key
//! 12 25                                2 context, a google.protobuf.Struct
//!    0a 0e                               1 an entry of its map
//!       0a 01 'n'                          1 the name
//!       12 09                              2 the value
//!          11 0000000000001c40               2 number_value, 7.0
//!    0a 13                               1 another entry
//!       0a 0c 'targetingKey'
//!       12 03
//!          1a 01 'u'                         3 string_value
//! ```
//!
//! Types follow the [OpenFeature specification]: booleans, strings, numbers, dates
//! and structures. The SDK lets a structure be of any Rust type, of which a few are
//! accepted; see [`any_struct`]. A value that could not be sent exactly is
//! rejected rather than rounded, because a rule would then compare another value
//! than the program has.
//!
//! [OpenFeature specification]: https://openfeature.dev/specification/sections/evaluation-context#requirement-312

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

/// How deep objects and arrays may be nested in a field.
// flagd 0.16 accepts 3000 levels. A server that rejects more than 100 levels of messages, as prost
// does, accepts 32 objects (three messages each) or 48 arrays (two).
const MAX_NESTING: usize = 64;

/// The number of bytes before a message in its gRPC frame.
const HEAD: usize = 5;

/// A conversion that fails with `INVALID_CONTEXT`.
type Converted<T = ()> = Result<T, EvaluationError>;

/// The request for a flag in its gRPC frame: a byte that says that it is not
/// compressed, the length, and the message. It fits all five procedures.
///
/// The targeting key becomes the field `targetingKey` of the context and hides a
/// custom field with that name. `added` are the fields of a
/// [`ContextSource`](crate::ContextSource), which hide custom fields but not the
/// targeting key. A field that is hidden is not examined.
///
/// # Errors
///
/// `INVALID_CONTEXT` with the path of the field: an integer beyond ±2^53, a float
/// that is not finite, a date that RFC 3339 cannot express, a struct of an unknown
/// type, or one that is nested more than 64 levels deep.
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

/// The capacity of the buffer: enough for a context without structs, so that it is
/// written without another allocation. With structs, or with fields of a context
/// source, the buffer may grow.
fn expected_len(flag_key: &str, context: &EvaluationContext) -> usize {
    // Room for keys and lengths of up to four messages, and a number.
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

/// Writes the context as the content of a `google.protobuf.Struct`: custom fields,
/// fields of the context source, and the targeting key.
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

/// Converts a field to another form.
///
/// # Errors
///
/// Those of [`request`].
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

/// The number for a field that is an integer, without a [`Form`].
#[cfg(feature = "in-process")]
pub(crate) fn int(name: &str, value: i64) -> Converted<f64> {
    exact(value, &Path::root(name))
}

/// The number for a field that is a float, without a [`Form`].
#[cfg(feature = "in-process")]
pub(crate) fn float(name: &str, value: f64) -> Converted<f64> {
    finite(value, &Path::root(name))
}

/// Converts a struct. The SDK accepts any type that is `Any`, and nothing can be
/// read from most; these are known:
///
/// - `open_feature`: `StructValue`, `Value` and `Vec<Value>`;
/// - `serde_json`: `Value` and `Map<String, Value>`.
///
/// A program with another type converts it with `serde_json::to_value`.
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

/// Converts a value of the SDK.
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

/// Converts a JSON value. Unlike the SDK's, it may be null.
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

/// A function that converts a value at a path: [`sdk`] or [`json`].
type Convert<V, F> = fn(&V, &Path<'_>, &mut F) -> Converted;

/// Converts an object, unless it is nested too deep.
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

/// Converts an array, unless it is nested too deep.
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

/// An integer as a protobuf number, if that is exact.
#[expect(clippy::cast_precision_loss, reason = "exact: what is beyond 2^53 is rejected before")]
fn exact(value: i64, path: &Path<'_>) -> Converted<f64> {
    if value.unsigned_abs() > MAX_EXACT_INT {
        return Err(path.too_big());
    }
    Ok(value as f64)
}

/// A float, if it is finite.
fn finite(value: f64, path: &Path<'_>) -> Converted<f64> {
    // The JSON mapping of `google.protobuf.Value` has no such numbers, so rules could not read them.
    if !value.is_finite() {
        return Err(path.invalid(&format!("is {value}, but flagd accepts only finite numbers")));
    }
    Ok(value)
}

/// A number of JSON, if it can be sent exactly.
fn json_number(value: &serde_json::Number, path: &Path<'_>) -> Converted<f64> {
    if let Some(value) = value.as_i64() {
        return exact(value, path);
    }
    // `as_f64` alone would round a u64, and longer integers with serde_json's `arbitrary_precision`.
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(value) => finite(value, path),
        None => Err(path.too_big()),
    }
}

/// A date as an RFC 3339 string, with its own offset from UTC. RFC 3339 has neither
/// years before 0 nor after 9999, nor offsets with seconds.
fn date_time(value: &OffsetDateTime, path: &Path<'_>) -> Converted<String> {
    value
        .format(&Rfc3339)
        .map_err(|e| path.invalid(&format!("is not a date that RFC 3339 can express: {e}")))
}

impl Path<'_> {
    /// Checks that another object or array may begin here, which bounds the recursion
    /// of all conversions.
    fn check_nesting(&self) -> Converted {
        if self.nesting < MAX_NESTING {
            return Ok(());
        }
        Err(self.invalid(&format!("is nested beyond {MAX_NESTING} levels")))
    }

    /// The error for an integer that a protobuf number cannot represent.
    fn too_big(&self) -> EvaluationError {
        self.invalid("is a whole number beyond ±2^53, which flagd would round: pass it as a string")
    }

    /// The error for the value at this path. `what` continues "context field `x` ".
    fn invalid(&self, what: &str) -> EvaluationError {
        invalid(format!("context field `{}` {what}", self.shown()))
    }
}

/// An error with the code `INVALID_CONTEXT`.
fn invalid(message: String) -> EvaluationError {
    EvaluationError { code: EvaluationErrorCode::InvalidContext, message: Some(message) }
}

/// The context as a server reads it, with prost.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
pub(crate) fn context_to_struct(context: &EvaluationContext) -> Converted<prost_types::Struct> {
    use crate::flagd::proto::ResolveBooleanRequest;
    use prost::Message as _;

    let frame = request("flag", context, None)?;
    let message = ResolveBooleanRequest::decode(&frame[HEAD..]).unwrap();
    assert_eq!(message.flag_key, "flag");
    // The order of fields may differ from prost's, but the length may not.
    assert_eq!(message.encoded_len(), frame.len() - HEAD);
    Ok(message.context.unwrap())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests;
