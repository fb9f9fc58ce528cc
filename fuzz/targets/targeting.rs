//! Any rule of known and unknown operators, for any context: it gives an outcome, and ends.
//!
//! The rule and the context are grown from the fuzzer's bytes, so that most inputs get past the
//! parser.
#![no_main]

use flagstaff::{Bucketing, evaluator::FlagSet};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

const OPERATORS: [&str; 42] = [
    "var",
    "missing",
    "missing_some",
    "if",
    "?:",
    "==",
    "===",
    "!=",
    "!==",
    "!",
    "!!",
    "or",
    "and",
    ">",
    ">=",
    "<",
    "<=",
    "max",
    "min",
    "+",
    "-",
    "*",
    "/",
    "%",
    "map",
    "reduce",
    "filter",
    "all",
    "none",
    "some",
    "merge",
    "in",
    "cat",
    "substr",
    "starts_with",
    "ends_with",
    "sem_ver",
    "fractional",
    "abs",
    "$ref",
    "set",
    "nonsense",
];
const TEXTS: [&str; 18] = [
    "",
    "a",
    "b",
    "c",
    "a.b",
    "0",
    "1",
    "-1",
    "1.2.3",
    "v1.2",
    "^",
    "~",
    ">=",
    "targetingKey",
    "current",
    "accumulator",
    "é",
    "$flagd.timestamp",
];
const NUMBERS: [f64; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    100.0,
    2_147_483_648.0,
    9_007_199_254_740_993.0,
    1e300,
    -1e19,
    1e-300,
];
const DEPTH: usize = 12;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.iter().copied();
    let (rule, shared) = (grow(&mut bytes, DEPTH), grow(&mut bytes, DEPTH));
    let context: Map<String, Value> = ["a", "b", "c", "targetingKey"]
        .map(|name| (name.to_owned(), grow(&mut bytes, 3)))
        .into_iter()
        .collect();
    let definition = json!({
        "$evaluators": { "a": shared },
        "flags": { "flag": {
            "state": "ENABLED",
            "variants": { "a": true, "b": "text", "1": 1.5, "true": { "x": [1] } },
            "defaultVariant": "a",
            "targeting": rule,
        } },
    });
    let Ok(flags) = FlagSet::parse(&definition.to_string()) else { return };
    for bucketing in [Bucketing::String, Bucketing::Cbor] {
        let flags = flags.clone().with_bucketing(bucketing);
        let outcome = flags.evaluate("flag", &context);
        let _ = (
            outcome.boolean(),
            outcome.string(),
            outcome.integer(),
            outcome.float(),
            outcome.object(),
        );
    }
});

/// A value of these bytes; null when they are used up.
fn grow(bytes: &mut impl Iterator<Item = u8>, depth: usize) -> Value {
    let Some(kind) = bytes.next() else { return Value::Null };
    let mut next = || usize::from(bytes.next().unwrap_or_default());
    match kind % 8 {
        0 => json!(next() % 2 == 0),
        1 => json!(TEXTS[next() % TEXTS.len()]),
        2 => json!(NUMBERS[next() % NUMBERS.len()]),
        3 => json!(next()),
        4 if depth > 0 => {
            let count = next() % 5;
            (0..count).map(|_| grow(&mut *bytes, depth - 1)).collect()
        }
        5..=7 if depth > 0 => {
            let operator = OPERATORS[next() % OPERATORS.len()];
            let argument = match next() % 8 {
                0 => grow(bytes, depth - 1),
                count => (0..count.min(5)).map(|_| grow(&mut *bytes, depth - 1)).collect(),
            };
            json!({ operator: argument })
        }
        _ => Value::Null,
    }
}
