//! The Connect protocol: unary, JSON or protobuf, over HTTP/1.1 and HTTP/2 (docs/flagd.md,
//! "Ports").

pub mod envelopes;
mod stream;

use http::Method;
use prost::Message;
use serde_json::json;

use crate::{
    client::{get, post, send, serve, serve_with},
    support::{
        json::{from_struct, to_struct},
        proto::v1,
    },
};
use flagstaff::server::{Server, ServerError};

const JSON: (&str, &str) = ("content-type", "application/json");
const V1: &str = "/flagd.evaluation.v1.Service";
const V2: &str = "/flagd.evaluation.v2.Service";

#[tokio::test]
async fn answers_in_json() {
    let server = serve().await;
    for (procedure, body, expected) in [
        (
            format!("{V1}/ResolveBoolean"),
            json!({"flagKey": "bool", "context": {}, "unknown": 1}),
            json!({"value": true, "reason": "STATIC", "variant": "on", "metadata": {"own": 1, "team": "x"}}),
        ),
        (
            format!("{V1}/ResolveString"),
            json!({"flag_key": "targeted", "context": {"who": "me"}}),
            json!({"value": "yes", "reason": "TARGETING_MATCH", "variant": "yes", "metadata": {"team": "x"}}),
        ),
        (
            format!("{V2}/ResolveInt"),
            json!({"flagKey": "int"}),
            json!({"value": "42", "reason": "STATIC", "variant": "v", "metadata": {"team": "x"}}),
        ),
        (
            format!("{V1}/ResolveFloat"),
            json!({"flagKey": "int"}),
            json!({"value": 42, "reason": "STATIC", "variant": "v", "metadata": {"team": "x"}}),
        ),
        (
            "/schema.v1.Service/ResolveString".to_owned(),
            json!({"flagKey": "string"}),
            json!({"value": "text", "reason": "STATIC", "variant": "v", "metadata": {"team": "x"}}),
        ),
        (
            format!("{V2}/ResolveObject"),
            json!({"flagKey": "object"}),
            json!({"value": {"a": {"b": [1, null, "c"]}}, "reason": "STATIC", "variant": "v", "metadata": {"team": "x"}}),
        ),
        (
            format!("{V2}/ResolveBoolean"),
            json!({"flagKey": "no-default"}),
            json!({"reason": "DEFAULT", "metadata": {"team": "x"}}),
        ),
        (
            format!("{V1}/ResolveBoolean"),
            json!({"flagKey": "disabled"}),
            json!({"value": false, "reason": "DISABLED", "variant": "", "metadata": {"team": "x"}}),
        ),
    ] {
        let answer = post(server.evaluation_addr(), &procedure, &[JSON], body.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, expected), "{procedure}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn all_flags_in_json() {
    let server = serve().await;
    let answer = post(server.evaluation_addr(), &format!("{V1}/ResolveAll"), &[JSON], "{}").await;
    let all = answer.json();
    let flags = all["flags"].as_object().unwrap();
    assert_eq!(flags.len(), 11);
    let int =
        json!({"reason": "STATIC", "variant": "v", "doubleValue": 42, "metadata": {"team": "x"}});
    assert_eq!(flags["int"], int);
    assert_eq!(flags["broken"]["boolValue"], false);
    assert_eq!(all["metadata"], json!({}));
}

#[tokio::test]
async fn errors_in_json() {
    let server = serve().await;
    let resolve = format!("{V1}/ResolveBoolean");
    let bogus: [(&str, &str); 2] = [JSON, ("flagd-selector", "bogus=1")];
    let version: [(&str, &str); 2] = [JSON, ("connect-protocol-version", "2")];
    let late: [(&str, &str); 2] = [JSON, ("connect-timeout-ms", "0")];
    let endless: [(&str, &str); 2] = [JSON, ("connect-timeout-ms", "12345678901")];
    let key = |key: &str| json!({"flagKey": key}).to_string();
    for (headers, body, status, code, message) in [
        (&[JSON][..], key("missing"), 404, "not_found", "Flag not found"),
        (&[JSON], key("int"), 400, "invalid_argument", "Type mismatch error"),
        (&[JSON], key("unknown-variant"), 500, "unknown", "General error"),
        (&[JSON], key("broken"), 500, "data_loss", "Error parsing input or configuration"),
        (&[JSON], "{".to_owned(), 400, "invalid_argument", "unmarshal message: "),
        (&[JSON], r#"{"flagKey": 1}"#.to_owned(), 400, "invalid_argument", "unmarshal message: "),
        (&[JSON], String::new(), 400, "invalid_argument", "zero-length payload"),
        (&bogus, key("bool"), 400, "invalid_argument", "invalid selector key \"bogus\""),
        (&version, key("bool"), 400, "invalid_argument", "Connect-Protocol-Version"),
        (&late, key("bool"), 504, "deadline_exceeded", "the client's timeout"),
        (&endless, key("bool"), 400, "invalid_argument", "Connect-Timeout-Ms"),
        (
            &[("content-type", "application/proto")],
            "x".to_owned(),
            400,
            "invalid_argument",
            "unmarshal message: ",
        ),
    ] {
        let answer = post(server.evaluation_addr(), &resolve, headers, body).await;
        let error = answer.json();
        assert_eq!((answer.status.as_u16(), &error["code"]), (status, &json!(code)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
}

#[tokio::test]
async fn answers_in_protobuf() {
    let server = serve().await;
    let context = Some(to_struct(&json!({"who": "me"})));
    let request = v1::ResolveStringRequest { flag_key: "targeted".to_owned(), context };
    let proto = ("content-type", "application/proto");
    let path = format!("{V1}/ResolveString");
    let answer = post(server.evaluation_addr(), &path, &[proto], request.encode_to_vec()).await;
    assert_eq!(answer.header("content-type"), Some("application/proto"));
    let response = v1::ResolveStringResponse::decode(answer.body).unwrap();
    assert_eq!((response.value.as_str(), response.reason.as_str()), ("yes", "TARGETING_MATCH"));
    assert_eq!(from_struct(&response.metadata.unwrap()), json!({"team": "x"}));
}

/// docs/flagd.md, "Results": over v1 the value is absent on the wire, over v2 it is present.
#[tokio::test]
async fn a_value_that_is_zero_on_the_wire() {
    let server = serve().await;
    let message = v1::ResolveBooleanRequest { flag_key: "false".to_owned(), context: None };
    for (service, begins) in [(V1, [0x12, 6]), (V2, [0x08, 0])] {
        let path = format!("{service}/ResolveBoolean");
        let proto = ("content-type", "application/proto");
        let answer = post(server.evaluation_addr(), &path, &[proto], message.encode_to_vec()).await;
        assert_eq!(answer.body[..2], begins, "{path}: {:?}", answer.body);
    }
}

#[tokio::test]
async fn requests_that_are_not_calls() {
    let server = serve().await;
    let address = server.evaluation_addr();
    let resolve = format!("{V1}/ResolveBoolean");

    let answer = get(address, &resolve).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("POST")));
    let answer = post(address, &resolve, &[("content-type", "text/plain")], "{}").await;
    assert_eq!(answer.status.as_u16(), 415);
    assert!(answer.header("accept-post").unwrap().contains("application/json"));
    let answer = post(address, &format!("{V1}/EventStream"), &[JSON], "{}").await;
    assert_eq!(answer.status.as_u16(), 415);
    for path in ["/", "/nope", &format!("{V1}/Nope"), &format!("{V2}/ResolveAll")] {
        let answer = post(address, path, &[JSON], "{}").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (404, "404 page not found\n"),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    let answer = post(address, &resolve, &[("content-type", "application/grpc")], "x").await;
    assert_eq!(answer.status.as_u16(), 505, "gRPC needs HTTP/2");
}

/// `-C --cors-origin`.
#[tokio::test]
async fn web_pages_of_other_origins() {
    let ask: &[(&str, &str)] = &[
        ("origin", "http://page.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let allow = "access-control-allow-origin";
    let resolve = format!("{V1}/ResolveBoolean");
    let from = [JSON, ("origin", "http://page.example")];

    let server = serve_with(Server::builder().cors_origins(["http://page.example"])).await;
    for (address, path) in
        [(server.evaluation_addr(), &*resolve), (server.ofrep_addr(), "/ofrep/v1/evaluate/flags")]
    {
        let answer = send(address, Method::OPTIONS, path, ask, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header(allow)),
            (204, Some("http://page.example"))
        );
        assert_eq!(answer.header("access-control-allow-headers"), Some("content-type"));
        assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
        let answer = post(address, path, &from, r#"{"flagKey": "bool"}"#).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header(allow)),
            (200, Some("http://page.example"))
        );
        assert_eq!(answer.header("vary"), Some("Origin"));
        let other = [JSON, ("origin", "http://other.example")];
        let answer = post(address, path, &other, r#"{"flagKey": "bool"}"#).await;
        assert_eq!((answer.status.as_u16(), answer.header(allow)), (200, None));
    }

    let server = serve_with(Server::builder().cors_origins(["https://*.page.example"])).await;
    for (origin, is_allowed) in [
        ("https://a.page.example", true),
        ("https://a.page.example.evil", false),
        ("https://evil/.page.example.net", false),
        ("http://a.page.example", false),
        ("https://page.example", false),
    ] {
        let from = [JSON, ("origin", origin)];
        let answer = post(server.evaluation_addr(), &resolve, &from, "{}").await;
        assert_eq!(answer.header(allow), is_allowed.then_some(origin));
    }

    let closed = serve().await;
    let answer = send(closed.evaluation_addr(), Method::OPTIONS, &resolve, ask, "").await;
    assert_eq!((answer.status.as_u16(), answer.header(allow)), (405, None));
}

#[tokio::test]
async fn an_origin_that_matches_no_page_is_an_error() {
    for (origin, better) in [
        ("https://shop.example/", "`https://shop.example`"),
        ("https://*.shop.example/cart", "`https://*.shop.example`"),
        ("localhost:3000", "`http://localhost:3000`"),
    ] {
        let server = Server::builder().ephemeral().cors_origins(["https://a.example", origin]);
        let error = server.bind().await.unwrap_err();
        assert!(matches!(error, ServerError::Option { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains(origin) && error.ends_with(&format!("write {better}")), "{error}");
    }
}
