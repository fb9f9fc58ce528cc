//! JSON as protobuf's `Struct`, written without a copy between.

use prost::{
    bytes::BufMut,
    encoding::{
        WireType, bool, double, encode_key, encode_varint, encoded_len_varint, key_len, string,
    },
};
use serde_json::{Map, Value};

/// An object, as metadata or value of a flag; `extra` is a field that it has besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) object: &'a Map<String, Value>,
    pub(crate) extra: Option<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(object: &'a Map<String, Value>) -> Self {
        Self { object, extra: None }
    }

    /// The field that the object does not have itself.
    pub(crate) fn added(&self) -> Option<(&'a str, &'a str)> {
        self.extra.filter(|(name, _)| !self.object.contains_key(*name))
    }

    fn len(&self) -> usize {
        let own = self.object.iter().map(|(name, value)| field(entry_len(name, value_len(value))));
        let added = self.added().map(|(name, text)| field(entry_len(name, text_len(text))));
        own.sum::<usize>() + added.unwrap_or_default()
    }

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

    /// Writes the object as the field `tag`.
    pub(crate) fn write_field(&self, tag: u32, out: &mut impl BufMut) {
        write_head(tag, self.len(), out);
        self.write(out);
    }
}

/// The length of a field whose content has this length, with a tag below 16.
fn field(content: usize) -> usize {
    key_len(1) + encoded_len_varint(content as u64) + content
}

fn entry_len(name: &str, value: usize) -> usize {
    field(name.len()) + field(value)
}

fn text_len(text: &str) -> usize {
    field(text.len())
}

fn list_len(items: &[Value]) -> usize {
    items.iter().map(|item| field(value_len(item))).sum()
}

fn value_len(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 2,
        Value::Number(_) => 9,
        Value::String(text) => text_len(text),
        Value::Array(items) => field(list_len(items)),
        Value::Object(object) => field(Fields::new(object).len()),
    }
}

fn write_head(tag: u32, len: usize, out: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
}

pub(crate) fn write_text(tag: u32, text: &str, out: &mut impl BufMut) {
    write_head(tag, text.len(), out);
    out.put_slice(text.as_bytes());
}

/// An entry of a map up to its value, which has this length.
fn write_entry(name: &str, value: usize, out: &mut impl BufMut) {
    write_head(1, entry_len(name, value), out);
    write_text(1, name, out);
    write_head(2, value, out);
}

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
