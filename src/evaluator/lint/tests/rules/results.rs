//! Warnings about results that are not variants of the flag.

use serde_json::json;

use super::assert_true;
use crate::evaluator::{flag_set::FlagSet, lint::lint};

#[test]
fn results() {
    let general = "is not a variant of the flag (GENERAL)";
    assert_true(&[
        (
            r#""c""#,
            &["`c` is not a variant of the flag (GENERAL)", "a rule should be an object"],
            &["GENERAL"],
        ),
        (
            r#"{"if":[{"var":"x"},"A","B"]}"#,
            &["`A` is not a variant of the flag (GENERAL); did you mean `a`?", general],
            &["GENERAL"],
        ),
        (
            r#"{"if":[{"==":[{"var":"x"},1]},{"if":[{"var":"y"},"p","q"]},1]}"#,
            &[general, general, general],
            &["GENERAL"],
        ),
        (r#"{"fractional":[["x",1],["y",1]]}"#, &[general, general], &["GENERAL", "null"]),
        (r#"{"or":[{"var":"nowhere"},"c"]}"#, &[general], &["GENERAL"]),
        (r#"{"and":[true,"c"]}"#, &[general], &["GENERAL"]),
        (r#"{"cat":["c","d"]}"#, &["`cd` is not a variant"], &["GENERAL"]),
        (r#"{"var":["nowhere","c"]}"#, &[general], &["GENERAL"]),
        (r#"[1,"a"]"#, &["`[1,a]` is not a variant", "a rule should be an object"], &["GENERAL"]),
        (
            r#"{"<":[1,2],"<=":[1,2]}"#,
            &["a rule should have one operator: flagd evaluates none of these"],
            &["GENERAL"],
        ),
    ]);
}

#[test]
fn results_of_a_type_that_no_variant_has() {
    let array = "an array is not a variant of the flag (GENERAL)";
    let object = "an object is not a variant of the flag (GENERAL)";
    let number = "a number is not a variant of the flag (GENERAL)";
    assert_true(&[
        (r#"{"+":[1,2]}"#, &["`3` is not a variant of the flag (GENERAL)"], &["GENERAL"]),
        (r#"{"+":[{"var":"$flagd.timestamp"},1]}"#, &[number], &["GENERAL"]),
        (r#"{"max":[1,{"var":"x"}]}"#, &[number], &["GENERAL", "PARSE_ERROR"]),
        (r#"{"merge":[["on"]]}"#, &["`[on]` is not a variant of the flag (GENERAL)"], &["GENERAL"]),
        (r#"{"merge":[{"var":"x"}]}"#, &[array], &["GENERAL"]),
        (r#"{"missing":["a"]}"#, &[array], &["GENERAL"]),
        (r#"{"missing":"a"}"#, &[array, "`missing` takes an array"], &["GENERAL"]),
        (r#"{"if":[{"missing":["zz"]},{"missing":["zz"]}]}"#, &[array], &["GENERAL"]),
        (r#"{"filter":[[1,2],{"var":""}]}"#, &[array], &["GENERAL"]),
        (r#"{"var":""}"#, &[object], &["GENERAL"]),
        (r#"{"var":[]}"#, &[object], &["GENERAL"]),
        (r#"{"var":["."]}"#, &[object], &["GENERAL"]),
        (r#"{"var":"$flagd"}"#, &[object], &["GENERAL"]),
        (r#"{"var":"$flagd.timestamp"}"#, &[number], &["GENERAL"]),
        (r#"{"var":["$flagd.timestamp","zz"]}"#, &[number], &["GENERAL"]),
    ]);
    // Variants may have such names.
    let of = |variant: &str, rule: &str| {
        let variants = json!({variant: 1});
        let flag = json!({"state": "ENABLED", "variants": variants, "targeting": "RULE"});
        let text = json!({"flags": {"f": flag}}).to_string().replace("\"RULE\"", rule);
        let flags = FlagSet::parse(&text).unwrap();
        let outcome = flags.evaluate("f", &serde_json::Map::new());
        (lint(&text).unwrap().len(), outcome.variant.map(str::to_owned))
    };
    for (variant, rule) in [
        ("[a]", r#"{"missing":["a"]}"#),
        ("-1", r#"{"-":[{"var":["n",1]}]}"#),
        ("3", r#"{"+":[1,2]}"#),
        ("false", r#"{"!":{"cat":["a"]}}"#),
    ] {
        let (warnings, given) = of(variant, rule);
        let negation = rule.starts_with(r#"{"!""#);
        assert_eq!(warnings, usize::from(negation), "{rule}");
        assert_eq!(given.as_deref(), Some(variant), "{rule}");
    }
}
