//! What flagd responds, row by row of the tables "Results" and "Status codes" of docs/flagd.md, and
//! what the SDK receives for it.

use flagstaff::{FlagdProvider, reason};
use open_feature::{
    EvaluationContext, EvaluationErrorCode, EvaluationReason, FlagMetadata, StructValue, Value,
};
use serde_json::{Value as Json, json};

use crate::{
    subject::{Subject, Type, ask, options, options_for},
    support::{flagd::FlagdProcess, ports::local, proxy::authority_proxy::AuthorityProxy},
    trial::trials,
};

trials![
    the_table_of_v2,
    the_table_of_v1,
    only_static_results_are_cached,
    metadata_of_the_flag_set_and_the_flag_are_merged,
    objects_are_kept_whole,
    a_null_in_an_array_is_an_error,
    keys_of_any_unicode,
    numbers_are_returned_exactly,
];

/// A flag of these variants, the first of which is the default.
fn flag(variants: Json) -> Json {
    let default = variants.as_object().unwrap().keys().next().unwrap().clone();
    json!({ "state": "ENABLED", "variants": variants, "defaultVariant": default })
}

fn disabled(variants: Json) -> Json {
    let mut flag = flag(variants);
    flag["state"] = "DISABLED".into();
    flag
}

fn ruled(rule: Json) -> Json {
    let mut flag = flag(json!({ "default": "by default", "match": "by rule" }));
    flag["targeting"] = rule;
    flag
}

fn definition() -> Json {
    json!({ "flags": {
        "yes": flag(json!({ "on": true, "x-off": false })),
        "seven": flag(json!({ "7": 7 })),
        "half": flag(json!({ "1/2": 0.5 })),
        "word": flag(json!({ "hi": "hello" })),
        "object": flag(json!({ "o": { "a": 1 } })),
        "list": flag(json!({ "l": [1, 2] })),
        "no": flag(json!({ "off": false })),
        "zero": flag(json!({ "none": 0 })),
        "zero-float": flag(json!({ "none": 0.0 })),
        "empty": flag(json!({ "none": "" })),
        "empty-object": flag(json!({ "none": {} })),
        "ten": flag(json!({ "10": 10 })),
        "matched": ruled(json!({ "if": [true, "match"] })),
        "null-rule": ruled(json!({ "if": [false, "match"] })),
        "unknown-variant": ruled(json!({ "if": [true, "nowhere"] })),
        "unknown-operator": ruled(json!({ "no_such_operator": [1] })),
        "no-default": { "state": "ENABLED", "variants": { "a": "a" } },
        "null-default": { "state": "ENABLED", "variants": { "a": "a" }, "defaultVariant": null },
        "disabled-yes": disabled(json!({ "on": true })),
        "disabled-seven": disabled(json!({ "7": 7 })),
        "disabled-half": disabled(json!({ "1/2": 0.5 })),
        "disabled-word": disabled(json!({ "hi": "hello" })),
        "disabled-object": disabled(json!({ "o": { "a": 1 } })),
    } })
}

type Expected = Result<(Value, &'static str, EvaluationReason), (&'static str, EvaluationReason)>;

fn rows() -> Vec<(&'static str, Type, Expected)> {
    use EvaluationReason::{Default, Disabled, Error, Static, TargetingMatch};
    use Type::{Bool, Float, Int, Object, Text};
    let object = |fields: &[(&str, f64)]| {
        fields.iter().fold(StructValue::default(), |all, (k, v)| all.with_field(*k, *v)).into()
    };
    let mut rows: Vec<(&str, Type, Expected)> = vec![
        ("yes", Bool, Ok((true.into(), "on", Static))),
        ("seven", Int, Ok((7.into(), "7", Static))),
        ("half", Float, Ok((0.5.into(), "1/2", Static))),
        ("word", Text, Ok(("hello".into(), "hi", Static))),
        ("object", Object, Ok((object(&[("a", 1.0)]), "o", Static))),
        ("no", Bool, Ok((false.into(), "off", Static))),
        ("zero", Int, Ok((0.into(), "none", Static))),
        ("zero-float", Float, Ok((0.0.into(), "none", Static))),
        ("empty", Text, Ok(("".into(), "none", Static))),
        ("empty-object", Object, Ok((object(&[]), "none", Static))),
        ("half", Int, Ok((0.into(), "1/2", Static))),
        ("ten", Float, Ok((10.0.into(), "10", Static))),
        ("matched", Text, Ok(("by rule".into(), "match", TargetingMatch))),
        ("null-rule", Text, Ok(("by default".into(), "default", Default))),
        ("unknown-variant", Text, Err(("GENERAL", Error))),
        ("unknown-operator", Text, Err(("PARSE_ERROR", Error))),
    ];
    let each = |keys: &[&'static str], expected: (&'static str, EvaluationReason)| {
        let pairs = keys.iter().flat_map(|key| Type::ALL.map(|as_type| (*key, as_type)));
        pairs.map(|(key, as_type)| (key, as_type, Err(expected.clone()))).collect::<Vec<_>>()
    };
    rows.extend(each(&["missing", ""], ("FLAG_NOT_FOUND", Error)));
    let off =
        ["disabled-yes", "disabled-seven", "disabled-half", "disabled-word", "disabled-object"];
    rows.extend(each(&off, ("GENERAL", Disabled)));
    let mismatch = Err(("TYPE_MISMATCH", Error));
    for (key, others) in [
        ("yes", [Int, Float, Text, Object].as_slice()),
        ("seven", &[Bool, Text, Object]),
        ("half", &[Bool, Text, Object]),
        ("word", &[Bool, Int, Float, Object]),
        ("object", &[Bool, Int, Float, Text]),
        ("list", &Type::ALL),
        ("matched", &[Bool]),
    ] {
        rows.extend(others.iter().map(|as_type| (key, *as_type, mismatch.clone())));
    }
    rows
}

async fn check(provider: &FlagdProvider, (key, as_type, expected): (&str, Type, Expected)) {
    let context = EvaluationContext::default();
    let row = format!("`{key}` as {as_type:?}");
    match (ask(provider, as_type, key, &context).await, expected) {
        (Ok(answer), Ok((value, variant, reason))) => {
            assert_eq!(answer.value, value, "{row}");
            assert_eq!(answer.variant.as_deref(), Some(variant), "{row}");
            assert_eq!(answer.reason, Some(reason), "{row}");
            assert_eq!(answer.metadata, None, "{row}");
        }
        (Err(error), Err((code, why))) => {
            assert_eq!(error.code.to_string(), code, "{row}: {error:?}");
            assert_eq!(reason(&error), why, "{row}: {error:?}");
            assert!(error.message.is_some_and(|text| text.contains(key)), "{row}");
        }
        (got, expected) => panic!("{row}: {got:?}, not {expected:?}"),
    }
}

async fn check_all(subject: Subject, without_default: EvaluationReason) {
    for row in rows() {
        check(&subject.provider, row).await;
    }
    for key in ["no-default", "null-default"] {
        for as_type in Type::ALL {
            let expected = Err(("FLAG_NOT_FOUND", without_default.clone()));
            check(&subject.provider, (key, as_type, expected)).await;
        }
    }
    subject.shut_down().await;
}

async fn the_table_of_v2() {
    let flagd = FlagdProcess::with(&definition()).start().await.unwrap();
    check_all(Subject::ready(options_for(&flagd)).await, EvaluationReason::Default).await;
}

/// Under v1 a flag without a default variant is indistinguishable from a missing one.
async fn the_table_of_v1() {
    let flagd = FlagdProcess::with(&definition()).start().await.unwrap();
    let proxy = AuthorityProxy::hiding_v2(local(flagd.port()));
    let subject = Subject::ready(options().port(proxy.port())).await;
    check_all(subject, EvaluationReason::Error).await;
}

/// docs/resolvers.md, "The cache": only STATIC is cached, by key and type, whatever the context.
async fn only_static_results_are_cached() {
    let flagd = FlagdProcess::with(&definition()).start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    let contexts = ["a", "b", "c"].map(|key| EvaluationContext::default().with_targeting_key(key));
    for (key, as_type, expected) in rows() {
        let cached = matches!(expected, Ok((_, _, EvaluationReason::Static)));
        let first = ask(&subject.provider, as_type, key, &contexts[0]).await;
        for context in &contexts[1..] {
            let again = ask(&subject.provider, as_type, key, context).await;
            match (&first, again) {
                (Ok(first), Ok(again)) => {
                    assert_eq!(again.value, first.value, "{key}");
                    assert_eq!(again.variant, first.variant, "{key}");
                    let reason = again.reason.unwrap();
                    assert_eq!(reason == EvaluationReason::Cached, cached, "{key}: {reason}");
                }
                (first, again) => assert_eq!(first, &again, "{key}"),
            }
        }
    }
    let cacheable = rows()
        .into_iter()
        .filter(|(_, _, expected)| matches!(expected, Ok((_, _, EvaluationReason::Static))));
    let stats = subject.provider.stats();
    let cacheable = cacheable.count();
    assert_eq!((stats.cache_entries, stats.cache_hits), (cacheable, 2 * cacheable as u64));
    subject.shut_down().await;
}

/// Whole numbers in metadata are integers, others floats; nested metadata is omitted.
async fn metadata_of_the_flag_set_and_the_flag_are_merged() {
    let mut both = flag(json!({ "on": true }));
    both["metadata"] = json!({ "shared": "flag", "whole": 3, "part": 0.25, "yes": true });
    let mut nested = flag(json!({ "on": true }));
    nested["metadata"] = json!({ "nested": { "a": 1 }, "list": [1] });
    let definition = json!({
        "metadata": { "shared": "set", "set": "all" },
        "flags": { "set-only": flag(json!({ "on": true })), "both": both, "nested": nested },
    });
    let flagd = FlagdProcess::with(&definition).start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    let set = FlagMetadata::default().with_value("shared", "set").with_value("set", "all");
    let merged = set
        .clone()
        .with_value("shared", "flag")
        .with_value("whole", 3)
        .with_value("part", 0.25)
        .with_value("yes", true);
    for (key, expected) in [("set-only", &set), ("both", &merged), ("nested", &set)] {
        for reason in [EvaluationReason::Static, EvaluationReason::Cached] {
            let context = EvaluationContext::default();
            let answer = ask(&subject.provider, Type::Bool, key, &context).await.unwrap();
            assert_eq!(answer.reason, Some(reason), "{key}");
            assert_eq!(answer.metadata.as_ref(), Some(expected), "{key}");
        }
    }
    subject.shut_down().await;
}

/// Nested objects and arrays are complete. docs/resolvers.md, "Null": a field that is null is left
/// out.
async fn objects_are_kept_whole() {
    let value = json!({
        "deep": { "list": [1, { "null": null, "text": "é" }, [true, []], {}] },
        "null": null, "none": {}, "float": 0.5, "false": false,
    });
    let flags = json!({ "flags": { "object": flag(json!({ "o": value })) } });
    let flagd = FlagdProcess::with(&flags).start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    let list = vec![
        1.0.into(),
        StructValue::default().with_field("text", "é").into(),
        Value::Array(vec![true.into(), Value::Array(vec![])]),
        StructValue::default().into(),
    ];
    let expected = StructValue::default()
        .with_field("deep", StructValue::default().with_field("list", Value::Array(list)))
        .with_field("none", StructValue::default())
        .with_field("float", 0.5)
        .with_field("false", false);
    for _ in ["from flagd", "from the cache"] {
        let context = EvaluationContext::default();
        let answer = ask(&subject.provider, Type::Object, "object", &context).await.unwrap();
        assert_eq!(answer.value, Value::Struct(expected.clone()));
    }
    subject.shut_down().await;
}

/// docs/resolvers.md, "Null": an array that contains null is a `PARSE_ERROR`.
async fn a_null_in_an_array_is_an_error() {
    let value = json!({ "list": [1, null, { "a": [null] }] });
    let flags = json!({ "flags": { "object": flag(json!({ "o": value })) } });
    let flagd = FlagdProcess::with(&flags).start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    let context = EvaluationContext::default();
    let refused = ask(&subject.provider, Type::Object, "object", &context).await.unwrap_err();
    assert_eq!(refused.code, EvaluationErrorCode::ParseError);
    assert!(refused.message.as_ref().unwrap().contains("`$.list[1]`"), "{refused:?}");
    let shown = subject.provider.resolve_json("object", &context).await.unwrap().value;
    assert_eq!(shown["list"], json!([1.0, null, { "a": [null] }]));
    subject.shut_down().await;
}

async fn keys_of_any_unicode() {
    let long = "k".repeat(10_000);
    let keys =
        ["ключ", "🚩 red", "a/b?c=%20#d", "\n\t", "\u{0}", "'\"\\", "\u{202e}rtl", " ", &long];
    let flags: serde_json::Map<_, _> =
        keys.iter().map(|key| ((*key).to_owned(), flag(json!({ "v": key })))).collect();
    let flagd = FlagdProcess::with(&json!({ "flags": flags })).start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    for key in keys {
        assert_eq!(subject.text(key).await.unwrap().0, key);
    }
    let error = subject.text("ключи").await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::FlagNotFound);
    subject.shut_down().await;
}

async fn numbers_are_returned_exactly() {
    const MAX: i64 = 1 << 53;
    let ints = [MAX, -MAX, MAX - 1, 1 - MAX, i64::from(i32::MAX) + 1, -1];
    let floats = [f64::MAX, f64::MIN_POSITIVE, 1.0 / 3.0, -0.1, 1e300];
    let mut flags = serde_json::Map::new();
    flags.extend(ints.iter().map(|int| (int.to_string(), flag(json!({ "v": int })))));
    flags.extend(floats.iter().map(|float| (float.to_string(), flag(json!({ "v": float })))));
    let flagd = FlagdProcess::with(&json!({ "flags": flags })).start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    let context = EvaluationContext::default();
    for int in ints {
        let answer = ask(&subject.provider, Type::Int, &int.to_string(), &context).await.unwrap();
        assert_eq!(answer.value, Value::Int(int));
    }
    for float in floats {
        let key = float.to_string();
        let answer = ask(&subject.provider, Type::Float, &key, &context).await.unwrap();
        assert_eq!(answer.value, Value::Float(float));
    }
    subject.shut_down().await;
}
