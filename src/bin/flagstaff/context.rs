//! The fields of the evaluation context, as `-c` takes them.
//!
//! | `-c` | Field |
//! |---|---|
//! | `age=5` | a number, since `5` is valid JSON |
//! | `name=ann` | a string, since `ann` is not |
//! | `targetingKey=5` | a string, as always for the targeting key |
//! | `id:="5"` | a string: what follows `:=` must be JSON |
//! | `{"age": 5, "name": "ann"}` | two fields |
//!
//! Guessing the type makes the common case short, and `:=` is there for when the guess is
//! wrong. An error is better than a field that quietly means something else, so
//!
//! - integers that do not fit into 64 bits are rejected, because JSON would round them;
//! - a targeting key that is not a string is rejected, because rules would not see it;
//! - a name that differs from `targetingKey` only in case, `_` or `-` is reported by
//!   [`misspelt`], for a warning.

use serde_json::{Map, Value as Json, error::Result as Parsed};

use crate::excerpt::excerpt;

/// Fields of an evaluation context, by name.
pub(crate) type Fields = Map<String, Json>;

/// The one field that must be a string: providers take it only as one, and rules do not see
/// a targeting key of another type.
const TARGETING_KEY: &str = "targetingKey";

/// Parses one `-c`: `name=value`, `name:=json` or a JSON object.
///
/// # Errors
///
/// The text has none of these forms, or one of the cases above is rejected. clap prefixes
/// the message with the option and the text.
pub(crate) fn parse(text: &str) -> Result<Fields, String> {
    let fields = if text.trim_start().starts_with('{') {
        exact(text, "invalid JSON object")?
    } else {
        let forms = "expected NAME=VALUE, NAME:=JSON or a JSON object";
        let (name, value) = text.split_once('=').ok_or(forms)?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => {
                (name, exact(value, &format!("invalid JSON after `{}:=`", excerpt(name)))?)
            }
            None if name == TARGETING_KEY || !is_json(value) => (name, value.into()),
            None => (name, exact(value, "invalid JSON")?),
        };
        if name.is_empty() || name.trim() != name {
            let name = excerpt(name);
            return Err(format!("invalid name `{name}`: {forms}, without spaces around the name"));
        }
        Map::from_iter([(name.to_owned(), value)])
    };
    match fields.get(TARGETING_KEY) {
        None | Some(Json::String(_)) => Ok(fields),
        Some(value) => Err(format!(
            "`{TARGETING_KEY}` must be a string, got {}; write `{TARGETING_KEY}=VALUE`",
            excerpt(&value.to_string())
        )),
    }
}

/// The name of a field that is probably meant to be the targeting key, such as
/// `targeting_key`. Of several, any.
pub(crate) fn misspelt(fields: &Fields) -> Option<&str> {
    let letters = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    let is_near = |name: &&str| *name != TARGETING_KEY && letters(name) == letters(TARGETING_KEY);
    fields.keys().map(String::as_str).find(is_near)
}

/// Whether a value is valid JSON, in which case `name=value` does not treat it as a string.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<Json>(text).is_ok()
}

/// Parses JSON. An integer that would be rounded is an error, and so is invalid JSON, whose
/// error begins with `what`.
fn exact<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, String> {
    let parsed: Parsed<T> = serde_json::from_str(text);
    let parsed = parsed.map_err(|error| format!("{what}: {error}"))?;
    match rounded(text) {
        None => Ok(parsed),
        Some(number) => {
            let number = excerpt(&number);
            Err(format!(
                "{number} is too large for an exact number; write it as a string: \"{number}\""
            ))
        }
    }
}

/// The first integer in valid JSON that does not fit into 64 bits, signed or unsigned. `serde_json` parses it as a float.
///
/// Numbers are found by splitting the text: once the escaped quotes are removed, every second
/// part between quotes is outside of strings. Numbers with a fraction or an exponent are not
/// meant to be exact and are left alone.
fn rounded(json: &str) -> Option<String> {
    let without_escapes = json.replace(r"\\", "").replace(r#"\""#, "");
    let outside_strings = without_escapes.split('"').step_by(2);
    let mut tokens = outside_strings.flat_map(|part| {
        part.split(|c: char| {
            c.is_ascii_whitespace() || matches!(c, ',' | ':' | '[' | ']' | '{' | '}')
        })
    });
    let is_rounded = |token: &&str| {
        let digits = token.strip_prefix('-').unwrap_or(token);
        !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && token.parse::<i64>().is_err()
            && token.parse::<u64>().is_err()
    };
    tokens.find(is_rounded).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_json_where_they_can_be() {
        for (text, fields) in [
            ("a=b", json!({"a": "b"})),
            ("a=b=c", json!({"a": "b=c"})),
            ("a=b:=c", json!({"a": "b:=c"})),
            ("a=", json!({"a": ""})),
            ("a=5", json!({"a": 5})),
            ("a=007", json!({"a": "007"})),
            ("a=1e3", json!({"a": 1e3})),
            ("a=true", json!({"a": true})),
            ("a=null", json!({"a": null})),
            ("a=\"5\"", json!({"a": "5"})),
            ("a=[true]", json!({"a": [true]})),
            ("a=[b", json!({"a": "[b"})),
            ("a.b=5", json!({"a.b": 5})),
            ("a=18446744073709551615", json!({"a": u64::MAX})),
            (r#" {"a": {"b": null}}"#, json!({"a": {"b": null}})),
        ] {
            assert_eq!(parse(text).map(Json::Object), Ok(fields), "{text}");
        }
    }

    #[test]
    fn a_colon_asks_for_json() {
        for (text, fields) in [
            ("a:=5", json!({"a": 5})),
            (r#"a:="5""#, json!({"a": "5"})),
            (r#"a:={"b": ["=", null]}"#, json!({"a": {"b": ["=", null]}})),
            (r#"targetingKey:="4""#, json!({"targetingKey": "4"})),
        ] {
            assert_eq!(parse(text).map(Json::Object), Ok(fields), "{text}");
        }
        for (text, error) in [
            ("a:=b", "invalid JSON after `a:=`: expected value at line 1 column 1"),
            ("a:=", "EOF while parsing a value at line 1 column 0"),
            (r#"a:={"b": c}"#, "expected value at line 1 column 7"),
            ("a:=1e400", "number out of range at line 1 column 5"),
            ("a:=5 6", "trailing characters at line 1 column 3"),
        ] {
            assert!(parse(text).unwrap_err().contains(error), "{text}: {:?}", parse(text));
        }
        let error = parse("a\u{1b}[31m:=b").unwrap_err();
        assert!(error.starts_with(r"invalid JSON after `a\u{1b}[31m:=`: "), "{error}");
    }

    #[test]
    fn the_targeting_key_is_a_string() {
        for key in
            ["4", "4.0", "1e3", "007", "true", "null", "\"4\"", "[4]", "{}", "", "a=b", "a:=b"]
        {
            let fields = parse(&format!("targetingKey={key}"));
            assert_eq!(fields.map(Json::Object), Ok(json!({"targetingKey": key})), "{key}");
        }
        let long = "12345678901234567890123";
        let fields = parse(&format!("targetingKey={long}"));
        assert_eq!(fields.map(Json::Object), Ok(json!({"targetingKey": long})));
        for text in ["targetingKey:=4", "targetingKey:=null", r#"{"targetingKey": true}"#] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("write `targetingKey=VALUE`"), "{error}");
        }
    }

    #[test]
    fn no_number_is_rounded_in_silence() {
        for text in [
            "a=18446744073709551616",
            "a=-9223372036854775809",
            "a:=[1, 12345678901234567890123]",
            r#"{"a": "\"", "b": {"c": 12345678901234567890123}}"#,
        ] {
            assert!(parse(text).unwrap_err().contains("write it as a string"), "{text}");
        }
        for text in [
            r#"a:="12345678901234567890123""#,
            r#"{"a": "\" 12345678901234567890123", "b\\": 1}"#,
            "a:=123456789012345678901.5",
            "a=1e30",
            "a=-0",
        ] {
            parse(text).unwrap();
        }
    }

    #[test]
    fn a_targeting_key_of_another_spelling_is_seen() {
        for name in ["targetingkey", "TargetingKey", "targeting_key", "targeting-key"] {
            let fields = parse(&format!("{name}=4")).unwrap();
            assert_eq!(misspelt(&fields), Some(name));
        }
        for name in ["targetingKey", "key", "target"] {
            assert_eq!(misspelt(&parse(&format!("{name}=4")).unwrap()), None);
        }
    }

    #[test]
    fn other_forms_are_errors() {
        for text in ["a", "{a}", "[1]", "", "=5", ":=5", "a =5", " a=5"] {
            assert!(
                parse(text).unwrap_err().contains(if text == "{a}" {
                    "line 1"
                } else {
                    "NAME=VALUE"
                }),
                "{text}"
            );
        }
    }
}
