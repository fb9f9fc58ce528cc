//! A struct off the wire, as JSON.

use prost_types::{Struct, Value, value::Kind};
use serde_json::{Map, Value as Json};

/// The JSON form of `object`; a number that JSON does not know, or a value of no kind, is null.
// Recursion needs no bound here: prost refuses to decode beyond 100 levels of messages.
pub(crate) fn struct_to_json(object: Struct) -> Map<String, Json> {
    object.fields.into_iter().map(|(name, value)| (name, to_json(value))).collect()
}

fn to_json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::from(value),
        Some(Kind::NumberValue(value)) => Json::from(value),
        Some(Kind::StringValue(value)) => Json::from(value),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(to_json).collect(),
        Some(Kind::StructValue(object)) => Json::Object(struct_to_json(object)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_every_kind() {
        let fields = [
            ("inner".to_owned(), Kind::StructValue(Struct::default()).into()),
            ("kindless".to_owned(), Value { kind: None }),
            ("list".to_owned(), vec![true.into(), 1.5.into(), f64::NAN.into()].into()),
            ("null".to_owned(), Kind::NullValue(0).into()),
            ("text".to_owned(), "a".into()),
        ];
        let expected = json!({
            "inner": {}, "kindless": null, "list": [true, 1.5, null], "null": null, "text": "a",
        });
        assert_eq!(Json::Object(struct_to_json(Struct { fields: fields.into() })), expected);
    }
}
