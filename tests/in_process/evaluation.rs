//! The results of evaluations: the same as those of the RPC resolver.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use flagstaff::{Bucketing, reason};
use open_feature::{
    EvaluationContext, EvaluationErrorCode, EvaluationReason, FlagMetadataValue, StructValue,
    Value, provider::FeatureProvider,
};
use serde_json::{Value as Json, json};

use super::{of, ruled, switch, text};
use crate::support::{
    provider::{assert_contains, error, message, provider, ready, value},
    servers::sync_server::SyncServer,
};

#[tokio::test]
async fn five_types_with_variant_reason_and_metadata() {
    let metadata = json!({"version": 7, "owner": "a", "share": 0.5, "beta": true, "deep": {}});
    let flag = |value| {
        json!({"state": "ENABLED", "variants": {"v": value}, "defaultVariant": "v",
            "metadata": metadata})
    };
    let server = SyncServer::start(&json!({"flags": {
        "b": flag(json!(true)), "i": flag(json!(7)), "f": flag(json!(0.5)), "s": flag(json!("x")),
        "o": flag(json!({"n": 1, "list": [1, "a"], "none": null})),
    }}));
    let provider = ready(of(&server)).await;
    let none = EvaluationContext::default();

    let details = provider.resolve_bool_value("b", &none).await.unwrap();
    assert!(details.value);
    assert_eq!(details.variant.as_deref(), Some("v"));
    assert_eq!(details.reason, Some(EvaluationReason::Static));
    let metadata = details.flag_metadata.unwrap().values;
    assert_eq!(metadata.len(), 4, "nested metadata is left out: {metadata:?}");
    assert_eq!(metadata["version"], FlagMetadataValue::Int(7));
    assert_eq!(metadata["share"], FlagMetadataValue::Float(0.5));

    assert_eq!(provider.resolve_int_value("i", &none).await.unwrap().value, 7);
    assert!((provider.resolve_float_value("i", &none).await.unwrap().value - 7.0).abs() < 1e-9);
    assert!((provider.resolve_float_value("f", &none).await.unwrap().value - 0.5).abs() < 1e-9);
    assert_eq!(provider.resolve_int_value("f", &none).await.unwrap().value, 0);
    assert_eq!(provider.resolve_string_value("s", &none).await.unwrap().value, "x");
    let expected = StructValue::default()
        .with_field("n", 1.0)
        .with_field("list", vec![Value::Float(1.0), Value::String("a".to_owned())]);
    assert_eq!(super::object(&provider, "o").await, expected);
}

/// docs/resolvers.md, "Null": the error says where the null is, and what to do.
#[tokio::test]
async fn a_null_in_an_array_is_an_error_and_json_shows_it() {
    let flag =
        |value: &Json| json!({"state": "ENABLED", "variants": {"v": value}, "defaultVariant": "v"});
    for (value, path) in [
        (json!({"list": [1, null, "a"]}), "`$.list[1]`"),
        (json!({"list": [null], "n": 1}), "`$.list[0]`"),
        (json!({"list": [[1], [2, [null]]]}), "`$.list[1][1][0]`"),
        (json!({"a": {"b": [{"c": ["x", null]}]}}), "`$.a.b[0].c[1]`"),
    ] {
        let server = SyncServer::start(&json!({"flags": {"o": flag(&value)}}));
        let provider = ready(of(&server)).await;
        let none = EvaluationContext::default();
        let refused = provider.resolve_struct_value("o", &none).await.unwrap_err();
        let text = message(&refused, &EvaluationErrorCode::ParseError);
        assert_contains(&text, &["flag `o`", path, "null", "resolve_json"]);
        let details = provider.resolve_json("o", &none).await.unwrap();
        assert_eq!(Json::Object(details.value), value);
        assert_eq!(details.variant.as_deref(), Some("v"));
    }
}

#[tokio::test]
async fn a_static_result_stays_static() {
    let server = SyncServer::start(&super::switches(&[("on", true)]));
    let provider = ready(of(&server)).await;
    for _ in 0..3 {
        assert_eq!(value(&provider, "on").await, (true, EvaluationReason::Static));
    }
    assert_eq!(provider.stats().cache_entries, 0);
}

#[tokio::test]
async fn errors_have_the_codes_of_the_other_resolvers() {
    let server = SyncServer::start(&json!({"flags": {
        "off": {"state": "DISABLED", "variants": {"on": true}, "defaultVariant": "on"},
        "none": {"state": "ENABLED", "variants": {"on": true}},
        "text": {"state": "ENABLED", "variants": {"v": "x"}, "defaultVariant": "v"},
        "list": {"state": "ENABLED", "variants": {"v": [1]}, "defaultVariant": "v"},
        "huge": {"state": "ENABLED", "variants": {"v": 1e300}, "defaultVariant": "v"},
        "fails": ruled(&json!({"+": [null]}), &["a"]),
        "strays": ruled(&json!({"if": [true, "b"]}), &["a"]),
    }}));
    let provider = ready(of(&server)).await;
    let general = EvaluationErrorCode::General("GENERAL".to_owned());
    for (key, code, why, parts) in [
        (
            "gone",
            EvaluationErrorCode::FlagNotFound,
            EvaluationReason::Error,
            ["`gone`", "not found"],
        ),
        ("off", general.clone(), EvaluationReason::Disabled, ["DISABLED: ", "`off`"]),
        (
            "none",
            EvaluationErrorCode::FlagNotFound,
            EvaluationReason::Default,
            ["DEFAULT: ", "`none`"],
        ),
        ("text", EvaluationErrorCode::TypeMismatch, EvaluationReason::Error, ["`text`", "ype"]),
        ("fails", EvaluationErrorCode::ParseError, EvaluationReason::Error, ["`fails`", "pars"]),
        ("strays", general, EvaluationReason::Error, ["`strays`", "General"]),
    ] {
        let error = error(&provider, key).await;
        assert_eq!(reason(&error), why, "{key}");
        assert_contains(&message(&error, &code), &parts);
    }
    let none = EvaluationContext::default();
    let list = provider.resolve_struct_value("list", &none).await.unwrap_err();
    assert_eq!(list.code, EvaluationErrorCode::TypeMismatch);
    let huge = provider.resolve_int_value("huge", &none).await.unwrap_err();
    assert_eq!(huge.code, EvaluationErrorCode::TypeMismatch);
    assert!(provider.resolve_float_value("huge", &none).await.is_ok());
}

#[tokio::test]
async fn rules_read_the_callers_context() {
    let rule =
        json!({"if": [{"ends_with": [{"var": "email"}, "@corp.example"]}, "ours", "theirs"]});
    let server = SyncServer::start(&json!({"flags": {"who": ruled(&rule, &["ours", "theirs"])}}));
    let provider = ready(of(&server)).await;
    let caller = |email| EvaluationContext::default().with_custom_field("email", email);
    assert_eq!(text(&provider, "who", &caller("a@corp.example")).await, "ours");
    assert_eq!(text(&provider, "who", &caller("a@other.example")).await, "theirs");
    let unfit = EvaluationContext::default().with_custom_field("email", i64::MAX);
    let error = provider.resolve_string_value("who", &unfit).await.unwrap_err();
    assert_contains(&message(&error, &EvaluationErrorCode::InvalidContext), &["`email`"]);
}

/// Both generations are available, and an option selects one.
#[tokio::test]
async fn an_option_chooses_who_gets_which_variant() {
    let rule = json!({"fractional": [["a", 1], ["b", 1]]});
    let server = SyncServer::start(&json!({"flags": {"half": ruled(&rule, &["a", "b"])}}));
    let by = async |bucketing| {
        let provider = ready(of(&server).bucketing(bucketing)).await;
        let mut variants = String::new();
        for user in 0..64 {
            let context = EvaluationContext::default().with_targeting_key(format!("user-{user}"));
            variants.push_str(&text(&provider, "half", &context).await);
        }
        variants
    };
    let (string, cbor) = (by(Bucketing::String).await, by(Bucketing::Cbor).await);
    assert_ne!(string, cbor);
    for variants in [string, cbor] {
        assert!(variants.contains('a') && variants.contains('b'), "{variants}");
    }
}

/// An evaluation waits for nothing: its first poll returns the result.
#[tokio::test]
async fn an_evaluation_is_a_finished_future() {
    let server = SyncServer::start(&json!({"flags": {"on": switch(true)}}));
    let provider = ready(of(&server)).await;
    let context = EvaluationContext::default();
    let mut evaluation = pin!(provider.resolve_bool_value("on", &context));
    let polled = evaluation.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(details)) if details.value));
}

#[tokio::test]
async fn before_initialization_nothing_is_evaluated() {
    let server = SyncServer::start(&json!({"flags": {"on": switch(true)}}));
    let provider = provider(of(&server));
    let error = error(&provider, "on").await;
    let text = message(&error, &EvaluationErrorCode::ProviderNotReady);
    assert_contains(&text, &["not initialized"]);
    assert_eq!(server.seen().connections.accepted, 0);
}
