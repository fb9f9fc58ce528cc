//! Any text is accepted or rejected as a definition: nothing panics or hangs, and an accepted
//! definition can be forwarded and parsed again.

use std::{collections::BTreeMap, time::Duration};

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

/// Parses a text in every way.
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

/// What is forwarded is the same flag set.
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

/// Whether the position is in the text or just after its end.
fn is_place(text: &str, line: usize, column: usize) -> bool {
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
    (1..=lines.count() + 1).contains(&line) && (1..=text.chars().count() + 2).contains(&column)
}

/// A text that is nearly the given one: parts are removed, doubled or moved.
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
fn deeply_nested_definitions_are_rejected() {
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

/// A log line and an event contain the message; a program sees all problems.
#[test]
fn the_length_of_an_error_is_bounded() {
    let invalid = |count| wide((0..count).map(|n| format!(r#""f{n}":{{"state":1}}"#)));
    for (count, end) in
        [(20, "`f19` (line 1, column "), (21, "; and 1 more"), (5000, "; and 4980 more")]
    {
        let error = FlagSet::parse(&invalid(count)).unwrap_err();
        let DefinitionError::Invalid(problems) = &error else { panic!("{error}") };
        assert_eq!(problems.len(), count);
        let text = error.to_string();
        assert!(text.contains(end) && text.contains("`f0` ") && !text.contains("`f20` "), "{text}");
        assert_eq!(text.contains(" more"), count > 20, "{text}");
        assert!(text.len() < 4000, "{} bytes", text.len());
    }
    for character in ["x", "é"] {
        let (key, variant) = (character.repeat(100_000), character.repeat(50_000));
        let flag = format!(
            r#""{key}":{{"state":"ENABLED","variants":{{}},"defaultVariant":"{variant}"}}"#
        );
        let error = FlagSet::parse(&wide(std::iter::once(flag))).unwrap_err();
        let DefinitionError::Invalid(problems) = &error else { panic!("{error}") };
        assert!(problems[0].message.contains(&variant));
        for text in [error.to_string(), problems[0].to_string()] {
            assert!(text.contains('…') && text.chars().count() < 600, "{} bytes", text.len());
        }
    }
}

/// A definition on one line.
fn wide(flags: impl Iterator<Item = String>) -> String {
    format!(r#"{{"flags":{{{}}}}}"#, flags.collect::<Vec<_>>().join(","))
}

const VALID: &str = r#""state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on""#;

fn with_one_broken(flags: usize) -> String {
    wide((0..flags).map(|n| match n + 1 {
        last if last == flags => format!(r#""f{n}":{{"state":1}}"#),
        _ => format!(r#""f{n}":{{{VALID}}}"#),
    }))
}

fn with_all_broken(flags: usize) -> String {
    wide((0..flags).map(|n| format!(r#""f{n}":{{"state":1}}"#)))
}

fn with_variables(variables: usize) -> String {
    let variables = (0..variables).map(|n| format!(r#"{{"var":"v{n}"}}"#));
    let rule = format!(r#"{{"cat":[{}]}}"#, variables.collect::<Vec<_>>().join(","));
    wide(std::iter::once(format!(r#""f":{{{VALID},"targeting":{rule}}}"#)))
}

fn with_references(flags: usize) -> String {
    let rule = r#"{"==":[{"var":"x"},"y"]}"#;
    let rules = (0..flags).map(|n| format!(r#""r{n}":{rule}"#)).collect::<Vec<_>>().join(",");
    let flag = |n| format!(r#""f{n}":{{{VALID},"targeting":{{"if":[{{"$ref":"r{n}"}},"on"]}}}}"#);
    let flags = wide((0..flags).map(flag));
    format!(r#"{{"$evaluators":{{{rules}}},{}"#, &flags[1..])
}

/// The CPU time of this thread, whatever else the machine does.
#[cfg(unix)]
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap()
}

#[cfg(not(unix))]
fn thread_time() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

/// Asserts that the time is linear in the size of the text: four times the text takes about four
/// times as long, where quadratic work takes 16 times as long. Only the CPU time of this thread
/// counts; the caches of a busy machine may still disturb a measurement, so one success out of a
/// few is enough.
#[track_caller]
fn assert_linear(text: impl Fn(usize) -> String, read: impl Fn(&str)) {
    const SIZE: usize = 20_000;
    let (small, large) = (text(SIZE / 4), text(SIZE));
    let time = |text: &str| {
        let start = thread_time();
        read(text);
        thread_time().saturating_sub(start)
    };
    let mut measured = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        measured = (measured.0.min(time(&small)), measured.1.min(time(&large)));
        // A duration this long is not a disturbance.
        if measured.1 < measured.0 * 8 || measured.1 > Duration::from_secs(10) {
            break;
        }
    }
    assert!(measured.1 < measured.0 * 8, "not linear: {measured:?}");
}

#[test]
fn one_broken_flag_among_many_is_found_in_linear_time() {
    assert_linear(with_one_broken, |text| {
        let error = FlagSet::parse(text).unwrap_err();
        let DefinitionError::Invalid(problems) = &error else { panic!("{error}") };
        let column = text.find("{\"state\":1}").unwrap() + 10;
        assert_eq!((problems.len(), problems[0].line, problems[0].column), (1, 1, column));
    });
}

#[test]
fn many_broken_flags_are_found_in_linear_time() {
    assert_linear(with_all_broken, |text| {
        let flags = text.matches("state").count();
        for error in [FlagSet::parse(text).unwrap_err(), FlagSet::parse_yaml(text).unwrap_err()] {
            let DefinitionError::Invalid(problems) = &error else { panic!("{error}") };
            assert_eq!(problems.len(), flags);
            assert!(problems.is_sorted_by_key(|problem| problem.column));
        }
    });
}

#[test]
fn many_flags_are_linted_in_linear_time() {
    assert_linear(with_one_broken, |text| assert_eq!(lint(text).unwrap().len(), 2));
}

#[test]
fn many_variables_are_compiled_in_linear_time() {
    assert_linear(with_variables, |text| assert_eq!(FlagSet::parse(text).unwrap().len(), 1));
}

#[test]
fn many_references_are_replaced_in_linear_time() {
    assert_linear(with_references, |text| {
        let set = FlagSet::parse(text).unwrap();
        assert!(set.definition("f7").unwrap().contains("\"y\""));
    });
}

#[test]
fn references_that_make_a_definition_too_large_are_rejected() {
    let rule = format!(r#"{{"cat":["{}"]}}"#, "x".repeat(80_000));
    let flags = |count| {
        let flag = |n| format!(r#""f{n}":{{{VALID},"targeting":{{"$ref":"r"}}}}"#);
        format!(r#"{{"$evaluators":{{"r":{rule}}},{}"#, &wide((0..count).map(flag))[1..])
    };
    assert_eq!(FlagSet::parse(&flags(100)).unwrap().len(), 100);
    let error = FlagSet::parse(&flags(200)).unwrap_err();
    let DefinitionError::Invalid(problems) = &error else { panic!("{error}") };
    let last = problems.last().unwrap();
    assert_eq!((last.flag.as_deref(), last.line), (Some("f199"), 1));
    let message = "`targeting`: references to evaluators make the definition too large";
    assert!(last.message.contains(message), "{last}");
}

// Where flagd differs or depends on chance: the table in `flagstaff::evaluator`.

#[test]
fn flags_are_not_given_by_reference() {
    let text = format!(
        r#"{{"$evaluators": {{"all": {{"f": {{{VALID}}}}}}}, "flags": {{"$ref": "all"}}}}"#
    );
    for error in [FlagSet::parse(&text).unwrap_err(), FlagSet::parse_yaml(&text).unwrap_err()] {
        assert!(error.to_string().contains("flag `$ref` (line 1, column "), "{error}");
    }
}

#[test]
fn of_two_flags_with_the_same_key_the_later_wins() {
    let flag = |set, value| {
        format!(
            r#"{{"key":"f","state":"ENABLED","variants":{{"v":{value}}},"defaultVariant":"v",
            "metadata":{{"flagSetId":"{set}"}}}}"#
        )
    };
    // The flag set that sorts last.
    for (first, second) in [("a", "b"), ("b", "a")] {
        let text = format!(r#"{{"flags":[{},{}]}}"#, flag(first, 1), flag(second, 2));
        let set = FlagSet::parse(&text).unwrap();
        assert_eq!((set.len(), set.default_value("f")), (1, Some(&2.into())));
        assert_eq!(set.flag_metadata("f").unwrap()["flagSetId"], second);
    }
}

#[test]
fn yaml_may_contain_escaped_slashes_and_control_characters() {
    for (written, read) in [
        (r"a\/b", "a/b"),
        ("\u{7f}", "\u{7f}"),
        ("\u{80}", "\u{80}"),
        ("\u{9f}", "\u{9f}"),
        ("\u{1}", "\u{1}"),
    ] {
        let text = format!(
            "flags:\n  f:\n    state: ENABLED\n    variants: {{v: \"{written}\"}}\n    defaultVariant: v\n"
        );
        let set = FlagSet::parse_yaml(&text).unwrap();
        assert_eq!(set.default_value("f"), Some(&read.into()), "{written:?}");
    }
}
