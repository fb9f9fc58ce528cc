//! Evaluation in this process, beside `flagd-evaluation-engine` on the same definitions and contexts,
//! and beside its floor: the same rule in Rust by hand, with the same look-up of the flag and the
//! same owned answer.
//!
//! Contexts are the SDK's, of 3 and of 30 fields, of which a rule reads one.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    hint::black_box,
    num::NonZero,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};
use flagd_evaluation_engine::{
    model::{feature_flag::FeatureFlag, flag_parser::FlagParser},
    targeting::Operator,
};
use flagstaff::{
    evaluator::{FlagSet, Reason},
    flagd::LocalContext,
};
use open_feature::{EvaluationContext, EvaluationReason, provider::ResolutionDetails};
use serde_json::{Value, json};

type Details = ResolutionDetails<String>;

const BRANCHES: usize = 20;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    let definition = definition();
    let contexts = [3, 30].map(|fields| (fields, context(fields)));
    let flagstaff = FlagSet::parse(&definition).unwrap();
    let engine = Engine::new(&definition);
    let floor = Floor::new();

    for (rule, by_hand) in RULES {
        let mut group = criterion.benchmark_group(*rule);
        for (fields, context) in &contexts {
            let answer = floor.evaluate(rule, *by_hand, context);
            assert_eq!(evaluate(&flagstaff, rule, context).variant, answer.variant);
            // The engine has another generation of `fractional`.
            let published = engine.evaluate(rule, context);
            assert!(*rule == "fractional" || published.variant == answer.variant);
            let mut bench = |name: &str, evaluate: &dyn Fn(&str) -> Details| {
                let id = BenchmarkId::new(name, format!("{fields} fields"));
                group.bench_function(id, |bencher| bencher.iter(|| evaluate(black_box(rule))));
            };
            bench("floor", &|rule| floor.evaluate(rule, *by_hand, black_box(context)));
            bench("flagstaff", &|rule| evaluate(&flagstaff, rule, black_box(context)));
            bench("engine", &|rule| engine.evaluate(rule, black_box(context)));
        }
        group.finish();
    }

    let mut group = criterion.benchmark_group("tasks");
    for tasks in [1, 2] {
        bench_tasks(&mut group, tasks, || evaluate(&flagstaff, "ends_with", &contexts[1].1));
    }
    group.finish();
    criterion.final_summary();
}

/// The variants of every flag: what a rule gives is the name, and the value says it again.
fn variants() -> Vec<(String, String)> {
    let names = (0..BRANCHES).map(|n| format!("v{n}"));
    names.map(|name| (name.clone(), format!("value of {name}"))).collect()
}

fn definition() -> String {
    let equals = |n| json!({"==": [{"var": "country"}, format!("country-{n}")]});
    let mut branches: Vec<Value> =
        (0..BRANCHES - 1).flat_map(|n| [equals(n), json!(format!("v{n}"))]).collect();
    branches.push(json!(format!("v{}", BRANCHES - 1)));
    let shares: Vec<Value> = (0..4).map(|n| json!([format!("v{n}"), 25])).collect();
    let ends_with = json!({"ends_with": [{"var": "email"}, "@corp.example"]});
    let rules = [
        ("static", json!({})),
        ("ends_with", json!({"if": [ends_with, "v1", "v0"]})),
        ("branches", json!({"if": branches})),
        ("fractional", json!({"fractional": shares})),
    ];
    let variants: serde_json::Map<_, _> =
        variants().into_iter().map(|(name, value)| (name, json!(value))).collect();
    let flag = |rule| json!({"state": "ENABLED", "variants": variants, "defaultVariant": "v0", "targeting": rule});
    // A flag is looked up among others.
    let others = (0..100).map(|n| (format!("flag-{n}"), flag(json!({}))));
    let flags = rules.into_iter().map(|(name, rule)| (name.to_owned(), flag(rule))).chain(others);
    json!({"flags": flags.collect::<serde_json::Map<_, _>>()}).to_string()
}

fn context(fields: usize) -> EvaluationContext {
    let mut context = EvaluationContext::default()
        .with_targeting_key("user-4711")
        .with_custom_field("email", "jane.doe@corp.example")
        .with_custom_field("country", format!("country-{}", BRANCHES - 2));
    for n in 2..fields {
        let name = format!("field-{n}");
        context = match n % 3 {
            0 => context.with_custom_field(name, format!("value {n}")),
            1 => context.with_custom_field(name, i64::try_from(n).unwrap()),
            _ => context.with_custom_field(name, n % 2 == 0),
        };
    }
    context
}

fn evaluate(flags: &FlagSet, key: &str, context: &EvaluationContext) -> Details {
    let context = LocalContext::new(context);
    let outcome = flags.evaluate(key, &context);
    assert!(context.rejected().is_none());
    Details {
        value: outcome.string().unwrap().unwrap().to_owned(),
        variant: outcome.variant.map(str::to_owned),
        reason: Some(match outcome.reason {
            Reason::Static => EvaluationReason::Static,
            _ => EvaluationReason::TargetingMatch,
        }),
        flag_metadata: None,
    }
}

/// The crate that is published.
struct Engine {
    flags: HashMap<String, FeatureFlag>,
    operator: Operator,
}

impl Engine {
    fn new(definition: &str) -> Self {
        let flags = FlagParser::parse_string(definition).unwrap().flags;
        Self { flags, operator: Operator::new() }
    }

    fn evaluate(&self, key: &str, context: &EvaluationContext) -> Details {
        let flag = &self.flags[key];
        let targeting = flag.targeting.as_ref().filter(|rule| **rule != json!({}));
        let (variant, reason) = if targeting.is_none() {
            (flag.default_variant.clone(), EvaluationReason::Static)
        } else {
            let variant = self.operator.apply(key, &flag.get_targeting(), context).unwrap();
            (variant.unwrap(), EvaluationReason::TargetingMatch)
        };
        Details {
            value: flag.variants[&variant].as_str().unwrap().to_owned(),
            variant: Some(variant),
            reason: Some(reason),
            flag_metadata: None,
        }
    }
}

/// A rule in Rust: the variant for a flag and a context.
type ByHand = for<'f> fn(&'f FloorFlag, &str, &EvaluationContext) -> &'f str;

const RULES: &[(&str, ByHand)] = &[
    ("static", |flag, _, _| &flag.default_variant),
    ("ends_with", |_, _, context| match text(context, "email") {
        Some(email) if email.ends_with("@corp.example") => "v1",
        _ => "v0",
    }),
    ("branches", |flag, _, context| {
        let country = text(context, "country");
        let branch = flag.countries.iter().find(|(name, _)| Some(name.as_str()) == country);
        branch.map_or("v19", |(_, variant)| variant)
    }),
    ("fractional", |_, key, context| {
        let unit = [key, context.targeting_key.as_deref().unwrap_or_default()].concat();
        let bucket = (u64::from(murmur3(unit.as_bytes())) * 100) >> 32;
        match bucket {
            0..25 => "v0",
            25..50 => "v1",
            50..75 => "v2",
            _ => "v3",
        }
    }),
];

fn text<'c>(context: &'c EvaluationContext, name: &str) -> Option<&'c str> {
    context.custom_fields.get(name).and_then(|field| match field {
        open_feature::EvaluationContextFieldValue::String(text) => Some(text.as_str()),
        _ => None,
    })
}

fn murmur3(bytes: &[u8]) -> u32 {
    let mix =
        |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash = blocks.iter().fold(0u32, |hash, block| {
        let hash = (hash ^ mix(u32::from_le_bytes(*block))).rotate_left(13);
        hash.wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let last = tail.iter().rev().fold(0, |block, byte| block << 8 | u32::from(*byte));
    hash ^= mix(last) ^ u32::try_from(bytes.len()).unwrap();
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

struct FloorFlag {
    default_variant: String,
    variants: HashMap<String, Value>,
    countries: Vec<(String, String)>,
}

struct Floor(HashMap<String, FloorFlag>);

impl Floor {
    fn new() -> Self {
        let flag = || FloorFlag {
            default_variant: "v0".to_owned(),
            variants: variants().into_iter().map(|(name, value)| (name, json!(value))).collect(),
            countries: (0..BRANCHES - 1)
                .map(|n| (format!("country-{n}"), format!("v{n}")))
                .collect(),
        };
        let others = (0..100).map(|n| format!("flag-{n}"));
        let names = RULES.iter().map(|(rule, _)| (*rule).to_owned()).chain(others);
        Self(names.map(|name| (name, flag())).collect())
    }

    fn evaluate(&self, key: &str, by_hand: ByHand, context: &EvaluationContext) -> Details {
        let flag = &self.0[key];
        let variant = by_hand(flag, key, context);
        Details {
            value: flag.variants[variant].as_str().unwrap().to_owned(),
            variant: Some(variant.to_owned()),
            reason: Some(EvaluationReason::TargetingMatch),
            flag_metadata: None,
        }
    }
}

/// The time of one evaluation in each of so many tasks at once: with a core for each, it is that of
/// a single task, since readers wait for nothing.
fn bench_tasks<T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    tasks: usize,
    evaluate: impl Fn() -> T + Sync,
) {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let sharing = u32::try_from(tasks.div_ceil(cores)).unwrap();
    group.bench_function(BenchmarkId::new("flagstaff", tasks), |bencher| {
        bencher.iter_custom(|rounds| {
            let start = Barrier::new(tasks);
            let task = || {
                start.wait();
                let begin = Instant::now();
                for _ in 0..rounds {
                    black_box(evaluate());
                }
                begin.elapsed()
            };
            thread::scope(|scope| {
                let running: Vec<_> = (0..tasks).map(|_| scope.spawn(task)).collect();
                let times = running.into_iter().map(|thread| thread.join().unwrap());
                times.max().unwrap_or_default() / sharing
            })
        });
    });
}
