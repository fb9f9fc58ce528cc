//! What the linter warns about in a definition, and what it does not.

mod rules;

use serde_json::json;

use super::*;
use crate::evaluator::{flag_set::FlagSet, outcome::ErrorCode};

fn warned(text: &str) -> Vec<String> {
    lint(text).unwrap().iter().map(ToString::to_string).collect()
}

fn of_flag(fields: &str) -> Vec<String> {
    let warnings = lint(&format!(r#"{{"flags":{{"f":{{{fields}}}}}}}"#)).unwrap();
    assert!(warnings.iter().all(|warning| warning.flag.as_deref() == Some("f")));
    warnings.into_iter().map(|warning| warning.message).collect()
}

#[test]
fn nothing_to_warn_of() {
    let definition = r#"{"$schema": "x", "metadata": {"flagSetId": "s", "n": 1, "b": true},
        "$evaluators": {"e": {"==": [{"var": "a"}, 1]}}, "flags": {
        "f": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": null,
            "targeting": {"if": [{"$ref": "e"}, "on"]}, "metadata": {}, "note": 1},
        "g": {"state": "DISABLED", "variants": {"o": {"x": []}}, "targeting": {}}}}"#;
    assert_eq!(warned(definition), [""; 0]);
    assert_eq!(
        warned(r#"{"flags": [{"key": "f", "state": "ENABLED", "variants": {"a": ""}}]}"#),
        [""; 0]
    );
}

#[test]
fn sections() {
    assert_eq!(warned("{}"), ["line 1, column 1: `flags` is missing"]);
    assert_eq!(
        warned("{\"flags\": null,\n\"$evaluators\": [],\n\"metadata\": {\"x\": [], \"y\": null}}"),
        [
            "line 1, column 11: `flags` should be an object",
            "line 2, column 16: `$evaluators` should be an object",
            "line 3, column 19: the metadata `x` should be a string, a number or a boolean",
            "line 3, column 28: the metadata `y` should be a string, a number or a boolean",
        ]
    );
    assert_eq!(
        warned(r#"{"flags": {}, "$evaluators": {"": {"var": "x"}, "e": 1}}"#),
        [
            "line 1, column 31: the name of an evaluator should be one line, and not empty",
            "line 1, column 54: a rule should be an object",
        ]
    );
}

#[test]
fn flags_and_their_keys() {
    let flag = r#""state": "ENABLED", "variants": {"a": 1}"#;
    assert_eq!(
        warned(&format!(r#"{{"flags": {{"": {{{flag}}}, "b": null}}}}"#)),
        [
            "flag `` (line 1, column 12): the name of a flag should be one line, and not empty",
            "flag `b` (line 1, column 65): a flag should be an object",
        ]
    );
    assert_eq!(
        warned(&format!(r#"{{"flags": [{{{flag}}}, {{"key": "", {flag}}}]}}"#)),
        [
            "line 1, column 12: a flag in an array needs a `key`",
            "line 1, column 64: `key` should be a string, and not empty",
        ]
    );
}

#[test]
fn fields_of_flags() {
    for (fields, messages) in [
        (
            r#""x": 1"#,
            vec!["`state` is missing: the flag counts as enabled", "`variants` is missing"],
        ),
        (
            r#""state": "enabled", "variants": {}"#,
            vec![
                "`state` should be `ENABLED` or `DISABLED`: the flag counts as enabled; did you mean `ENABLED`?",
                "`variants` is empty",
            ],
        ),
        (
            r#""state": "ENABLED", "variants": null, "defaultVariant": 1"#,
            vec!["`variants` should be an object", "`defaultVariant` should be a string or null"],
        ),
        (
            r#""state": "ENABLED", "variants": {"a": 1, "b": "x", "c": [], "": 2}"#,
            vec![
                "the variant `b` is a string, but `a` is a number",
                "the variant `c` is an array: values should be booleans, strings, numbers or objects",
                "the name of a variant should be one line, and not empty",
            ],
        ),
        (
            r#""state": "DISABLED", "state": "ENABLED", "variants": {"a": 1}"#,
            vec!["`state` occurs twice: only the last counts"],
        ),
        (
            r#""state": "ENABLED", "variants": {"a": 1}, "metadata": null, "targeting": null"#,
            vec!["`metadata` should be an object", "a rule should be an object"],
        ),
    ] {
        assert_eq!(of_flag(fields), messages, "{fields}");
    }
}

#[test]
fn yaml_has_places_too() {
    let warnings = lint_yaml("flags:\n  f:\n    state: On\n    variants: {a: 1}\n").unwrap();
    assert_eq!(
        warnings[0].to_string(),
        "flag `f` (line 3, column 12): `state` should be `ENABLED` or `DISABLED`: the flag counts as enabled"
    );
    assert!(lint("{").is_err());
    assert!(lint_yaml("a: [").is_err());
}

#[test]
fn evaluators_that_do_not_work() {
    let flag = |rule: &str| {
        format!(r#""flags":{{"f":{{"state":"ENABLED","variants":{{"a":1}},"targeting":{rule}}}}}"#)
    };
    let within = "a reference within an evaluator is not replaced: it fails (PARSE_ERROR) where it \
        is evaluated";
    for (evaluators, rule, expected) in [
        (r#"{"p":{"!":[{"$ref":"q"}]},"q":{"!!":{"var":"x"}}}"#, r#"{"if":[{"$ref":"p"},"a"]}"#, 1),
        (r#"{"p":{"and":[{"$ref":"p"}]}}"#, r#"{"if":[{"$ref":"p"},"a"]}"#, 1),
        (
            r#"{"p":{"and":[{"$ref":"q"}]},"q":{"and":[{"$ref":"p"}]}}"#,
            r#"{"if":[{"$ref":"p"},"a"]}"#,
            2,
        ),
    ] {
        let text = format!(r#"{{"$evaluators":{evaluators},{}}}"#, flag(rule));
        let warnings = lint(&text).unwrap();
        assert_eq!(warnings.iter().filter(|w| w.message == within).count(), expected, "{text}");
        let flags = FlagSet::parse(&text).unwrap();
        for context in [json!({}), json!({"x": 1})] {
            let outcome = flags.evaluate("f", context.as_object().unwrap());
            let fails = outcome.error.is_some_and(|error| error.as_str() == "PARSE_ERROR");
            assert!(fails, "{text}: {outcome:?}");
        }
    }
    // The results of an evaluator are those of the flag, and reported at the reference.
    let text = format!(
        r#"{{{},"$evaluators":{{"p":{{"if":[{{"var":"x"}},"a","b"]}}}}}}"#,
        flag(r#"{"if":[true,{"$ref":"p"}]}"#)
    );
    let warned: Vec<_> = lint(&text).unwrap();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert_eq!(warned[0].message, "`b` is not a variant of the flag (GENERAL)");
    assert_eq!(warned[0].column, text.find(r#""p"}"#).unwrap() + 1);
    // flagd looks up the JSON text of a name.
    let text = format!(
        r#"{{"$evaluators":{{"p&q":{{"var":"x"}}}},{}}}"#,
        flag(r#"{"if":[{"$ref":"p&q"},"a"]}"#)
    );
    assert!(lint(&text).unwrap()[0].message.starts_with("flagd does not find an evaluator"));
    let outcome = FlagSet::parse(&text).unwrap();
    let outcome = outcome.evaluate("f", &serde_json::Map::new());
    assert_eq!(outcome.error.map(ErrorCode::as_str), Some("PARSE_ERROR"));
}

/// A comparison may be the whole rule of a flag, whose variants must then have these names.
#[test]
fn true_and_false_are_variants_too() {
    let of = |variants: &str, rule: &str| {
        of_flag(&format!(r#""state":"ENABLED","variants":{variants},"targeting":{rule}"#))
    };
    let rule = r#"{"ends_with":[{"var":"email"},"@corp.example"]}"#;
    let expected = ["`false` is not a variant of the flag (GENERAL)"];
    assert_eq!(of(r#"{"true":1,"off":2}"#, rule), expected);
    assert_eq!(of(r#"{"on":1,"off":2}"#, rule).len(), 2);
    assert_eq!(of(r#"{"true":1,"false":2}"#, rule), [""; 0]);
    let rule = r#"{"and":[{"==":[{"var":"x"},1]},"on"]}"#;
    assert_eq!(of(r#"{"on":1,"off":2}"#, rule), expected);
    let escaped = of(r#"{"<on>":1}"#, r#"{"if":[true,"<on>"]}"#);
    assert!(
        escaped[0].starts_with("no rule can choose the variant `<on>` (GENERAL)"),
        "{escaped:?}"
    );
}

#[test]
fn names_of_fields_that_are_nearly_known() {
    let message_of = |fields: &str| {
        let fields = format!(r#""state":"ENABLED","variants":{{"a":1}},{fields}"#);
        of_flag(&fields).join("; ")
    };
    assert_eq!(
        message_of(r#""targetting":{}"#),
        "`targetting` is not a field of a flag: did you mean `targeting`?"
    );
    assert_eq!(
        message_of(r#""default_variant":"a""#),
        "`default_variant` is not a field of a flag: did you mean `defaultVariant`?"
    );
    assert_eq!(
        message_of(r#""defaultvariant":"a""#),
        "providers other than flagd know only `defaultVariant`, not `defaultvariant`"
    );
    for fields in
        [r#""key":"f""#, r#""source":"x""#, r#""owner":1"#, r#""targeting":{},"target":1"#]
    {
        assert_eq!(message_of(fields), "", "{fields}");
    }
    // Of two fields that differ in case only one counts, and only that one is checked.
    for (fields, message) in [
        (
            r#""Targeting":{"nope":[]},"targeting":{"if":[true,"a"]}"#,
            "flagd ignores `Targeting` beside `targeting`",
        ),
        (
            r#""defaultvariant":"a","defaultVariant":1"#,
            "providers other than flagd know only `defaultVariant`, not `defaultvariant`; flagd \
             ignores `defaultVariant` beside `defaultvariant`",
        ),
        (
            r#""Metadata":{"x":1},"metadata":{"y":1}"#,
            "providers other than flagd know only `metadata`, not `Metadata`",
        ),
    ] {
        assert_eq!(message_of(fields), message);
    }
    let text = r#"{"flags":{"f":{"variants":{"a":1},"targeting":"a","Targeting":{"nope":[]}}}}"#;
    let flags = FlagSet::parse(text).unwrap();
    let outcome = flags.evaluate("f", &serde_json::Map::new());
    assert_eq!(outcome.variant, Some("a"));
    // What flagd reads is checked, whatever its case.
    let flag = r#"{"State":"on","Variants":{"a":1},"TARGETING":{"nope":[]}}"#;
    let warned = warned(&format!(r#"{{"Flags":{{"f":{flag}}}}}"#));
    assert_eq!(warned.len(), 6, "{warned:#?}");
}

#[test]
fn flags_that_are_left_out() {
    let flag = r#""key":"f","state":"ENABLED","variants":{"a":1}"#;
    let text = format!(r#"{{"metadata":{{"flagSetId":""}},"flags":[{{{flag}}},{{{flag}}}]}}"#);
    assert_eq!(
        warned(&text),
        [
            "line 1, column 26: flags of a flag set without a name are left out",
            "flag `f` (line 1, column 39): a later flag has the same key: only the last counts",
        ]
    );
    assert_eq!(FlagSet::parse(&text).unwrap().len(), 0);
}

#[test]
fn numbers_that_are_read_as_others() {
    let of = |value: &str| of_flag(&format!(r#""state":"ENABLED","variants":{{"a":{value}}}"#));
    let warning = |read: &str| {
        vec![format!("a 64-bit float cannot represent this number, which is read as {read}")]
    };
    assert_eq!(of("9007199254740993"), warning("9007199254740992"));
    assert_eq!(of(r#"{"x":[-9007199254740993]}"#), warning("-9007199254740992"));
    assert_eq!(of("1e-400"), warning("0"));
    for exact in ["9007199254740992", "1e300", "0.1", "-0", "18446744073709551616"] {
        assert_eq!(of(exact), [""; 0], "{exact}");
    }
    let yaml = "flags:\n  f:\n    state: ENABLED\n    variants:\n      a: 0x20000000000001\n      \
        b: 1_000\n      c: 1e400\n      d: \"1e400\"\n";
    let warned: Vec<_> = lint_yaml(yaml).unwrap();
    let of_lines = |line| {
        let warnings = warned.iter().filter(move |warning| warning.line == line);
        warnings.map(|warning| &*warning.message).collect::<Vec<_>>().join("; ")
    };
    assert!(of_lines(5).contains("read as 9007199254740992"), "{warned:?}");
    assert_eq!(of_lines(6), "");
    assert!(of_lines(7).contains("too large for a 64-bit float, and is read as a string"));
    assert!(!of_lines(8).contains("64-bit"));
}

#[test]
fn examples_are_right() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flags.json");
    assert_eq!(warned(&std::fs::read_to_string(examples).unwrap()), [""; 0]);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    type Lint = fn(&str) -> Result<Vec<Diagnostic>, DefinitionError>;
    type Parse = fn(&str) -> Result<FlagSet, DefinitionError>;
    let flag = r#"{"f":{"state":"MAYBE","variants":{"a":1}}}"#;
    let json = format!("{{\"flags\":{flag}}}");
    let yaml = format!("flags: {flag}\n");
    for (text, lint, parse) in [
        (json, lint as Lint, FlagSet::parse as Parse),
        (yaml, lint_yaml as Lint, FlagSet::parse_yaml as Parse),
    ] {
        let marked = format!("\u{feff}{text}");
        assert_eq!(lint(&marked), lint(&text));
        assert_eq!(lint(&marked).unwrap().len(), 1);
        assert_eq!(parse(&marked).unwrap().definition("f"), parse(&text).unwrap().definition("f"));
        for broken in [text.replace("\"MAYBE\"", "1"), text.replace("}}}", "}}}]")] {
            let error = parse(&broken).unwrap_err();
            assert_eq!(parse(&format!("\u{feff}{broken}")).unwrap_err(), error);
        }
    }
    assert!(FlagSet::parse("\u{feff}\u{feff}{}").is_err());
}

#[test]
fn what_is_quoted_stays_in_its_line() {
    let text = r#"{"flags": {"a\nb": {"state": "ENABLED", "variants": {"on": true},
        "targeting": {"no\u001b[31m\npe": [1]}}}}"#;
    let warned = warned(text);
    assert!(warned.iter().all(|warning| !warning.contains(char::is_control)), "{warned:?}");
    assert!(warned[1].contains(r"flag `a\nb`") && warned[1].contains(r"`no\u{1b}[31m\npe` is"));
    let error = lint_yaml("flags:\n  \"a\\e\": 1\n  \"a\\e\": 2\n").unwrap_err().to_string();
    assert!(error.contains(r"a\u{1b}"), "{error}");
}
