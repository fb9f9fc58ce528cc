//! The evaluation of all flags at once: over gRPC, Connect and OFREP.
//!
//! [`each`] evaluates; what the protocols make of it differs. OFREP returns every
//! flag, failures included. `ResolveAll` of version 1 returns what flagd does
//! (docs/flagd.md, "Evaluation service"): numbers are `double_value`, arrays and
//! flags without a default variant are left out, and failures have the reason
//! `ERROR` and a zero value.

use std::borrow::Cow;

use prost::{
    bytes::BytesMut,
    encoding::{WireType, bool, double, encode_key, encode_varint},
};
use serde_json::{Map, Value, json};

use super::resolve::Evaluation;
use crate::{
    evaluator::{ErrorCode, Outcome, Reason},
    server::protocol::wire::{Fields, write_text},
};

/// The result of one of all flags.
pub(crate) struct One<'a> {
    pub(crate) key: &'a str,
    /// The value of the default variant, which says the type of the flag.
    pub(crate) default: Option<&'a Value>,
    pub(crate) outcome: Outcome<'a>,
    /// The error, which may also be that the value has another type.
    pub(crate) failure: Option<ErrorCode>,
    /// The flag's metadata, and the field of the selector.
    pub(crate) metadata: Fields<'a>,
}

/// Evaluates all flags that the selector shows, in the order of their keys, and
/// counts each.
///
/// A client names no type here, so, as in flagd, the type is that of the default
/// variant. A rule that chooses a value of another type is a type mismatch. If
/// there is no default variant, or it is null or an array, any value but null
/// fits.
pub(crate) fn each<'a>(evaluation: &Evaluation<'a>) -> impl Iterator<Item = One<'a>> {
    let evaluation = *evaluation;
    evaluation.flags.keys(evaluation.selector).into_iter().filter_map(move |key| {
        let outcome = evaluation.evaluate(key, true)?;
        let default = evaluation.flags.default_value(evaluation.selector, key);
        let fits = outcome.value.is_none_or(|value| match default {
            None | Some(Value::Null | Value::Array(_)) => !value.is_null(),
            Some(default) => std::mem::discriminant(default) == std::mem::discriminant(value),
        });
        let failure = outcome.error.or((!fits).then_some(ErrorCode::TypeMismatch));
        let counted = match failure {
            Some(failure) => Err(failure),
            None => Ok((outcome.variant, outcome.reason.as_str())),
        };
        evaluation.core.metrics.count(key, counted);
        let metadata = evaluation.metadata(outcome.metadata);
        Some(One { key, default, outcome, failure, metadata })
    })
}

/// A flag in a response of version 1, the message `AnyFlag`.
struct AnyFlag<'a> {
    /// Never null and never an array.
    value: Cow<'a, Value>,
    variant: &'a str,
    reason: &'static str,
}

impl<'a> One<'a> {
    /// The flag for version 1; none if version 1 leaves it out. A flag that failed
    /// has a zero value of its type.
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
            // For version 1, a flag without a default variant does not exist.
            Reason::Default if self.outcome.value.is_none() => Reason::Error,
            reason => reason,
        };
        let value = self.outcome.value.filter(|_| reason != Reason::Error);
        let value = value.map_or(Cow::Owned(zero), Cow::Borrowed);
        Some(AnyFlag { value, variant, reason: reason.as_str() })
    }
}

/// Writes the response of version 1 as protobuf.
///
/// A map is a repeated message of key and value, so each flag goes through buffers
/// of its own, which say its length, before it goes into `out`.
pub(crate) fn write(evaluation: &Evaluation<'_>, out: &mut BytesMut) {
    for one in each(evaluation) {
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
    evaluation.metadata(&nothing).write_field(2, out);
}

/// Writes a field that is a message already written.
fn write_bytes(tag: u32, bytes: &[u8], out: &mut BytesMut) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// The response of version 1 in protobuf's
/// [JSON format](https://protobuf.dev/programming-guides/json/).
pub(crate) fn json(evaluation: &Evaluation<'_>) -> Value {
    let mut flags = Map::new();
    for one in each(evaluation) {
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
    json!({"flags": flags, "metadata": object(evaluation.metadata(&Map::new()))})
}

/// A copy of an object with the field that is added to it.
pub(crate) fn object(fields: Fields<'_>) -> Map<String, Value> {
    let mut object = fields.object.clone();
    object.extend(fields.added().map(|(name, text)| (name.to_owned(), text.into())));
    object
}
