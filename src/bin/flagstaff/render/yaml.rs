//! JSON values as YAML: what `toYaml` and `quote` print.

use std::fmt::Write as _;

use serde_json::Value as Json;

/// A value as YAML in block style, without a line break at the end. Keys are sorted.
pub(super) fn block(value: &Json) -> String {
    let mut out = String::new();
    node(&mut out, value, 0);
    out
}

/// Writes a value whose first line begins at the column `indent`.
///
/// As in the manifests of Kubernetes, an array is not indented below its key.
fn node(out: &mut String, value: &Json, indent: usize) {
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 {
                    line(out, indent);
                }
                *out += &scalar(key);
                out.push(':');
                match value {
                    Json::Object(fields) if !fields.is_empty() => line(out, indent + 2),
                    Json::Array(items) if !items.is_empty() => line(out, indent),
                    _ => out.push(' '),
                }
                let is_object = value.is_object();
                node(out, value, if is_object { indent + 2 } else { indent });
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    line(out, indent);
                }
                *out += "- ";
                node(out, item, indent + 2);
            }
        }
        Json::String(text) => *out += &scalar(text),
        other => {
            let _ = write!(out, "{other}"); // writing to a String cannot fail
        }
    }
}

/// Begins a line.
fn line(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A string, plain where no parser of YAML 1.1 or 1.2 could take it for anything else.
fn scalar(text: &str) -> String {
    const RESERVED: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-./".contains(&c))
        && !RESERVED.contains(&&*text.to_ascii_lowercase());
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// A string in double quotes, which YAML, JSON and minijinja read alike.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    for c in Json::from(text).to_string().chars() {
        // JSON allows these, but YAML does not, or takes them for line breaks.
        let is_forbidden = matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
            || matches!(c, '\u{fffe}' | '\u{ffff}');
        if is_forbidden {
            let _ = write!(out, "\\u{:04x}", u32::from(c)); // writing to a String cannot fail
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use flagstaff::evaluator::FlagSet;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_in_block_style() {
        let value = json!({
            "name": "web", "port": 80, "on": true, "none": null, "ratio": 0.5,
            "labels": { "a/b.c": "x", "empty": {} },
            "args": ["--a", ["x", []], { "k": "v", "l": [1] }],
        });
        let expected = "args:\n- \"--a\"\n- - x\n  - []\n- k: v\n  l:\n  - 1\nlabels:\n  a/b.c: x\n  empty: {}\n\
                        name: web\nnone: null\n\"on\": true\nport: 80\nratio: 0.5";
        assert_eq!(block(&value), expected);
        for (value, expected) in [
            (json!({}), "{}"),
            (json!([]), "[]"),
            (json!("a"), "a"),
            (json!(3), "3"),
            (json!(null), "null"),
        ] {
            assert_eq!(block(&value), expected);
        }
    }

    #[test]
    fn a_string_that_could_be_something_else_is_quoted() {
        for text in [
            "",
            "true",
            "Yes",
            "NO",
            "off",
            "null",
            "y",
            "~",
            "5",
            "0x1F",
            "1e3",
            ".inf",
            "-a",
            "a: b",
            "a #b",
            "2024-01-01",
            "12:30",
            "*a",
            "&a",
            "a\nb",
            " a",
            "a ",
            "!a",
            "%a",
            "@a",
            "{a",
            "[a",
            "- a",
            "?",
            "=",
            "<<",
        ] {
            assert_eq!(scalar(text), Json::from(text).to_string());
        }
        for text in ["web", "v1.2-rc_3", "apps/v1", "_x", "nginx", "nope"] {
            assert_eq!(scalar(text), text);
        }
        assert_eq!(
            quoted("a\"\\\u{7f}\u{2028}\u{feff}é👍\u{1}"),
            "\"a\\\"\\\\\\u007f\\u2028\\ufeffé👍\\u0001\""
        );
    }

    /// The parser of definitions reads every value back.
    #[test]
    fn what_is_written_is_read_back() {
        let strings =
            ["", "a", "a\nb\n", "no", "5", ": #", "\u{85}\u{2028}\t", "é👍", "'\"\\", "- x", "%}"];
        let leaves = strings.map(Json::from).into_iter().chain([
            json!(1),
            json!(-0.5),
            json!(1e30),
            json!(true),
            json!(null),
            json!({}),
            json!([]),
        ]);
        for leaf in leaves {
            let value = json!({
                "o": { "k": leaf, "l": [leaf, [leaf, { "m": leaf }], { "n": [leaf], "z": leaf }] },
                "p": [[[leaf]]],
            });
            let text = block(&value).replace('\n', "\n        ");
            let yaml = format!(
                "flags:\n  f:\n    state: ENABLED\n    variants:\n      v:\n        {text}\n"
            );
            let flags =
                FlagSet::parse_yaml(&yaml).unwrap_or_else(|error| panic!("{error}:\n{yaml}"));
            let definition: Json = serde_json::from_str(flags.definition("f").unwrap()).unwrap();
            assert_eq!(definition["variants"]["v"], value, "{yaml}");
        }
    }
}
