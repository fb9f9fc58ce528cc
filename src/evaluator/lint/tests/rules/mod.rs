//! Warnings about rules, each proved by evaluation in many contexts.

mod constants;
mod operators;
mod results;
mod schema;
mod truth;
mod variables;
mod weights;

use serde_json::{Value as Json, json};

use crate::evaluator::{flag_set::FlagSet, lint::lint, outcome::Reason};

/// A definition with the rule in a flag, whose variants are `a`, `b`, `true`, `false` and the
/// default variant `d`.
fn definition(rule: &str) -> String {
    let variants = r#"{"a": 1, "b": 2, "true": 3, "false": 4, "d": 5}"#;
    let flag = format!(
        r#"{{"state":"ENABLED","variants":{variants},"defaultVariant":"d","targeting":{rule}}}"#
    );
    let evaluators = r#"{"e":{"==":[{"var":"x"},1]},"two":{"if":[{"var":"x"},"a","zz"]},
        "on":"on"}"#;
    format!(r#"{{"$evaluators":{evaluators},"flags":{{"f":{flag}}}}}"#)
}

/// The messages of the warnings about a rule.
fn of_rule(rule: &str) -> Vec<String> {
    let warnings = lint(&definition(rule)).unwrap().into_iter();
    warnings.filter(|warning| warning.flag.is_some()).map(|warning| warning.message).collect()
}

/// Contexts with values of every type, and with many users.
fn contexts() -> Vec<Json> {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(2.5),
        json!("a"),
        json!("1"),
        json!(""),
        json!("1.2.3"),
        json!(["a", 1]),
        json!([]),
        json!({"y": 1}),
    ];
    let with = |x: &Json| {
        [json!({"x": x}), json!({"x": x, "targetingKey": "user-1", "y": x, "current": x})]
    };
    let users = (0..40).map(|n| json!({"x": format!("u{n}"), "targetingKey": format!("user-{n}")}));
    values.iter().flat_map(with).chain([json!({})]).chain(users).collect()
}

/// The outcomes of a rule in many contexts, each once: a variant, `null`, or an error code.
fn outcomes(rule: &str) -> Vec<String> {
    let flags = FlagSet::parse(&definition(rule)).unwrap();
    let contexts = contexts().into_iter();
    let outcomes = contexts.map(|context| {
        let outcome = flags.evaluate("f", context.as_object().unwrap());
        match (outcome.error, outcome.reason) {
            (Some(error), _) => error.as_str().to_owned(),
            (None, Reason::Default) => "null".to_owned(),
            (None, _) => outcome.variant.unwrap().to_owned(),
        }
    });
    let mut outcomes: Vec<_> = outcomes.collect();
    outcomes.sort();
    outcomes.dedup();
    outcomes
}

/// Asserts for each rule which warnings it causes, and that they are true: over all contexts, it
/// has exactly the given outcomes.
#[track_caller]
fn assert_true(cases: &[(&str, &[&str], &[&str])]) {
    for (rule, messages, expected) in cases {
        let warned = of_rule(rule);
        assert_eq!(warned.len(), messages.len(), "{rule}: {warned:?}");
        for (warning, message) in warned.iter().zip(*messages) {
            assert!(warning.contains(message), "{rule}: {warning}");
        }
        assert_eq!(outcomes(rule), *expected, "{rule}");
    }
}
