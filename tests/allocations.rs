//! An evaluation allocates nothing: its result borrows from the flags, and what a rule reads
//! borrows from the caller's context. Operators that produce strings or arrays are left out.

// A test that fails may panic.
#![allow(clippy::unwrap_used)]

use flagstaff::{
    Bucketing,
    evaluator::{FlagSet, Reason},
    flagd::LocalContext,
};
use open_feature::EvaluationContext;
use serde_json::{Map, Value, json};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Rules, each with the variant that it returns.
fn rules() -> Vec<(Value, &'static str)> {
    let email = json!({"var": "email"});
    let age = json!({"var": "age"});
    let equals = |n| json!({"==": [{"var": "country"}, format!("country-{n}")]});
    let mut branches: Vec<Value> = (0..19).flat_map(|n| [equals(n), json!("no")]).collect();
    branches.push(json!("yes"));
    let shares = |count: usize| (0..count).map(|_| json!(["yes", 1]));
    let fractional = |by: Value, count: usize| json!({"fractional": std::iter::once(by).chain(shares(count)).collect::<Vec<_>>()});
    let sum: Vec<Value> = (0..40).map(|_| age.clone()).collect();
    vec![
        (json!({}), "default"),
        (json!(null), "default"),
        (json!({"if": [{"ends_with": [email, "@corp.example"]}, "yes", "no"]}), "yes"),
        (json!({"if": [{"starts_with": [email, "john"]}, "no", "yes"]}), "yes"),
        (json!({"if": branches}), "yes"),
        (json!({"in": ["corp", email]}), "true"),
        (json!({"in": [{"var": "country"}, ["at", "de", "cz"]]}), "true"),
        (json!({"!": [{"in": [age, [1, 2, [10, 20]]]}]}), "true"),
        (json!({"and": [{">": [age, 18]}, {"<=": [18, age, 99]}, {"!!": [email]}]}), "true"),
        (json!({"or": [{"===": [age, "30"]}, {"!=": [age, "30"]}]}), "false"),
        (json!({"<": [{"%": [{"+": [age, 1]}, 7]}, {"max": [1, 2, 4]}]}), "true"),
        (json!({"==": [{"+": sum}, 1200]}), "true"),
        (json!({"if": [{"sem_ver": [{"var": "version"}, ">=", "1.2.0"]}, "yes", "no"]}), "yes"),
        (json!({"var": ["nope", "yes"]}), "yes"),
        (json!({"var": "beta"}), "true"),
        (json!({"-": [age, 23]}), "7"),
        (json!({">": [{"var": "$flagd.timestamp"}, 0]}), "true"),
        (json!({"==": [{"var": "$flagd.flagKey"}, "rule-0"]}), "false"),
        (json!({"fractional": shares(4).collect::<Vec<_>>()}), "yes"),
        (json!({"fractional": shares(20).collect::<Vec<_>>()}), "yes"),
        (fractional(email.clone(), 3), "yes"),
        (fractional(json!({"var": "targetingKey"}), 60), "yes"),
    ]
}

/// Rules that only the CBOR generation can evaluate.
fn cbor_rules() -> Vec<(Value, &'static str)> {
    let by = |name: &str| json!({"fractional": [{"var": name}, ["yes", 1], ["yes", 2]]});
    vec![(by("age"), "yes"), (by("beta"), "yes"), (by("score"), "yes")]
}

fn flags(rules: &[(Value, &str)], bucketing: Bucketing) -> FlagSet {
    let names = ["default", "yes", "no", "true", "false", "7"];
    let variants: Map<_, _> =
        names.map(|name| (name.to_owned(), json!(name))).into_iter().collect();
    let flag = |rule: &Value| json!({"variants": variants, "defaultVariant": "default", "targeting": rule});
    let flags = rules.iter().enumerate().map(|(n, (rule, _))| (format!("rule-{n}"), flag(rule)));
    let definition = json!({"flags": flags.collect::<Map<_, _>>()});
    FlagSet::parse(&definition.to_string()).unwrap().with_bucketing(bucketing)
}

fn main() {
    let mut caller = EvaluationContext::default()
        .with_targeting_key("user-4711")
        .with_custom_field("email", "jane@corp.example")
        .with_custom_field("country", "cz")
        .with_custom_field("version", "1.2.3-rc.1+build")
        .with_custom_field("age", 30)
        .with_custom_field("score", 0.3)
        .with_custom_field("beta", true);
    for n in 0..30 {
        caller = caller.with_custom_field(format!("other-{n}"), format!("value {n}"));
    }
    let facts = Map::from_iter([("region".to_owned(), json!("eu"))]);
    let rules = rules();
    let both: Vec<_> = rules.iter().cloned().chain(cbor_rules()).collect();

    let _profiler = dhat::Profiler::builder().testing().build();
    let mut evaluations = 0;
    for (rules, bucketing) in [(&rules, Bucketing::String), (&both, Bucketing::Cbor)] {
        let flags = flags(rules, bucketing);
        for (n, (rule, variant)) in rules.iter().enumerate() {
            let key = format!("rule-{n}");
            let before = dhat::HeapStats::get().total_blocks;
            let context = LocalContext::new(&caller).with_sync_context(&facts);
            let outcome = flags.evaluate(&key, &context);
            let allocated = dhat::HeapStats::get().total_blocks - before;
            assert_eq!(outcome.variant, Some(*variant), "{rule}: {outcome:?}");
            assert_ne!(outcome.reason, Reason::Error, "{rule}");
            assert_eq!(allocated, 0, "{rule}");
            evaluations += 1;
        }
    }
    // The counter works.
    let before = dhat::HeapStats::get().total_blocks;
    drop(std::hint::black_box(String::from("x")));
    assert_eq!(dhat::HeapStats::get().total_blocks - before, 1);
    println!("{evaluations} evaluations, no allocation");
}
