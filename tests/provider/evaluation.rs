//! What an evaluation returns for each response of flagd: docs/flagd.md, "Results".

use std::sync::Arc;

use crate::support::{
    json::KINDLESS,
    provider::{
        ALL_CHANGED, assert_contains, boolean, error, expect, message, near, ready, started, value,
        watched,
    },
    scripted::{Flag, Method, Missing, ScriptedServer, Version, Versions},
    servers::raw::PlainHttp,
};
use flagstaff::{FlagdProvider, ProviderEvent, reason};
use open_feature::{
    EvaluationContext, EvaluationContextFieldValue, EvaluationErrorCode as Code,
    EvaluationReason as Reason, FlagMetadataValue, StructValue, Value, provider::FeatureProvider,
};
use serde_json::json;
use tonic::Status;

fn context() -> EvaluationContext {
    EvaluationContext::default()
}

fn general() -> Code {
    Code::General("GENERAL".to_owned())
}

/// Value, variant, reason as the SDK's enum, and metadata, for each type.
async fn five_types(versions: Versions) {
    let server = ScriptedServer::builder().versions(versions).start();
    let provider = ready(near(server.port())).await;
    macro_rules! check {
        ($method:ident, $json:expr, $value:expr) => {
            let flag = Flag::new($json).variant("v").reason("TARGETING_MATCH");
            server.set("flag", flag.metadata(json!({ "scope": "s", "n": 1, "f": 0.5 })));
            let details = provider.$method("flag", &context()).await.unwrap();
            assert_eq!(details.value, $value);
            assert_eq!(details.variant.as_deref(), Some("v"));
            assert_eq!(details.reason, Some(Reason::TargetingMatch));
            let metadata = details.flag_metadata.unwrap().values;
            assert_eq!(metadata.len(), 3);
            assert_eq!(metadata["scope"], FlagMetadataValue::String("s".to_owned()));
            assert_eq!(metadata["n"], FlagMetadataValue::Int(1));
            assert_eq!(metadata["f"], FlagMetadataValue::Float(0.5));
        };
    }
    check!(resolve_bool_value, true, true);
    check!(resolve_string_value, "text ü", "text ü");
    check!(resolve_int_value, i64::MAX, i64::MAX);
    check!(resolve_int_value, i64::MIN, i64::MIN);
    check!(resolve_float_value, -0.1, -0.1);
    check!(resolve_float_value, 10, 10.0);
    let inner = StructValue::default().with_field("list", vec![1.0, 2.5]);
    let object = StructValue::default().with_field("inner", inner);
    check!(resolve_struct_value, json!({ "inner": { "list": [1, 2.5] } }), object);
}

#[tokio::test]
async fn five_types_over_v2() {
    five_types(Versions::V2).await;
}

#[tokio::test]
async fn five_types_over_v1() {
    five_types(Versions::V1).await;
}

/// More than tonic's default of 4 MiB; the deadline of `near` is 20 s.
#[tokio::test]
async fn a_value_of_five_mebibytes_arrives() {
    let text = "0123456789abcdef".repeat(5 << 16);
    assert_eq!(text.len(), 5 << 20);
    for versions in [Versions::V2, Versions::V1] {
        let server = ScriptedServer::builder().versions(versions).start();
        server.set("large", text.as_str());
        let provider = ready(near(server.port())).await;
        let details = provider.resolve_string_value("large", &context()).await.unwrap();
        // Compared separately: nobody reads 5 MiB in a failure.
        assert_eq!(details.value.len(), text.len());
        assert!(details.value == text, "the length is right, and the text is another");
    }
}

/// Each reason maps to one of the SDK's; empty metadata is absent.
#[tokio::test]
async fn reasons_are_those_of_the_sdk() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    for (text, expected) in [
        ("TARGETING_MATCH", Reason::TargetingMatch),
        ("DEFAULT", Reason::Default),
        ("SPLIT", Reason::Split),
        ("UNKNOWN", Reason::Unknown),
        ("", Reason::Unknown),
        ("CUSTOM", Reason::Other("CUSTOM".to_owned())),
        ("STATIC", Reason::Static),
    ] {
        server.set("on", Flag::new(true).reason(text));
        let details = boolean(&provider, "on").await.unwrap();
        assert_eq!((details.reason, details.flag_metadata), (Some(expected), None), "{text}");
    }
}

/// docs/flagd.md, "Results": over v1 such a value is absent on the wire, over v2 it is present.
#[tokio::test]
async fn zero_values_are_values() {
    for versions in [Versions::V1, Versions::V2] {
        let server = ScriptedServer::builder().versions(versions).start();
        let provider = ready(near(server.port())).await;
        macro_rules! check {
            ($method:ident, $json:expr, $value:expr) => {
                server.set("flag", Flag::new($json).variant("zero"));
                let details = provider.$method("flag", &context()).await.unwrap();
                assert_eq!((details.value, details.variant.as_deref()), ($value, Some("zero")));
            };
        }
        check!(resolve_bool_value, false, false);
        check!(resolve_int_value, 0, 0);
        check!(resolve_float_value, 0.0, 0.0);
        check!(resolve_string_value, "", String::new());
        check!(resolve_struct_value, json!({}), StructValue::default());
    }
}

/// A response without a value (DEFAULT or DISABLED) is an error, so that `unwrap_or(default)`
/// returns the default value supplied by the caller, and `reason` tells which. docs/flagd.md,
/// "Results": over v1 a flag without a default variant is unknown.
#[tokio::test]
async fn flags_without_a_value_leave_it_to_the_caller() {
    for (versions, missing) in [(Versions::V2, Reason::Default), (Versions::V1, Reason::Error)] {
        let server = ScriptedServer::builder().versions(versions).start();
        server.set("off", Flag::disabled().metadata(json!({ "scope": "s" })));
        server.set("none", Flag::no_default());
        let provider = ready(near(server.port())).await;

        let off = error(&provider, "off").await;
        assert!(message(&off, &general()).starts_with("DISABLED: "), "{off:?}");
        assert_eq!(reason(&off), Reason::Disabled);
        let none = error(&provider, "none").await;
        let text = message(&none, &Code::FlagNotFound);
        assert_eq!(text.starts_with("DEFAULT: "), missing == Reason::Default, "{text}");
        assert_eq!(reason(&none), missing);
        let unknown = error(&provider, "unknown").await;
        assert_contains(&message(&unknown, &Code::FlagNotFound), &["unknown", "Flag not found"]);
        assert_eq!(reason(&unknown), Reason::Error);
        // "whatever type is asked"
        let off = provider.resolve_struct_value("off", &context()).await.unwrap_err();
        assert_eq!(reason(&off), Reason::Disabled);
        assert!(provider.resolve_int_value("none", &context()).await.is_err());
    }
}

/// docs/flagd.md, "Servers without evaluation v2": such a server responds with HTTP 404.
#[tokio::test]
async fn the_fall_back_to_v1_is_remembered_for_the_connection() {
    let server = ScriptedServer::builder().versions(Versions::V1).start();
    server.set("on", Flag::new(true).reason("TARGETING_MATCH"));
    let (provider, mut events) = watched(near(server.port())).await;
    for _ in 0..5 {
        assert!(boolean(&provider, "on").await.unwrap().value);
    }
    let seen = server.observed();
    assert_eq!((seen.unserved, seen.streams_opened()), (1, 1), "the stream has found out");
    assert_eq!(seen.count(Version::V1, Method::Boolean), 5);

    // Another connection may lead to another server.
    server.serve(Versions::Both);
    server.restart();
    expect(&mut events, [ProviderEvent::Stale, ProviderEvent::Ready, ALL_CHANGED]).await;
    boolean(&provider, "on").await.unwrap();
    let seen = server.observed();
    assert_eq!((seen.unserved, seen.count(Version::V2, Method::Boolean)), (1, 1));
    assert_eq!(seen.count(Version::V2, Method::EventStream), 1);
}

/// The other ways in which a gRPC server reports it: in headers alone, or in the trailers of a call
/// or stream. The status is not fatal if the server has v1.
#[tokio::test]
async fn a_server_may_report_missing_v2_with_a_status() {
    for missing in [Missing::NotFound, Missing::InHeaders, Missing::InTrailers] {
        let server = ScriptedServer::builder().versions(Versions::V1).missing(missing).start();
        server.set("on", Flag::new(true).reason("TARGETING_MATCH"));
        let provider = ready(near(server.port()).fatal_status_codes(["UNIMPLEMENTED"])).await;
        assert!(boolean(&provider, "on").await.unwrap().value, "{missing:?}");
        let seen = server.observed();
        assert_eq!((seen.unserved, seen.streams_opened()), (1, 1), "{missing:?}");
        // A call detects it by itself, as before a stream is open.
        let called = ScriptedServer::builder().missing(missing).start();
        called.set("on", Flag::new(true).reason("TARGETING_MATCH"));
        let provider = ready(near(called.port())).await;
        called.serve(Versions::V1);
        assert!(boolean(&provider, "on").await.unwrap().value, "{missing:?}");
        assert_eq!(called.observed().unserved, 1, "{missing:?}");
    }
}

/// A server that is replaced behind a proxy's connection: a call detects it, in either direction.
#[tokio::test]
async fn a_call_notices_that_the_version_has_changed() {
    let server = ScriptedServer::start();
    server.set("on", Flag::new(true).reason("TARGETING_MATCH"));
    let provider = ready(near(server.port())).await;
    server.serve(Versions::V1);
    assert!(boolean(&provider, "on").await.unwrap().value);
    assert_eq!(server.observed().count(Version::V1, Method::Boolean), 1);
    server.serve(Versions::V2);
    let gone = error(&provider, "on").await;
    assert_contains(&message(&gone, &general()), &["UNIMPLEMENTED"]);
    assert!(boolean(&provider, "on").await.unwrap().value);
    assert_eq!(server.observed().count(Version::V2, Method::Boolean), 1);
}

/// docs/flagd.md, "Servers without evaluation v2"; docs/lifecycle.md, "Lost calls and connections":
/// a 503 is what proxies respond when a backend is unavailable.
#[tokio::test]
async fn responses_that_are_not_grpc_are_reported_by_their_meaning() {
    let peer = PlainHttp::start(404);
    let target = format!("127.0.0.1:{}", peer.port());
    let provider = started(near(peer.port())).await;
    let missing = error(&provider, "on").await;
    assert_contains(&message(&missing, &general()), &["UNIMPLEMENTED", &target, "404"]);
    peer.set_status(503);
    let away = error(&provider, "on").await;
    assert_contains(&message(&away, &Code::ProviderNotReady), &["cannot connect", &target, "503"]);
    peer.set_status(401);
    let unknown = error(&provider, "on").await;
    assert_contains(&message(&unknown, &general()), &["UNAUTHENTICATED", &target, "401"]);
}

/// docs/flagd.md, "Status codes", row by row.
#[tokio::test]
async fn each_status_has_its_error_code() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    let target = format!("127.0.0.1:{}", server.port());
    let named = |status: &'static str| vec![status, target.as_str(), "20s", "text"];
    let selector = r#"invalid selector key "bogus", valid keys: "flagSetId", "source""#;
    for (status, code, parts) in [
        (Status::not_found("text"), Code::FlagNotFound, vec!["`on`", "text"]),
        (Status::invalid_argument("Type mismatch error"), Code::TypeMismatch, vec!["`on`", "Type"]),
        (Status::invalid_argument(selector), Code::InvalidContext, vec![selector]),
        (Status::data_loss("text"), Code::ParseError, vec!["`on`", "text"]),
        (Status::unknown("text"), general(), vec!["`on`", "text"]),
        (Status::unavailable("text"), Code::ProviderNotReady, vec![&target, "text"]),
        (Status::deadline_exceeded("text"), general(), named("DEADLINE_EXCEEDED")),
        (Status::cancelled("text"), general(), named("CANCELLED")),
        (Status::unauthenticated("text"), general(), named("UNAUTHENTICATED")),
        (Status::permission_denied("text"), general(), named("PERMISSION_DENIED")),
        (Status::internal("text"), general(), named("INTERNAL")),
        (Status::resource_exhausted("text"), general(), named("RESOURCE_EXHAUSTED")),
        (Status::failed_precondition("text"), general(), named("FAILED_PRECONDITION")),
        (Status::aborted("text"), general(), named("ABORTED")),
        (Status::out_of_range("text"), general(), named("OUT_OF_RANGE")),
        (Status::already_exists("text"), general(), named("ALREADY_EXISTS")),
    ] {
        let before = server.observed().unary();
        server.fail("on", status.clone());
        let error = error(&provider, "on").await;
        assert_contains(&message(&error, &code), &parts);
        assert_eq!(reason(&error), Reason::Error);
        assert_eq!(server.observed().unary(), before + 1, "not retried: {status}");
    }
    server.recover("on");
    server.set("on", "text");
    let error = error(&provider, "on").await;
    assert_contains(&message(&error, &Code::TypeMismatch), &["Type mismatch error"]);
}

/// As flagd receives it, with dates, structs of the SDK and objects of JSON.
#[tokio::test]
async fn the_context_arrives_as_it_was_given() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let provider = ready(near(server.port())).await;
    let json = json!({ "a": [1, "two", null, { "b": false }] });
    let nested = StructValue::default().with_field("list", vec![Value::Int(1), Value::Bool(true)]);
    let structure = |value| EvaluationContextFieldValue::Struct(value);
    let context = context()
        .with_targeting_key("user ü")
        .with_custom_field("int", 1_i64 << 53)
        .with_custom_field("float", -0.5)
        .with_custom_field("yes", true)
        .with_custom_field("", "empty name")
        .with_custom_field("date", time::OffsetDateTime::UNIX_EPOCH)
        .with_custom_field("nested", structure(Arc::new(nested)))
        .with_custom_field("json", structure(Arc::new(json.clone())));
    assert!(provider.resolve_bool_value("on", &context).await.unwrap().value);
    let expected = json!({
        "targetingKey": "user ü", "int": 9_007_199_254_740_992_i64, "float": -0.5, "yes": true,
        "": "empty name", "date": "1970-01-01T00:00:00Z",
        "nested": { "list": [1, true] }, "json": json,
    });
    assert_eq!(server.calls().last().unwrap().context_json(), expected);
}

/// What cannot be converted is `INVALID_CONTEXT`, names the field, and costs no call.
#[tokio::test]
async fn a_context_that_cannot_be_sent_is_invalid() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    let structure = EvaluationContextFieldValue::Struct(Arc::new(7_u8));
    for (name, value) in [
        ("big", EvaluationContextFieldValue::Int((1 << 53) + 1)),
        ("nan", EvaluationContextFieldValue::Float(f64::NAN)),
        ("odd", structure),
    ] {
        let context = context().with_custom_field(name, value);
        let error = provider.resolve_bool_value("on", &context).await.unwrap_err();
        assert_contains(&message(&error, &Code::InvalidContext), &[name]);
    }
    assert_eq!(server.observed().unary(), 0);
}

/// Flag keys that are empty or contain any Unicode are sent to flagd unchanged.
#[tokio::test]
async fn flag_keys_arrive_as_they_are() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    for key in ["", " ", "flag/%2F?#", "ключ 🚩", "a\0b\n\u{202e}", &"long".repeat(10_000)] {
        server.set(key, true);
        assert_eq!(value(&provider, key).await, (true, Reason::Static));
        assert_eq!(server.calls().last().unwrap().flag_key, key);
        assert_eq!(value(&provider, key).await, (true, Reason::Cached));
    }
}

/// docs/resolvers.md, "Null": the field is left out.
#[tokio::test]
async fn fields_without_a_kind_are_left_out() {
    let server = ScriptedServer::start();
    let provider: FlagdProvider = ready(near(server.port())).await;
    let value = json!({ "none": KINDLESS, "null": null, "list": ["a"], "b": 1 });
    server.set("object", Flag::new(value.clone()).metadata(value));
    let details = provider.resolve_struct_value("object", &context()).await.unwrap();
    let expected = StructValue::default().with_field("list", vec!["a"]).with_field("b", 1.0);
    assert_eq!(details.value, expected);
    let metadata = details.flag_metadata.unwrap().values;
    assert_eq!((metadata.len(), &metadata["b"]), (1, &FlagMetadataValue::Int(1)));
}

/// docs/resolvers.md, "Null": the error says where the null is, and what to do; it is not cached.
#[tokio::test]
async fn a_null_in_an_array_is_an_error_and_json_shows_it() {
    for versions in [Versions::V1, Versions::V2] {
        let server = ScriptedServer::builder().versions(versions).start();
        let provider: FlagdProvider = ready(near(server.port())).await;
        for (value, path, shown) in [
            (json!({ "list": [1, null, "a"] }), "`$.list[1]`", json!({ "list": [1.0, null, "a"] })),
            (json!({ "list": [KINDLESS] }), "`$.list[0]`", json!({ "list": [null] })),
            (json!({ "l": [[], [[null]]] }), "`$.l[1][0][0]`", json!({ "l": [[], [[null]]] })),
            (
                json!({ "a": { "b": [{ "c": ["x", null] }], "n": null } }),
                "`$.a.b[0].c[1]`",
                json!({ "a": { "b": [{ "c": ["x", null] }], "n": null } }),
            ),
        ] {
            server.set("object", Flag::new(value));
            for _ in ["first", "again"] {
                let resolved = provider.resolve_struct_value("object", &context()).await;
                let text = message(&resolved.unwrap_err(), &Code::ParseError);
                assert_contains(&text, &["flag `object`", path, "null", "resolve_json"]);
                let details = provider.resolve_json("object", &context()).await.unwrap();
                assert_eq!(serde_json::Value::Object(details.value), shown);
                assert_eq!(details.reason, Some(Reason::Static));
            }
        }
        assert_eq!(provider.stats().cache_entries, 0);
    }
}
