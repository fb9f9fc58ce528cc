//! grpcurl: what a gRPC client without our code receives, with the protos of this package.

use std::path::PathBuf;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::{
    flags::change,
    peer::{Peer, command, output},
    support::{flagd::FlagdProcess, installed::installed, ports::local},
    trial,
};

const PROTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");

pub(crate) fn trials() -> Vec<Trial> {
    let grpcurl = || installed("grpcurl/grpcurl");
    vec![
        trial("grpcurl::evaluation".to_owned(), grpcurl(), evaluation),
        trial("grpcurl::errors".to_owned(), grpcurl(), errors),
        trial("grpcurl::event_stream".to_owned(), grpcurl(), event_stream),
        trial("grpcurl::sync".to_owned(), grpcurl(), sync),
        trial("grpcurl::health".to_owned(), grpcurl(), health),
    ]
}

/// A call of this method of this proto.
fn call(
    grpcurl: &PathBuf,
    proto: &str,
    port: u16,
    method: &str,
    request: &Value,
) -> tokio::process::Command {
    let mut command = command(grpcurl);
    command.args(["-plaintext", "-max-time", "10", "-import-path", PROTOS, "-proto", proto]);
    command.args(["-d", &request.to_string(), &local(port).to_string(), method]);
    command
}

/// A call of an evaluation method; the response as JSON.
async fn evaluate(
    grpcurl: &PathBuf,
    flagd: &FlagdProcess,
    version: &str,
    method: &str,
    request: &Value,
) -> Result<Value, String> {
    let proto = format!("flagd/evaluation/{version}/evaluation.proto");
    let method = format!("flagd.evaluation.{version}.Service/{method}");
    let text = output(&mut call(grpcurl, &proto, flagd.port(), &method, request)).await?;
    serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))
}

async fn evaluation(grpcurl: PathBuf, flagd: FlagdProcess) -> Result<(), String> {
    let colleague = json!({ "flagKey": "text", "context": { "email": "ann@example.com" } });
    for version in ["v1", "v2"] {
        for (method, request, value, variant, reason) in [
            ("ResolveBoolean", json!({ "flagKey": "bool" }), json!(true), "on", "STATIC"),
            (
                "ResolveString",
                colleague.clone(),
                json!("hello, colleague"),
                "special",
                "TARGETING_MATCH",
            ),
            ("ResolveInt", json!({ "flagKey": "int" }), json!("42"), "v", "STATIC"),
            ("ResolveFloat", json!({ "flagKey": "float" }), json!(0.5), "v", "STATIC"),
        ] {
            let answer = evaluate(&grpcurl, &flagd, version, method, &request).await?;
            let expected = json!({ "value": value, "variant": variant, "reason": reason, "metadata": { "team": "clients" } });
            assert_eq!(answer, expected, "{version} {method}");
        }
    }
    let off =
        evaluate(&grpcurl, &flagd, "v2", "ResolveString", &json!({ "flagKey": "off" })).await?;
    assert_eq!(off, json!({ "reason": "DISABLED", "metadata": { "team": "clients" } }));
    let all = evaluate(&grpcurl, &flagd, "v1", "ResolveAll", &json!({})).await?;
    assert_eq!(all["flags"]["bool"]["boolValue"], true, "{all}");
    assert_eq!(all["flags"]["int"]["doubleValue"], 42, "{all}");
    assert_eq!(all["flags"]["object"]["objectValue"]["inner"]["deep"], 0.25, "{all}");
    Ok(())
}

async fn errors(grpcurl: PathBuf, flagd: FlagdProcess) -> Result<(), String> {
    for (key, status) in [("missing", "NotFound"), ("text", "InvalidArgument")] {
        let request = json!({ "flagKey": key });
        let answer = evaluate(&grpcurl, &flagd, "v1", "ResolveBoolean", &request).await;
        let error = answer.expect_err("no flag of this type");
        assert!(error.contains(&format!("Code: {status}")), "{key}: {error}");
    }
    Ok(())
}

/// A stream of JSON objects that span several lines: a change arrives on it.
async fn event_stream(grpcurl: PathBuf, flagd: FlagdProcess) -> Result<(), String> {
    let proto = "flagd/evaluation/v1/evaluation.proto";
    let method = "flagd.evaluation.v1.Service/EventStream";
    let mut stream = Peer::start(call(&grpcurl, proto, flagd.port(), method, &json!({})));
    let ready = stream.object().await?;
    assert_eq!(ready["type"], "provider_ready", "{ready}");
    change(&flagd);
    let changed = stream.object().await?;
    assert_eq!(changed["type"], "configuration_change", "{changed}");
    assert!(changed["data"]["flags"]["bool"].is_object(), "{changed}");
    Ok(())
}

async fn sync(grpcurl: PathBuf, flagd: FlagdProcess) -> Result<(), String> {
    let method = "flagd.sync.v1.FlagSyncService/FetchAllFlags";
    let mut command =
        call(&grpcurl, "flagd/sync/v1/sync.proto", flagd.ports().sync, method, &json!({}));
    let answer: Value = serde_json::from_str(&output(&mut command).await?).unwrap();
    let definition: Value =
        serde_json::from_str(answer["flagConfiguration"].as_str().unwrap()).unwrap();
    assert_eq!(definition["flags"]["int"]["variants"]["v"], 42, "{definition}");
    Ok(())
}

async fn health(grpcurl: PathBuf, flagd: FlagdProcess) -> Result<(), String> {
    let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
    let mut command = command(&grpcurl);
    command.args([
        "-plaintext",
        "-max-time",
        "10",
        "-import-path",
        proto,
        "-proto",
        "health.proto",
    ]);
    command.args([&local(flagd.ports().management).to_string(), "grpc.health.v1.Health/Check"]);
    let answer: Value = serde_json::from_str(&output(&mut command).await?).unwrap();
    assert_eq!(answer, json!({ "status": "SERVING" }));
    Ok(())
}
