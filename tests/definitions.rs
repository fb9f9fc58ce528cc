//! Whatever the text, a definition is read or refused: nothing panics, nothing hangs, and what is read
//! can be sent on and read again.

// A test that fails may panic.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flagstaff::evaluator::{DefinitionError, FlagSet, lint, lint_yaml};
use proptest::prelude::*;

const DEFINITION: &str = r#"{"$evaluators": {"r": {"==": [{"var": "a"}, "\u017e"]}},
"metadata": {"v": 1.5, "flagSetId": "s"},
"flags": {
  "f": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
        "targeting": {"if": [{"and": [{"$ref": "r"}, {"sem_ver": ["1.2.3", "^", "1.0.0"]}]}, "on"]}},
  "g": {"state": "DISABLED", "variants": {"a": {"x": [1, null]}}, "metadata": {"b": "\"<"}},
  "h": {"variants": {"a": -0.0}, "targeting": {"fractional": [["a", 1], ["b", 1e2]]}}
}}"#;

const YAML: &str = "x: &x\n  state: ENABLED\n  variants: {on: true, 'off': no, 1: 0x1F}\nflags:\n  f:\n    \
    <<: *x\n    targeting:\n      if:\n      - \"==\": [{var: a}, 2024-01-05]\n      - on\n  g: *x\n  h: # \
    note\n    state: |\n      DISABLED\n    metadata: {? a : !!str 5, b: .5}\n";

/// Reads a text in every way.
fn read(text: &str) {
    for parsed in [FlagSet::parse(text), FlagSet::parse_yaml(text)] {
        match parsed {
            Ok(set) => check(&set),
            Err(error) => check_places(text, &error),
        }
    }
    for warned in [lint(text), lint_yaml(text)].into_iter().flatten() {
        for warning in warned {
            assert!(is_place(text, warning.line, warning.column), "{warning} of {text:?}");
        }
    }
}

/// What is sent on is the same set again.
fn check(set: &FlagSet) {
    let flags = set.keys().map(|key| {
        let key_text = serde_json::to_string(key).unwrap();
        format!("{key_text}:{}", set.definition(key).unwrap())
    });
    let text = format!(r#"{{"flags":{{{}}}}}"#, flags.collect::<Vec<_>>().join(","));
    let again = FlagSet::parse(&text).unwrap();
    assert_eq!(again.changes_since(set), BTreeMap::default(), "{text}");
}

fn check_places(text: &str, error: &DefinitionError) {
    match error {
        DefinitionError::Syntax { line, column, .. } => {
            assert!(is_place(text, *line, *column), "{error} of {text:?}");
        }
        DefinitionError::Invalid(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(is_place(text, problem.line, problem.column), "{problem} of {text:?}");
            }
        }
        _ => {}
    }
}

/// Whether there is such a place, or it is just behind the text.
fn is_place(text: &str, line: usize, column: usize) -> bool {
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
    (1..=lines.count() + 1).contains(&line) && (1..=text.chars().count() + 2).contains(&column)
}

/// A text that is nearly the given one: parts of it gone, doubled or in other places.
fn nearly(text: &'static str) -> impl Strategy<Value = String> {
    let cut = (any::<prop::sample::Index>(), 0..40usize, any::<prop::sample::Index>(), 0..4u8);
    let noise = prop::sample::select(vec![
        "",
        "\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\\",
        "\\ud800",
        "null",
        "1e999",
        "{}",
        "\n",
        "  ",
        "- ",
        "*x",
        "&x ",
        "<<: ",
        "? ",
        "\t",
        "\u{feff}",
        "\u{85}",
        "$ref",
        "\"$ref\": \"r\"",
        "!!int ",
        "|\n",
    ]);
    prop::collection::vec((cut, noise), 1..6).prop_map(move |edits| {
        let mut chars: Vec<char> = text.chars().collect();
        for ((from, length, to, kind), noise) in edits {
            let from = from.index(chars.len() + 1);
            let end = (from + length).min(chars.len());
            let part: Vec<char> = match kind {
                0 => chars.drain(from..end).collect(),
                1 => chars[from..end].to_vec(),
                2 => noise.chars().collect(),
                _ => {
                    chars.drain(from..end);
                    noise.chars().collect()
                }
            };
            let to = to.index(chars.len() + 1);
            if kind > 0 {
                chars.splice(to..to, part);
            }
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text(text in "\\PC{0,80}") {
        read(&text);
    }

    #[test]
    fn text_of_marks(text in "[\\[\\]{}:,\"'\\\\ \n&*?!|>#a0.u~<-]{0,60}") {
        read(&text);
    }

    #[test]
    fn nearly_json(text in nearly(DEFINITION)) {
        read(&text);
    }

    #[test]
    fn nearly_yaml(text in nearly(YAML)) {
        read(&text);
    }
}

#[test]
fn the_definitions_are_valid() {
    check(&FlagSet::parse(DEFINITION).unwrap());
    assert_eq!(FlagSet::parse_yaml(YAML).unwrap().len(), 3);
}

#[test]
fn deep_texts_are_refused() {
    let around = [("[", "]"), (r#"{"a":"#, "}"), (r#"{"!":["#, "]}"), ("- ", ""), ("{a: ", "}")];
    for (open, close) in around {
        for depth in [1_000, 100_000] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let flag = format!(r#"{{"flags": {{"f": {{"targeting": {deep}}}}}}}"#);
            for text in [&deep, &flag] {
                assert!(FlagSet::parse(text).is_err() && FlagSet::parse_yaml(text).is_err());
                let _ = (lint(text), lint_yaml(text));
            }
        }
    }
}
