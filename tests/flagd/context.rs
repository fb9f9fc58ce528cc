//! The evaluation context as flagd's rules see it (docs/flagd.md, "Evaluation context").

use std::sync::Arc;

use open_feature::{
    EvaluationContext, EvaluationContextFieldValue, EvaluationErrorCode, EvaluationReason,
    StructValue, Value,
};
use serde_json::{Value as Json, json};
use time::OffsetDateTime;

use crate::{
    subject::{Subject, Type, ask, options_for},
    support::flagd::FlagdProcess,
    trial::trials,
};

trials![
    rules_see_each_kind_of_field,
    what_cannot_be_sent_is_rejected,
    each_user_has_a_value_of_their_own
];

const MAX: i64 = 1 << 53;

/// A flag that is `match` where the rule holds, and `default` elsewhere.
fn when(rule: Json) -> Json {
    json!({
        "state": "ENABLED",
        "variants": { "match": "match", "default": "default" },
        "defaultVariant": "default",
        "targeting": { "if": [rule, "match", null] },
    })
}

fn is(path: &str, value: Json) -> Json {
    when(json!({ "==": [{ "var": path }, value] }))
}

fn definition() -> Json {
    json!({ "flags": {
        "targeting-key": is("targetingKey", json!("user")),
        "text": is("text", json!("é🚩")),
        "bool": is("bool", json!(true)),
        "int": is("int", json!(MAX)),
        "negative": is("negative", json!(-MAX)),
        "float": is("float", json!(0.1)),
        "date": is("date", json!("2026-08-01T12:30:00Z")),
        "nested": is("user.address.city", json!("Köln")),
        "element": is("list.1", json!("b")),
        "list": when(json!({ "in": ["b", { "var": "list" }] })),
        "json": is("json.a.0.b", json!(1)),
        "null": is("json.null", json!(null)),
        "flag-key": is("$flagd.flagKey", json!("flag-key")),
    } })
}

fn full_context() -> EvaluationContext {
    let address = StructValue::default().with_field("city", "Köln");
    let user = StructValue::default().with_field("address", address);
    let list = vec![Value::from("a"), Value::from("b")];
    let date = OffsetDateTime::from_unix_timestamp(1_785_587_400).unwrap();
    EvaluationContext::default()
        .with_targeting_key("user")
        .with_custom_field("text", "é🚩")
        .with_custom_field("bool", true)
        .with_custom_field("int", MAX)
        .with_custom_field("negative", -MAX)
        .with_custom_field("float", 0.1)
        .with_custom_field("date", date)
        .with_custom_field("user", EvaluationContextFieldValue::Struct(Arc::new(user)))
        .with_custom_field("list", EvaluationContextFieldValue::Struct(Arc::new(list)))
        .with_custom_field(
            "json",
            EvaluationContextFieldValue::new_struct(json!({ "a": [{ "b": 1 }], "null": null })),
        )
}

async fn rules_see_each_kind_of_field() {
    let flagd = FlagdProcess::with(&definition()).ready_when("text").start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    let (full, none) = (full_context(), EvaluationContext::default());
    for key in definition()["flags"].as_object().unwrap().keys() {
        let answer = ask(&subject.provider, Type::Text, key, &full).await.unwrap();
        let reason = answer.reason.unwrap();
        assert_eq!(
            (answer.value, reason),
            ("match".into(), EvaluationReason::TargetingMatch),
            "{key}"
        );
        if ["null", "flag-key"].contains(&key.as_str()) {
            continue; // these need no context
        }
        let answer = ask(&subject.provider, Type::Text, key, &none).await.unwrap();
        let reason = answer.reason.unwrap();
        assert_eq!((answer.value, reason), ("default".into(), EvaluationReason::Default), "{key}");
    }
    subject.shut_down().await;
}

async fn what_cannot_be_sent_is_rejected() {
    let flagd = FlagdProcess::with(&definition()).ready_when("text").start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    let refused: [EvaluationContextFieldValue; 3] = [
        (MAX + 1).into(),
        f64::NAN.into(),
        EvaluationContextFieldValue::new_struct(Some("of no known type")),
    ];
    for value in refused {
        let context = EvaluationContext::default().with_custom_field("odd", value);
        let error = ask(&subject.provider, Type::Text, "text", &context).await.unwrap_err();
        assert_eq!(error.code, EvaluationErrorCode::InvalidContext);
        assert!(error.message.is_some_and(|text| text.contains("`odd`")));
    }
    subject.shut_down().await;
}

/// The result of a rule is never cached: users take turns.
async fn each_user_has_a_value_of_their_own() {
    let flagd = FlagdProcess::with(&definition()).ready_when("text").start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    for (user, expected) in [("user", "match"), ("other", "default"), ("user", "match")] {
        let context = EvaluationContext::default().with_targeting_key(user);
        let answer = ask(&subject.provider, Type::Text, "targeting-key", &context).await.unwrap();
        assert_eq!(answer.value, expected.into(), "{user}");
    }
    assert_eq!(subject.provider.stats().cache_entries, 0);
    subject.shut_down().await;
}
