//! JSON text as flagd writes it: no spaces, fields in the order of their names, numbers as 64-bit
//! floats.

use serde_json::{Map, Value as Json};

use super::number;

/// Numbers become what a 64-bit float holds, and whole ones integers.
pub(crate) fn normalize(value: &mut Json) {
    match value {
        Json::Number(number) => {
            let float = number.as_f64().unwrap_or_default();
            let whole = number::to_integer(float);
            if float.fract() == 0.0
                && whole != i64::MIN
                && !(float == 0.0 && float.is_sign_negative())
            {
                *value = Json::from(whole);
            } else {
                *value = Json::from(float);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(normalize),
        Json::Object(fields) => fields.values_mut().for_each(normalize),
        _ => {}
    }
}

/// Appends the text of a value.
pub(crate) fn write(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        // JSON holds finite numbers only.
        Json::Number(number) => {
            out.push_str(&number.as_f64().and_then(number::json).unwrap_or_default());
        }
        Json::String(text) => write_text(text, out),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Json::Object(fields) => write_object(fields, out),
    }
}

/// Appends the text of an object.
pub(crate) fn write_object(fields: &Map<String, Json>, out: &mut String) {
    if fields.keys().is_sorted() {
        return write_entries(fields.iter(), out);
    }
    // With its feature `preserve_order`, serde_json keeps another order.
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    write_entries(sorted.into_iter(), out);
}

fn write_entries<'j>(entries: impl Iterator<Item = (&'j String, &'j Json)>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in entries.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

/// Whether the JSON text of a character is not the character itself: flagd escapes what HTML would
/// trip over as well.
fn is_escaped(c: char) -> bool {
    matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}')
}

/// Whether the JSON text of `text` is `text` in quotes.
pub(crate) fn is_plain(text: &str) -> bool {
    // What is escaped beyond ASCII begins with the byte E2.
    let is_simple = |b: u8| b >= b' ' && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
    text.bytes().all(is_simple) || !text.contains(is_escaped)
}

fn hexadecimal(digit: u32) -> char {
    char::from_digit(digit & 0xf, 16).unwrap_or('0')
}

/// Appends `text` between quotes, with flagd's escapes.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let (plain, rest) = if is_plain(text) { (text, "") } else { ("", text) };
    out.push_str(plain);
    for c in rest.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if is_escaped(c) => {
                let code = u32::from(c);
                out.push_str("\\u");
                out.extend([12, 8, 4, 0].map(|shift| hexadecimal(code >> shift)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_floats() {
        let mut value = json!([9_007_199_254_740_993_u64, 1.0, 1.5, 1e300]);
        normalize(&mut value);
        assert_eq!(value, json!([9_007_199_254_740_992_u64, 1, 1.5, 1e300]));
    }

    #[test]
    fn text_is_compact_and_in_order() {
        let mut text = String::new();
        write(&json!({"b": [1.0, -0.0, 1e21, null, true], "a": "<"}), &mut text);
        assert_eq!(text, r#"{"a":"\u003c","b":[1,-0,1e+21,null,true]}"#);
    }
}
