//! The evaluation of all flags at once: over gRPC, Connect and OFREP.

use std::borrow::Cow;

use prost::{
    bytes::BytesMut,
    encoding::{WireType, bool, double, encode_key, encode_varint},
};
use serde_json::{Map, Value, json};

use super::resolve::Question;
use crate::{
    evaluator::{ErrorCode, Outcome, Reason},
    server::protocol::wire::{Fields, write_text},
};

/// What came of one of all flags.
pub(crate) struct One<'a> {
    pub(crate) key: &'a str,
    pub(crate) default: Option<&'a Value>,
    pub(crate) outcome: Outcome<'a>,
    pub(crate) failure: Option<ErrorCode>,
    pub(crate) metadata: Fields<'a>,
}

/// Evaluates all flags in the order of their keys. flagd asks for the type of the default variant:
/// that a rule gives a value of another type is an error here, unless there is none to compare.
pub(crate) fn each<'a>(question: &Question<'a>) -> impl Iterator<Item = One<'a>> {
    let question = *question;
    question.flags.keys(question.selector).into_iter().filter_map(move |key| {
        let outcome = question.evaluate(key)?;
        let default = question.flags.default_value(question.selector, key);
        let fits = outcome.value.is_none_or(|value| match default {
            None | Some(Value::Null | Value::Array(_)) => !value.is_null(),
            Some(default) => std::mem::discriminant(default) == std::mem::discriminant(value),
        });
        let failure = outcome.error.or((!fits).then_some(ErrorCode::TypeMismatch));
        let counted = match failure {
            Some(failure) => Err(failure),
            None => Ok((outcome.variant, outcome.reason.as_str())),
        };
        question.core.metrics.count(key, counted);
        let metadata = question.metadata(outcome.metadata);
        Some(One { key, default, outcome, failure, metadata })
    })
}

/// A flag as version 1 of the protocol tells it.
struct AnyFlag<'a> {
    value: Cow<'a, Value>,
    variant: &'a str,
    reason: &'static str,
}

impl<'a> One<'a> {
    /// Version 1 leaves out lists and flags without a default variant, and gives what failed a
    /// value of zero.
    fn any_flag(&self) -> Option<AnyFlag<'a>> {
        let zero = match self.default? {
            Value::Bool(_) => json!(false),
            Value::String(_) => json!(""),
            Value::Number(_) => json!(0.0),
            Value::Object(_) => json!({}),
            Value::Null | Value::Array(_) => return None,
        };
        let variant = self.outcome.variant.unwrap_or_default();
        let reason = match self.outcome.reason {
            _ if self.failure.is_some() => Reason::Error,
            // To version 1 there is no flag where no variant is the default.
            Reason::Default if self.outcome.value.is_none() => Reason::Error,
            reason => reason,
        };
        let value = self.outcome.value.filter(|_| reason != Reason::Error);
        let value = value.map_or(Cow::Owned(zero), Cow::Borrowed);
        Some(AnyFlag { value, variant, reason: reason.as_str() })
    }
}

/// Writes the answer as protobuf.
pub(crate) fn write(question: &Question<'_>, out: &mut BytesMut) {
    for one in each(question) {
        let Some(flag) = one.any_flag() else { continue };
        let mut any = BytesMut::new();
        write_text(1, flag.reason, &mut any);
        write_text(2, flag.variant, &mut any);
        match &*flag.value {
            Value::Bool(value) => bool::encode(3, value, &mut any),
            Value::String(value) => write_text(4, value, &mut any),
            Value::Number(value) => {
                double::encode(5, &value.as_f64().unwrap_or_default(), &mut any);
            }
            Value::Object(value) => Fields::new(value).write_field(6, &mut any),
            Value::Null | Value::Array(_) => {}
        }
        one.metadata.write_field(7, &mut any);
        let mut entry = BytesMut::new();
        write_text(1, one.key, &mut entry);
        write_bytes(2, &any, &mut entry);
        write_bytes(1, &entry, out);
    }
    let nothing = Map::new();
    question.metadata(&nothing).write_field(2, out);
}

fn write_bytes(tag: u32, bytes: &[u8], out: &mut BytesMut) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// The answer as the JSON that protobuf defines.
pub(crate) fn json(question: &Question<'_>) -> Value {
    let mut flags = Map::new();
    for one in each(question) {
        let Some(flag) = one.any_flag() else { continue };
        let value = match &*flag.value {
            Value::Bool(_) => "boolValue",
            Value::String(_) => "stringValue",
            Value::Number(_) => "doubleValue",
            _ => "objectValue",
        };
        let fields = json!({
            "reason": flag.reason, "variant": flag.variant, value: flag.value,
            "metadata": object(one.metadata),
        });
        flags.insert(one.key.to_owned(), fields);
    }
    json!({"flags": flags, "metadata": object(question.metadata(&Map::new()))})
}

/// An object with what is added to it.
pub(crate) fn object(fields: Fields<'_>) -> Map<String, Value> {
    let mut object = fields.object.clone();
    object.extend(fields.added().map(|(name, text)| (name.to_owned(), text.into())));
    object
}
