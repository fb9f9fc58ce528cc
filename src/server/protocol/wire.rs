//! JSON objects as protobuf's `Struct`, written without a copy in between.
//!
//! Protobuf writes the length of a message before the message, so an object is
//! walked twice: the `len` functions add up lengths, the `write` functions write.
//! Both must agree to the byte, which a test checks. Lengths of nested objects are
//! computed again at each level; metadata and values are rarely nested deeply.
//!
//! The object `{"a": true}`, which is a map with one entry:
//!
//! ```text
//! 0a 07          field 1, the entry, 7 bytes
//!    0a 01 61    field 1, the name: "a"
//!    12 02       field 2, the value, 2 bytes
//!       20 01    field 4, bool_value: true
//! ```
//!
//! All tags are below 16, so a key is always one byte.

use prost::{
    bytes::BufMut,
    encoding::{
        WireType, bool, double, encode_key, encode_varint, encoded_len_varint, key_len, string,
    },
};
use serde_json::{Map, Value};

/// An object to write: the metadata or the value of a flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) object: &'a Map<String, Value>,
    /// A field to add, as name and string, unless the object has one of this name.
    /// It saves a copy of the metadata where a selector adds to it.
    pub(crate) extra: Option<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    /// An object without an additional field.
    pub(crate) fn new(object: &'a Map<String, Value>) -> Self {
        Self { object, extra: None }
    }

    /// The additional field, unless the object has one of this name.
    pub(crate) fn added(&self) -> Option<(&'a str, &'a str)> {
        self.extra.filter(|(name, _)| !self.object.contains_key(*name))
    }

    /// The length of what [`write`](Self::write) writes.
    fn len(&self) -> usize {
        let own = self.object.iter().map(|(name, value)| field(entry_len(name, value_len(value))));
        let added = self.added().map(|(name, text)| field(entry_len(name, text_len(text))));
        own.sum::<usize>() + added.unwrap_or_default()
    }

    /// Writes the message `Struct`, without a tag and length before it.
    fn write(&self, out: &mut impl BufMut) {
        for (name, value) in self.object {
            write_entry(name, value_len(value), out);
            write_value(value, out);
        }
        if let Some((name, text)) = self.added() {
            write_entry(name, text_len(text), out);
            write_text(3, text, out);
        }
    }

    /// Writes the object as the field `tag` of a message.
    pub(crate) fn write_field(&self, tag: u32, out: &mut impl BufMut) {
        write_head(tag, self.len(), out);
        self.write(out);
    }
}

/// The length of a field whose content has this length, with a tag below 16.
fn field(content: usize) -> usize {
    key_len(1) + encoded_len_varint(content as u64) + content
}

/// The length of an entry of a map, whose value has this length.
fn entry_len(name: &str, value: usize) -> usize {
    field(name.len()) + field(value)
}

/// The length of a `Value` that is a string.
fn text_len(text: &str) -> usize {
    field(text.len())
}

/// The length of a `ListValue`.
fn list_len(items: &[Value]) -> usize {
    items.iter().map(|item| field(value_len(item))).sum()
}

/// The length of a `Value`: a key of one byte, and its content.
fn value_len(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 2,
        Value::Number(_) => 9,
        Value::String(text) => text_len(text),
        Value::Array(items) => field(list_len(items)),
        Value::Object(object) => field(Fields::new(object).len()),
    }
}

/// Writes what comes before a string or message of this length.
fn write_head(tag: u32, len: usize, out: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
}

/// Writes a string field, also if it is empty.
pub(crate) fn write_text(tag: u32, text: &str, out: &mut impl BufMut) {
    write_head(tag, text.len(), out);
    out.put_slice(text.as_bytes());
}

/// Writes an entry of a map up to its value, which has this length and follows.
fn write_entry(name: &str, value: usize, out: &mut impl BufMut) {
    write_head(1, entry_len(name, value), out);
    write_text(1, name, out);
    write_head(2, value, out);
}

/// Writes the message `Value`. A number is a 64-bit float there, so integers beyond
/// 2^53 lose digits.
fn write_value(value: &Value, out: &mut impl BufMut) {
    match value {
        Value::Null => {
            encode_key(1, WireType::Varint, out);
            encode_varint(0, out);
        }
        Value::Number(number) => double::encode(2, &number.as_f64().unwrap_or_default(), out),
        Value::String(text) => string::encode(3, text, out),
        Value::Bool(value) => bool::encode(4, value, out),
        Value::Object(object) => Fields::new(object).write_field(5, out),
        Value::Array(items) => {
            write_head(6, list_len(items), out);
            for item in items {
                write_head(1, value_len(item), out);
                write_value(item, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::{Struct, value::Kind};
    use serde_json::json;

    use super::*;

    fn json(kind: Option<Kind>) -> Value {
        match kind {
            Some(Kind::NullValue(_)) => Value::Null,
            Some(Kind::NumberValue(number)) => number.into(),
            Some(Kind::StringValue(text)) => text.into(),
            Some(Kind::BoolValue(value)) => value.into(),
            Some(Kind::ListValue(list)) => list.values.into_iter().map(|v| json(v.kind)).collect(),
            Some(Kind::StructValue(object)) => object_of(object),
            None => panic!("a value without kind"),
        }
    }

    fn object_of(object: Struct) -> Value {
        object.fields.into_iter().map(|(name, value)| (name, json(value.kind))).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(70_000);
        let value = json!({
            "": "", "null": null, "yes": true, "no": false, "number": 1.5, "zero": 0.0, "text": long,
            "list": [null, [], {}, [1.0, "a", {"b": [false]}]],
            "object": {"a": {"b": {"c": long}}, "empty": {}},
        });
        let object = value.as_object().unwrap();
        let mut out = Vec::new();
        Fields::new(object).write(&mut out);
        assert_eq!(out.len(), Fields::new(object).len());
        assert_eq!(object_of(Struct::decode(&*out).unwrap()), value);
    }

    #[test]
    fn an_extra_field_does_not_replace() {
        for (object, expected) in
            [(json!({}), json!({"s": "x"})), (json!({"s": "own"}), json!({"s": "own"}))]
        {
            let fields =
                Fields { extra: Some(("s", "x")), ..Fields::new(object.as_object().unwrap()) };
            let mut out = Vec::new();
            fields.write(&mut out);
            assert_eq!(out.len(), fields.len());
            assert_eq!(object_of(Struct::decode(&*out).unwrap()), expected);
        }
    }
}
