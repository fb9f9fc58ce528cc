//! curl: the Connect protocol, OFREP and the probes, and a reused connection.

use std::{fs, path::PathBuf};

use libtest_mimic::Trial;
use prost::Message as _;
use serde_json::{Value, json};

use crate::{
    peer::{command, on_path, output},
    support::{flagd::FlagdProcess, ports::local, proto::v1},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let curl = || on_path("curl");
    vec![
        trial("curl::connect".to_owned(), curl(), connect),
        trial("curl::connect_protobuf".to_owned(), curl(), connect_protobuf),
        trial("curl::ofrep".to_owned(), curl(), ofrep),
        trial("curl::keep_alive".to_owned(), curl(), keep_alive),
        trial("curl::probes".to_owned(), curl(), probes),
    ]
}

/// The status and the body of the response; a POST if there is a body to send.
async fn request(
    curl: &PathBuf,
    port: u16,
    path: &str,
    more: &[&str],
    body: Option<&Value>,
) -> Result<(String, String), String> {
    let mut command = command(curl);
    command.args(["--silent", "--show-error", "--max-time", "10", "--write-out", "\n%{http_code}"]);
    command.args(more);
    if let Some(body) = body {
        command.args(["--header", "content-type: application/json", "--data", &body.to_string()]);
    }
    command.arg(format!("http://{}{path}", local(port)));
    let text = output(&mut command).await?;
    let (body, status) = text.rsplit_once('\n').unwrap();
    Ok((status.to_owned(), body.to_owned()))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

/// JSON over HTTP/1.1 and over HTTP/2 without TLS; under the former name too, as PHP's provider
/// requests it.
async fn connect(curl: PathBuf, flagd: FlagdProcess) -> Result<(), String> {
    for (service, more) in [
        ("flagd.evaluation.v1", &["--http1.1"][..]),
        ("flagd.evaluation.v1", &["--http2-prior-knowledge"]),
        ("schema.v1", &["--http1.1"]),
    ] {
        let ask = async |method, key| {
            let path = format!("/{service}.Service/{method}");
            let body = json!({ "flagKey": key, "context": { "email": "ann@example.com" } });
            request(&curl, flagd.port(), &path, more, Some(&body)).await
        };
        let (status, body) = ask("ResolveString", "text").await?;
        assert_eq!(status, "200", "{body}");
        let expected = json!({
            "value": "hello, colleague",
            "variant": "special",
            "reason": "TARGETING_MATCH",
            "metadata": { "team": "clients" },
        });
        assert_eq!(json(&body), expected);
        let (status, body) = ask("ResolveInt", "int").await?;
        assert_eq!((&*status, &json(&body)["value"]), ("200", &json!("42")));
        let (status, body) = ask("ResolveBoolean", "missing").await?;
        assert_eq!((&*status, &json(&body)["code"]), ("404", &json!("not_found")));
        let (status, body) = ask("ResolveBoolean", "text").await?;
        assert_eq!((&*status, &json(&body)["code"]), ("400", &json!("invalid_argument")));
    }
    Ok(())
}

async fn connect_protobuf(curl: PathBuf, flagd: FlagdProcess) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let [asked, answered] = ["asked", "answered"].map(|name| folder.path().join(name));
    let request = v1::ResolveIntRequest { flag_key: "int".to_owned(), context: None };
    fs::write(&asked, request.encode_to_vec()).unwrap();
    let mut command = command(curl);
    command.args(["--silent", "--show-error", "--fail", "--max-time", "10"]);
    command.args(["--header", "content-type: application/proto"]);
    command.arg("--data-binary").arg(format!("@{}", asked.display()));
    command.arg("--output").arg(&answered);
    let path = "flagd.evaluation.v1.Service/ResolveInt";
    output(command.arg(format!("http://{}/{path}", local(flagd.port())))).await?;
    let answer = v1::ResolveIntResponse::decode(&*fs::read(&answered).unwrap()).unwrap();
    assert_eq!((answer.value, &*answer.variant, &*answer.reason), (42, "v", "STATIC"));
    Ok(())
}

async fn ofrep(curl: PathBuf, flagd: FlagdProcess) -> Result<(), String> {
    let port = flagd.ports().ofrep;
    let flags = "/ofrep/v1/evaluate/flags";
    let context = json!({ "context": { "email": "ann@example.com" } });
    let ask = async |key: &str| {
        let (status, body) =
            request(&curl, port, &format!("{flags}{key}"), &[], Some(&context)).await?;
        Ok::<_, String>((status, json(&body)))
    };
    let (status, answer) = ask("/text").await?;
    assert_eq!(
        (&*status, &answer["value"], &answer["variant"]),
        ("200", &json!("hello, colleague"), &json!("special"))
    );
    let (status, answer) = ask("/object").await?;
    assert_eq!((&*status, &answer["value"]["list"]), ("200", &json!([1, true, "two"])));
    let (status, answer) = ask("/missing").await?;
    assert_eq!((&*status, &answer["errorCode"]), ("404", &json!("FLAG_NOT_FOUND")));
    let (status, answer) = ask("").await?;
    assert_eq!(status, "200");
    let answers = answer["flags"].as_array().unwrap();
    assert!(answers.iter().any(|flag| flag["key"] == "int" && flag["value"] == 42), "{answer}");
    Ok(())
}

/// One connection for all requests of a port, those that are rejected with a body too.
async fn keep_alive(curl: PathBuf, flagd: FlagdProcess) -> Result<(), String> {
    let ports = flagd.ports();
    let resolve = "flagd.evaluation.v1.Service/ResolveBoolean";
    for (port, good, status) in [
        (ports.evaluation, resolve, "200"),
        (ports.ofrep, "ofrep/v1/evaluate/flags/bool", "200"),
        (ports.management, "nope", "404"),
    ] {
        let mut command = command(&curl);
        command.args(["--silent", "--show-error", "--http1.1", "--max-time", "10"]);
        command.args(["--header", "content-type: application/json"]);
        // More than arrives with the head of the request.
        let body = json!({ "flagKey": "bool", "context": { "long": "x".repeat(50_000) } });
        command.args(["--data", &body.to_string()]);
        command.args(["--write-out", "%{http_code} %{num_connects}\n"]);
        for path in ["nope", good, "nope", good] {
            command.args(["--output", "/dev/null"]).arg(format!("http://{}/{path}", local(port)));
        }
        let seen = output(&mut command).await?;
        assert_eq!(seen, format!("404 1\n{status} 0\n404 0\n{status} 0\n"), "{good}");
    }
    Ok(())
}

async fn probes(curl: PathBuf, flagd: FlagdProcess) -> Result<(), String> {
    for path in ["/healthz", "/readyz", "/metrics"] {
        let (status, body) = request(&curl, flagd.ports().management, path, &[], None).await?;
        assert_eq!(status, "200", "{path}: {body}");
    }
    Ok(())
}
