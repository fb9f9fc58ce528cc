//! docs/flagd.md, "OFREP".

use http::Method;
use serde_json::json;

use super::client::{Answer, get, post, send, serve};
use flagstaff::server::Server;

const PATH: &str = "/ofrep/v1/evaluate/flags";

async fn ask(server: &Server, key: &str, body: &str) -> Answer {
    post(server.ofrep_addr(), &format!("{PATH}/{key}"), &[], body.to_owned()).await
}

#[tokio::test]
async fn one_flag() {
    let server = serve().await;
    let metadata = json!({"team": "x"});
    for (key, body, expected) in [
        (
            "bool",
            "",
            json!({"value": true, "key": "bool", "reason": "STATIC", "variant": "on", "metadata": {"own": 1, "team": "x"}}),
        ),
        (
            "int",
            "{}",
            json!({"value": 42, "key": "int", "reason": "STATIC", "variant": "v", "metadata": metadata}),
        ),
        (
            "list",
            "null",
            json!({"value": [1, "a"], "key": "list", "reason": "STATIC", "variant": "v", "metadata": metadata}),
        ),
        (
            "targeted",
            r#"{"context": {"who": "me"}}"#,
            json!({"value": "yes", "key": "targeted", "reason": "TARGETING_MATCH", "variant": "yes", "metadata": metadata}),
        ),
        (
            "targeted",
            r#"{"context": 5}"#,
            json!({"value": "no", "key": "targeted", "reason": "DEFAULT", "variant": "no", "metadata": metadata}),
        ),
        (
            "no%2Ddefault",
            "{}",
            json!({"key": "no-default", "reason": "DEFAULT", "metadata": metadata}),
        ),
        ("disabled", "{}", json!({"key": "disabled", "reason": "DISABLED", "metadata": metadata})),
    ] {
        let answer = ask(&server, key, body).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, expected), "{key} {body}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

/// flagd cannot be called for a key with a slash. What is not an escape stands for itself.
#[tokio::test]
async fn keys_are_percent_decoded() {
    let server = serve().await;
    for (path, key) in [
        ("a%2Fb", "a/b"),
        ("%F0%9F%91%8d", "👍"),
        ("100%", "100%"),
        ("%2", "%2"),
        ("%zz", "%zz"),
        ("a+b", "a+b"),
    ] {
        server.flags().set_value(key, 1).unwrap();
        let answer = ask(&server, path, "").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["key"]), (200, &json!(key)), "{path}");
    }
    assert_eq!(ask(&server, "a/b", "").await.status.as_u16(), 404);
}

#[tokio::test]
async fn errors() {
    let server = serve().await;
    for (key, body, status, code, details) in [
        ("missing", "{}", 404, "FLAG_NOT_FOUND", "flag `missing` does not exist"),
        ("broken", "{}", 400, "PARSE_ERROR", "error parsing the flag `broken`"),
        ("unknown-variant", "{}", 400, "GENERAL", "error processing the flag for evaluation"),
        ("bool", "{", 400, "INVALID_CONTEXT", "Provider context is not valid"),
        ("bool", "[]", 400, "INVALID_CONTEXT", "Provider context is not valid"),
    ] {
        let answer = ask(&server, key, body).await;
        let error = answer.json();
        assert_eq!(answer.status.as_u16(), status, "{error}");
        assert_eq!((&error["key"], &error["errorCode"]), (&json!(key), &json!(code)));
        assert_eq!(error["errorDetails"], details);
    }
    let bogus = [("flagd-selector", "bogus=1")];
    for path in [PATH.to_owned(), format!("{PATH}/bool")] {
        let answer = post(server.ofrep_addr(), &path, &bogus, "{}").await;
        let error = answer.json();
        assert_eq!((answer.status.as_u16(), &error["errorCode"]), (400, &json!("GENERAL")));
        assert!(error["errorDetails"].as_str().unwrap().starts_with("invalid selector: "));
    }
}

#[tokio::test]
async fn all_flags_and_their_tag() {
    let server = serve().await;
    let address = server.ofrep_addr();
    let answer = post(address, PATH, &[], r#"{"context": {"who": "x"}}"#).await;
    let all = answer.json();
    let flags = all["flags"].as_array().unwrap();
    assert_eq!((flags.len(), &all["metadata"]), (14, &json!({})));
    let flag = |key: &str| flags.iter().find(|flag| flag["key"] == key).unwrap();
    assert_eq!(flag("list")["value"], json!([1, "a"]));
    assert_eq!(flag("broken")["errorCode"], "PARSE_ERROR");
    assert_eq!(flag("echo")["value"], "x");
    assert_eq!(
        flag("no-default"),
        &json!({"key": "no-default", "reason": "DEFAULT", "metadata": {"team": "x"}})
    );

    let tag = answer.header("etag").unwrap().to_owned();
    let weak = format!("\"other\", W/{tag}");
    for known in [&*tag, "*", &weak] {
        let known = [("if-none-match", known)];
        let answer = post(address, PATH, &known, r#"{"context": {"who": "x"}}"#).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
        assert_eq!(answer.header("etag"), Some(&*tag));
    }
    let known = [("if-none-match", &*tag)];
    let answer = post(address, PATH, &known, r#"{"context": {"who": "w"}}"#).await;
    assert_eq!(answer.status.as_u16(), 200, "another context");
    server.flags().set_value("bool", false).unwrap();
    let answer = post(address, PATH, &known, r#"{"context": {"who": "x"}}"#).await;
    assert_eq!(answer.status.as_u16(), 200, "another flag");
}

#[tokio::test]
async fn a_source_is_in_the_metadata() {
    let server = serve().await;
    let memory = [("flagd-selector", "memory")];
    let answer = post(server.ofrep_addr(), &format!("{PATH}/nope"), &memory, "").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["metadata"]),
        (404, &json!({"source": "memory"}))
    );
    let answer = post(server.ofrep_addr(), PATH, &memory, "").await;
    assert_eq!(answer.json()["metadata"], json!({"source": "memory"}));
    assert_eq!(answer.json()["flags"][0]["metadata"]["source"], "memory");
    let other = [("flagd-selector", "other")];
    let answer = post(server.ofrep_addr(), PATH, &other, "").await;
    assert_eq!(answer.json(), json!({"flags": [], "metadata": {"source": "other"}}));
}

/// docs/flagd.md, "OFREP": there is no `/ofrep/v1/configuration`.
#[tokio::test]
async fn other_paths() {
    let server = serve().await;
    let address = server.ofrep_addr();
    for path in ["/", "/ofrep/v1/configuration", &format!("{PATH}/a/b"), &format!("{PATH}x")] {
        assert_eq!(post(address, path, &[], "{}").await.status.as_u16(), 404, "{path}");
    }
    assert_eq!(post(address, &format!("{PATH}/"), &[], "{}").await.status.as_u16(), 200);
    assert_eq!(get(address, PATH).await.status.as_u16(), 405);
    assert_eq!(send(address, Method::OPTIONS, PATH, &[], "").await.status.as_u16(), 405);
}
