//! The table "Results" of docs/flagd.md, over gRPC in both versions, and selectors.

use serde_json::{Value, json};
use tonic::{Code, Request, Status};

use crate::{
    client::{serve, v1 as client_v1, v2 as client_v2, with_header},
    support::{
        json::{from_struct, to_struct},
        proto::{v1, v2},
    },
};

macro_rules! ask_v1 {
    ($client:expr, $procedure:ident, $request:ident, $key:expr, $context:expr) => {
        $client
            .$procedure(v1::$request {
                flag_key: $key.to_owned(),
                context: Some(to_struct(&$context)),
            })
            .await
            .map(|r| {
                let r = r.into_inner();
                (r.value, r.reason, r.variant, r.metadata.map(|m| from_struct(&m)))
            })
    };
}

macro_rules! ask_v2 {
    ($client:expr, $procedure:ident, $request:ident, $key:expr) => {
        $client.$procedure(v2::$request { flag_key: $key.to_owned(), context: None }).await.map(
            |r| {
                let r = r.into_inner();
                (r.value, r.reason, r.variant, r.metadata.map(|m| from_struct(&m)))
            },
        )
    };
}

#[allow(clippy::unnecessary_wraps)] // as it is in an answer
fn team() -> Option<Value> {
    Some(json!({"team": "x"}))
}

#[track_caller]
fn assert_status<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, message: &str) {
    let status = result.unwrap_err();
    assert_eq!((status.code(), status.message()), (code, message));
    assert!(status.details().is_empty());
}

/// The metadata is that of the flag set, overridden by that of the flag.
#[tokio::test]
async fn each_type_over_version_1() {
    let server = serve().await;
    let mut client = client_v1(&server).await;
    let nothing = json!({});
    let (on, v) = ("on".to_owned(), "v".to_owned());
    let is = "STATIC".to_owned();
    assert_eq!(
        ask_v1!(client, resolve_boolean, ResolveBooleanRequest, "bool", nothing).unwrap(),
        (true, is.clone(), on, Some(json!({"own": 1, "team": "x"})))
    );
    assert_eq!(
        ask_v1!(client, resolve_string, ResolveStringRequest, "string", nothing).unwrap(),
        ("text".to_owned(), is.clone(), v.clone(), team())
    );
    assert_eq!(
        ask_v1!(client, resolve_int, ResolveIntRequest, "int", nothing).unwrap(),
        (42, is.clone(), v.clone(), team())
    );
    let (value, ..) =
        ask_v1!(client, resolve_float, ResolveFloatRequest, "float", nothing).unwrap();
    assert!((value - 0.5).abs() < f64::EPSILON);
    let (value, ..) =
        ask_v1!(client, resolve_object, ResolveObjectRequest, "object", nothing).unwrap();
    assert_eq!(from_struct(&value.unwrap()), json!({"a": {"b": [1, null, "c"]}}));
}

/// Integer requested, value 0.5: 0. Float requested, value 10: 10.0.
#[tokio::test]
async fn numbers_are_one_type() {
    let server = serve().await;
    let mut client = client_v2(&server).await;
    let (value, ..) = ask_v2!(client, resolve_int, ResolveIntRequest, "float").unwrap();
    assert_eq!(value, Some(0));
    let (value, ..) = ask_v2!(client, resolve_float, ResolveFloatRequest, "int").unwrap();
    assert_eq!(value, Some(42.0));
}

/// Over v1 they are absent on the wire.
#[tokio::test]
async fn zero_values_are_present_in_version_2() {
    let server = serve().await;
    let (value, reason, variant, _) =
        ask_v2!(client_v2(&server).await, resolve_boolean, ResolveBooleanRequest, "false").unwrap();
    assert_eq!((value, reason.as_str(), variant.as_deref()), (Some(false), "STATIC", Some("off")));
}

/// The rule chose a variant, or returned null.
#[tokio::test]
async fn rules_read_the_context() {
    let server = serve().await;
    let mut client = client_v1(&server).await;
    for (context, value, reason) in
        [(json!({"who": "me"}), "yes", "TARGETING_MATCH"), (json!({"who": "you"}), "no", "DEFAULT")]
    {
        let answer =
            ask_v1!(client, resolve_string, ResolveStringRequest, "targeted", context).unwrap();
        assert_eq!(answer, (value.to_owned(), reason.to_owned(), value.to_owned(), team()));
    }
}

/// No default variant and no variant chosen: `NOT_FOUND` over v1. Disabled: the metadata is kept.
#[tokio::test]
async fn flags_without_value() {
    let server = serve().await;
    let (mut one, mut two) = (client_v1(&server).await, client_v2(&server).await);
    let nothing = json!({});
    let answer = ask_v1!(one, resolve_boolean, ResolveBooleanRequest, "no-default", nothing);
    assert_status(answer, Code::NotFound, "Flag not found");
    let answer = ask_v2!(two, resolve_boolean, ResolveBooleanRequest, "no-default").unwrap();
    assert_eq!(answer, (None, "DEFAULT".to_owned(), None, team()));
    let answer = ask_v1!(one, resolve_string, ResolveStringRequest, "disabled", nothing).unwrap();
    assert_eq!(answer, (String::new(), "DISABLED".to_owned(), String::new(), team()));
    let answer = ask_v2!(two, resolve_int, ResolveIntRequest, "disabled").unwrap();
    assert_eq!(answer, (None, "DISABLED".to_owned(), None, team()));
}

/// A variant with an empty name has a value, and its name is absent on the wire.
#[tokio::test]
async fn a_variant_without_a_name() {
    let server = serve().await;
    let (mut one, mut two) = (client_v1(&server).await, client_v2(&server).await);
    let (value, reason) = ("x".to_owned(), "TARGETING_MATCH".to_owned());
    let answer = ask_v1!(one, resolve_string, ResolveStringRequest, "no-name", json!({})).unwrap();
    assert_eq!(answer, (value.clone(), reason.clone(), String::new(), team()));
    let answer = ask_v2!(two, resolve_string, ResolveStringRequest, "no-name").unwrap();
    assert_eq!(answer, (Some(value), reason, None, team()));
}

#[tokio::test]
async fn errors_have_the_status_and_message_of_flagd() {
    let server = serve().await;
    let mut client = client_v2(&server).await;
    for (key, code, message) in [
        ("missing", Code::NotFound, "Flag not found"),
        ("", Code::NotFound, "Flag not found"),
        ("string", Code::InvalidArgument, "Type mismatch error"),
        ("unknown-variant", Code::Unknown, "General error"),
        ("broken", Code::DataLoss, "Error parsing input or configuration"),
    ] {
        let answer = ask_v2!(client, resolve_boolean, ResolveBooleanRequest, key);
        assert_status(answer, code, message);
    }
    let answer = ask_v2!(client, resolve_object, ResolveObjectRequest, "list");
    assert_status(answer, Code::InvalidArgument, "Type mismatch error");
}

/// docs/flagd.md, "Evaluation service": what `ResolveAll` returns.
#[tokio::test]
async fn all_flags() {
    use v1::any_flag::Value::{BoolValue, DoubleValue, ObjectValue, StringValue};

    let server = serve().await;
    let mut client = client_v1(&server).await;
    let context = Some(to_struct(&json!({"who": "me"})));
    let answer = client.resolve_all(v1::ResolveAllRequest { context }).await.unwrap().into_inner();
    let mut keys: Vec<_> = answer.flags.keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = [
        "bool",
        "broken",
        "disabled",
        "false",
        "float",
        "int",
        "no-name",
        "object",
        "string",
        "targeted",
        "unknown-variant",
    ];
    assert_eq!(keys, expected);
    let flag = |key: &str| {
        let flag = &answer.flags[key];
        (flag.value.clone().unwrap(), flag.reason.as_str(), flag.variant.as_str())
    };
    assert_eq!(flag("int"), (DoubleValue(42.0), "STATIC", "v"));
    assert_eq!(flag("targeted"), (StringValue("yes".to_owned()), "TARGETING_MATCH", "yes"));
    assert_eq!(flag("broken"), (BoolValue(false), "ERROR", ""));
    assert_eq!(flag("disabled"), (BoolValue(false), "DISABLED", ""));
    assert!(matches!(flag("object").0, ObjectValue(_)));
    assert_eq!(
        from_struct(answer.flags["bool"].metadata.as_ref().unwrap()),
        json!({"own": 1, "team": "x"})
    );
    assert_eq!(answer.metadata, Some(to_struct(&json!({}))));
}

/// docs/flagd.md, "Selectors", and "Evaluation service" for the metadata `source`.
#[tokio::test]
async fn selectors() {
    let server = serve().await;
    let mut client = client_v1(&server).await;
    let mut ask = async |selector| {
        let request = v1::ResolveBooleanRequest { flag_key: "bool".to_owned(), context: None };
        client.resolve_boolean(with_header(request, "flagd-selector", selector)).await
    };
    for selector in ["memory", "source=memory"] {
        let metadata = ask(selector).await.unwrap().into_inner().metadata.unwrap();
        let expected = json!({"own": 1, "team": "x", "source": "memory"});
        assert_eq!(from_struct(&metadata), expected, "{selector}");
    }
    ask("flagSetId=").await.unwrap();
    assert_status(ask("flagSetId=x").await, Code::NotFound, "Flag not found");
    assert_status(ask("source=x").await, Code::NotFound, "Flag not found");
    let text = r#"invalid selector key "bogus", valid keys: "flagSetId", "source""#;
    assert_status(ask("bogus=1").await, Code::InvalidArgument, text);

    let request = with_header(v1::EventStreamRequest {}, "flagd-selector", "bogus=1");
    let mut stream = client.event_stream(request).await.unwrap().into_inner();
    assert_status(stream.message().await, Code::InvalidArgument, text);
}

/// docs/flagd.md, "Servers without evaluation v2".
#[tokio::test]
async fn an_unknown_service_is_a_page_that_is_not_found() {
    let server = serve().await;
    let mut grpc = tonic::client::Grpc::new(crate::client::channel(server.evaluation_addr()).await);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/flagd.evaluation.v9.Service/ResolveBoolean");
    let codec =
        tonic_prost::ProstCodec::<v1::EventStreamRequest, v1::EventStreamRequest>::default();
    let status =
        grpc.unary(Request::new(v1::EventStreamRequest {}), path, codec).await.unwrap_err();
    assert!(status.message().contains("404"), "{status:?}");
}
