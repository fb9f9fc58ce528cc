//! `fractional`: shares match the weights, and the CBOR generation buckets like the published
//! engine.

use std::collections::BTreeMap;

use flagd_evaluation_engine::targeting::Operator;
use flagstaff::{
    Bucketing,
    evaluator::{FlagSet, Reason},
    flagd::LocalContext,
};
use open_feature::{EvaluationContext, EvaluationContextFieldValue, StructValue};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

const KEYS: u32 = 100_000;

const GENERATIONS: [Bucketing; 2] = [Bucketing::String, Bucketing::Cbor];

fn set(key: &str, rule: &Value, names: impl Iterator<Item = String>) -> FlagSet {
    let variants: Map<String, Value> = names.map(|name| (name, json!(0))).collect();
    let flag = json!({"variants": variants, "targeting": rule});
    FlagSet::parse(&json!({"flags": {key: flag}}).to_string()).unwrap()
}

/// Pearson's statistic for the shares of `weights`, and its degrees of freedom.
fn chi_square(counts: &BTreeMap<String, u32>, weights: &[u32]) -> (f64, usize) {
    let total = f64::from(weights.iter().sum::<u32>());
    let mut sum = 0.0;
    for (index, weight) in weights.iter().enumerate() {
        let observed = f64::from(counts.get(&index.to_string()).copied().unwrap_or_default());
        let expected = f64::from(*weight) / total * f64::from(KEYS);
        if *weight == 0 {
            assert!(observed == 0.0, "a share of nothing has {observed}");
        } else {
            sum += (observed - expected).powi(2) / expected;
        }
    }
    (sum, weights.iter().filter(|weight| **weight > 0).count() - 1)
}

/// What Pearson's statistic exceeds with a probability of 0.001 if keys fall at random.
fn bound(degrees: usize) -> f64 {
    [0.0, 10.828, 13.816, 16.266, 18.467, 20.515, 22.458, 24.322, 26.124, 27.877][degrees]
}

/// 100,000 keys, and for each set of weights a bound that a random distribution keeps with a
/// probability of 0.999. The keys are always the same, and so is the outcome.
#[test]
fn observed_shares_are_as_the_weights() {
    let weight_sets: &[&[u32]] = &[
        &[50, 50],
        &[1, 99],
        &[33, 33, 34],
        &[25, 25, 25, 25],
        &[1, 2, 3, 4],
        &[10, 0, 90],
        &[1; 10],
        &[1_000_000, 2_000_000, 500_000],
    ];
    let by: &[(&str, Option<Value>)] = &[
        ("targeting key", None),
        ("text", Some(json!({"cat": ["salt", {"var": "targetingKey"}]}))),
        ("number", Some(json!({"var": "n"}))),
    ];
    for weights in weight_sets {
        for (name, bucket_by) in by {
            let shares = weights.iter().enumerate().map(|(index, w)| json!([index.to_string(), w]));
            let arguments: Vec<Value> = bucket_by.clone().into_iter().chain(shares).collect();
            let names = (0..weights.len()).map(|index| index.to_string());
            let mut set = set("experiment", &json!({"fractional": arguments}), names);
            for generation in GENERATIONS {
                // The text generation supports numbers neither as units nor as weights.
                if *name == "number" && generation == Bucketing::String {
                    continue;
                }
                set = set.with_bucketing(generation);
                let mut counts = BTreeMap::new();
                for n in 0..KEYS {
                    let context = Map::from_iter([
                        ("targetingKey".to_owned(), json!(format!("user-{n}"))),
                        ("n".to_owned(), json!(n)),
                    ]);
                    let variant = set.evaluate("experiment", &context).variant.unwrap();
                    *counts.entry(variant.to_owned()).or_insert(0) += 1;
                }
                let (statistic, degrees) = chi_square(&counts, weights);
                assert!(
                    statistic < bound(degrees),
                    "{generation:?} by {name}, {weights:?}: {statistic:.1}, {counts:?}"
                );
            }
        }
    }
}

/// The bucketing input of a case: a field of the context, or the keys.
fn unit() -> impl Strategy<Value = Option<EvaluationContextFieldValue>> {
    let float = prop_oneof![any::<f64>(), (-1e6..1e6f64), any::<f32>().prop_map(f64::from)];
    let float = float.prop_filter("flagd takes finite numbers", |float| float.is_finite());
    let int = prop_oneof![-1000i64..1000, -(1i64 << 53)..=1 << 53];
    let object = ("[a-c]{1,3}", int.clone(), any::<bool>(), ".{0,8}").prop_map(|(a, b, c, d)| {
        let list = open_feature::Value::Array(vec![c.into(), d.into()]);
        EvaluationContextFieldValue::new_struct(
            StructValue::default().with_field(a, b).with_field("list", list),
        )
    });
    prop_oneof![
        3 => Just(None),
        3 => ".{0,40}".prop_map(|text: String| Some(text.into())),
        2 => int.prop_map(|int| Some(int.into())),
        2 => float.prop_map(|float| Some(float.into())),
        1 => any::<bool>().prop_map(|value| Some(value.into())),
        1 => object.prop_map(Some),
    ]
}

/// The published engine, version 0.1.0, has the CBOR generation: 10,000 keys, units and weights,
/// generated anew in each run.
#[test]
fn the_cbor_generation_buckets_as_the_published_engine() {
    let seed: [u8; 32] = std::array::from_fn(|_| rand_byte());
    println!("seed {seed:?}");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let case = (
        "[a-z0-9.-]{1,20}",
        ".{0,40}",
        unit(),
        proptest::collection::vec(
            prop_oneof![4 => 1u32..100, 1 => Just(0), 1 => 1u32..1 << 24],
            1..6,
        ),
    );
    let engine = Operator::new();
    let (mut chosen, mut differ) = (0, Vec::new());
    for _ in 0..10_000 {
        let (key, targeting_key, unit, weights) = case.new_tree(&mut runner).unwrap().current();
        let shares = weights.iter().enumerate().map(|(index, w)| json!([format!("v{index}"), w]));
        let bucket_by = unit.iter().map(|_| json!({"var": "unit"}));
        let rule = json!({"fractional": bucket_by.chain(shares).collect::<Vec<_>>()});
        let mut caller = EvaluationContext::default().with_targeting_key(&targeting_key);
        if let Some(unit) = unit {
            caller = caller.with_custom_field("unit", unit);
        }
        let expected = engine.apply(&key, &rule.to_string(), &caller).unwrap();

        let names = (0..weights.len()).map(|index| format!("v{index}"));
        let set = set(&key, &rule, names).with_bucketing(Bucketing::Cbor);
        let context = LocalContext::new(&caller);
        let outcome = set.evaluate(&key, &context);
        assert_eq!(context.rejected().map(|error| &error.message), None);
        assert!(matches!(outcome.reason, Reason::TargetingMatch | Reason::Default));
        chosen += usize::from(outcome.variant.is_some());
        if outcome.variant != expected.as_deref() {
            let given = outcome.variant;
            differ.push(format!("{key}: {rule} on {caller:?}: {given:?}, not {expected:?}"));
        }
    }
    let shown = &differ[..differ.len().min(5)];
    assert!(differ.is_empty(), "{} differ, among them\n{}", differ.len(), shown.join("\n"));
    assert!(chosen > 9000, "only {chosen} got a variant");
}

fn rand_byte() -> u8 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0).to_le_bytes()[0]
}
