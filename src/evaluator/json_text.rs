//! JSON text as flagd writes it: without spaces, with the fields of objects in
//! the order of their names, and with numbers as 64-bit floats.
//!
//! The text matters above all in three places.
//! [`FlagSet::definition`](super::FlagSet::definition) is what other providers
//! receive. The result of a rule names a variant by its JSON text, of which the
//! quotes are dropped. A reference is looked up by the JSON text of its name. In
//! all of them a difference of one character gives another result, and so
//! `serde_json`'s writer is not used: it keeps `1.0` where flagd writes `1`, and
//! does not escape what Go's does.
//!
//! ```text
//! {"b": [1.0, -0.0, 1e21, null], "a": "<"}   ->   {"a":"\u003c","b":[1,-0,1e+21,null]}
//! ```

use serde_json::{Map, Value as Json};

use super::number;

/// Turns each number into what a 64-bit float holds, and whole ones into
/// integers.
///
/// flagd reads every number as a float, and so 9007199254740993 becomes
/// 9007199254740992, and 1.0 becomes 1. Negative zero and whole numbers beyond 64
/// bits remain floats.
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
        // JSON numbers are finite, so they can always be written.
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

/// Appends the text of an object, with its fields in the order of their names.
pub(crate) fn write_object(fields: &Map<String, Json>, out: &mut String) {
    if fields.keys().is_sorted() {
        return write_entries(fields.iter(), out);
    }
    // Another crate of the program may have enabled serde_json's feature `preserve_order`.
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    write_entries(sorted.into_iter(), out);
}

/// Appends an object whose entries come in their final order.
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

/// Whether JSON text has an escape in the place of a character. flagd also
/// escapes `<`, `>` and `&`, so that the text can be embedded in HTML, and two
/// line separators.
fn is_escaped(c: char) -> bool {
    matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}')
}

/// Whether the JSON text of `text` is `text` in quotes.
pub(crate) fn is_plain(text: &str) -> bool {
    // U+2028 and U+2029, the only ones beyond ASCII that are escaped, begin with the byte E2. Only
    // texts with such a byte need to be decoded.
    let is_simple = |b: u8| b >= b' ' && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
    text.bytes().all(is_simple) || !text.contains(is_escaped)
}

/// The hexadecimal digit for the lowest four bits.
fn hexadecimal(digit: u32) -> char {
    char::from_digit(digit & 0xf, 16).unwrap_or('0')
}

/// Appends `text` in quotes, with flagd's escapes: the short ones such as `\n`
/// where JSON has them, otherwise `\u` and four digits in lower case.
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
