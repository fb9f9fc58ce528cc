//! The providers of other languages, evaluating in flagd and in process, and the one of web pages,
//! which requests all flags. Each has its default options, its deadline among them: some retry a
//! failed call until then, if the server allows it.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::{
    flags::{change, set_bool},
    peer::{Peer, SOURCES, command, on_path},
    support::{flagd::FlagdProcess, installed::installed, json::same},
    trial,
};

type Start = fn() -> Result<Command, String>;

const LANGUAGES: [(&str, Start); 4] =
    [("python", python), ("javascript", javascript), ("java", java), ("go", go)];

pub(crate) fn trials() -> Vec<Trial> {
    let modes = LANGUAGES
        .into_iter()
        .flat_map(|language| ["rpc", "in-process"].map(|resolver| (language, resolver)));
    let of_programs = modes.map(|((language, start), resolver)| {
        let name = format!("providers::{language}::{resolver}");
        // Python's returns no metadata when it evaluates in flagd.
        let metadata = (language, resolver) != ("python", "rpc");
        // Python's treats an unknown variant like a rule that fails.
        let unlike: &[_] =
            if (language, resolver) == ("python", "in-process") { &["astray"] } else { &[] };
        let gives = Gives { metadata, keys: true, unlike };
        trial(name, start(), move |command, flagd| program(command, resolver, gives, flagd))
    });
    let of_pages = trial("providers::web".to_owned(), web(), page);
    of_programs.chain([of_pages]).collect()
}

/// What a provider reports besides values, variants, reasons and errors.
struct Gives {
    metadata: bool,
    /// Which flags have changed.
    keys: bool,
    /// The flags for which it reports other errors, with every server.
    unlike: &'static [&'static str],
}

fn python() -> Result<Command, String> {
    let mut command = command(installed("python/bin/python")?);
    command.arg(format!("{SOURCES}/python/client.py"));
    Ok(command)
}

fn javascript() -> Result<Command, String> {
    let mut command = command(on_path("node")?);
    command.env("NODE_PATH", installed("javascript/node_modules")?);
    command.arg(format!("{SOURCES}/javascript/client.cjs"));
    Ok(command)
}

fn java() -> Result<Command, String> {
    let mut command = command(on_path("java")?);
    let (libraries, classes) = (installed("java/lib")?, installed("java/classes")?);
    command.arg("-cp").arg(format!("{}:{}/*", classes.display(), libraries.display()));
    command.arg("ClientTest");
    Ok(command)
}

fn go() -> Result<Command, String> {
    Ok(command(installed("go/client")?))
}

fn web() -> Result<Command, String> {
    let mut command = command(on_path("node")?);
    command.env("NODE_PATH", installed("web/node_modules")?);
    command.arg(format!("{SOURCES}/web/client.cjs"));
    Ok(command)
}

async fn program(
    mut command: Command,
    resolver: &'static str,
    gives: Gives,
    flagd: FlagdProcess,
) -> Result<(), String> {
    let ports = flagd.ports();
    let port = if resolver == "rpc" { ports.evaluation } else { ports.sync };
    command.args([resolver, &port.to_string()]);
    let mut peer = Peer::start(command);
    evaluate(&mut peer, &gives, &flagd).await?;
    peer.end().await
}

/// All of it over Connect, and again after a restart of flagd.
async fn page(mut command: Command, mut flagd: FlagdProcess) -> Result<(), String> {
    command.arg(flagd.port().to_string());
    let mut peer = Peer::start(command);
    // It requests all flags at once, where an error has no code.
    let gives = Gives { metadata: false, keys: false, unlike: &["broken", "astray"] };
    evaluate(&mut peer, &gives, &flagd).await?;
    flagd.terminate();
    flagd.ended().await;
    flagd.restart().await?;
    // The provider does not report that it has reconnected, but it reports changes then.
    for round in 0..20 {
        let on = round % 2 == 0;
        set_bool(&flagd, on);
        let changed = peer.event("a change", |event| event["event"] == "changed");
        if let Ok(changed) = timeout(Duration::from_secs(3), changed).await {
            changed?;
            if peer.ask(&boolean()).await?["value"] == on {
                return peer.end().await;
            }
        }
    }
    Err("nothing is heard since flagd was restarted".to_owned())
}

/// Five types, flags without a value, errors, and a change.
async fn evaluate(peer: &mut Peer, gives: &Gives, flagd: &FlagdProcess) -> Result<(), String> {
    peer.event("ready", |event| event["event"] == "ready").await?;

    // On a busy machine, the first call of a virtual machine takes longer than its deadline allows.
    let warm_up = json!({ "key": "text", "type": "string", "default": "default" });
    for _ in 0..20 {
        if peer.ask(&warm_up).await?["error"].is_null() {
            break;
        }
    }

    let is_alike =
        |(question, _): &(Value, Value)| !gives.unlike.iter().any(|key| question["key"] == *key);
    for (question, expected) in questions().into_iter().filter(is_alike) {
        let mut answer = peer.ask(&question).await?;
        // Clients omit different parts of the metadata; one flag's is checked.
        let metadata = answer.as_object_mut().and_then(|answer| answer.remove("metadata"));
        equal(&question, &answer, &expected)?;
        if gives.metadata && question["key"] == "object" {
            let metadata = metadata.unwrap_or_default();
            equal(
                &question,
                &json!([metadata["owner"], metadata["team"]]),
                &json!(["ann", "clients"]),
            )?;
        }
    }

    let before = peer.ask(&boolean()).await?;
    equal(&boolean(), &before["value"], &json!(true))?;
    change(flagd);
    let named = |event: &Value| {
        let flags = event["flags"].as_array();
        event["event"] == "changed" && (!gives.keys || flags.is_some_and(|keys| *keys == ["bool"]))
    };
    peer.event("the change of `bool` alone", named).await?;
    let after = peer.ask(&boolean()).await?;
    equal(&boolean(), &json!([after["value"], after["variant"]]), &json!([false, "off"]))
}

fn boolean() -> Value {
    json!({ "key": "bool", "type": "boolean", "default": false })
}

/// Each request and its result: value, variant, reason, error.
fn questions() -> Vec<(Value, Value)> {
    let colleague = json!({ "targetingKey": "ann", "email": "ann@example.com" });
    let value = |value: Value, variant: &str, reason: &str| json!({ "value": value, "variant": variant, "reason": reason, "error": null });
    let error = |value: Value, code: &str| json!({ "value": value, "variant": null, "reason": "ERROR", "error": code });
    let question = |key: &str, as_type: &str, default: Value| json!({ "key": key, "type": as_type, "default": default });
    let mut asked_by_colleague = question("text", "string", json!("default"));
    asked_by_colleague["context"] = colleague;
    let object = json!({ "name": "x", "list": [1, true, "two"], "inner": { "deep": 0.25 } });
    vec![
        (boolean(), value(json!(true), "on", "STATIC")),
        (question("text", "string", json!("default")), value(json!("hello"), "plain", "DEFAULT")),
        (asked_by_colleague, value(json!("hello, colleague"), "special", "TARGETING_MATCH")),
        (question("int", "integer", json!(0)), value(json!(42), "v", "STATIC")),
        (question("float", "float", json!(0)), value(json!(0.5), "v", "STATIC")),
        (question("object", "object", json!({})), value(object, "v", "STATIC")),
        (
            question("missing", "string", json!("default")),
            error(json!("default"), "FLAG_NOT_FOUND"),
        ),
        (question("text", "boolean", json!(true)), error(json!(true), "TYPE_MISMATCH")),
        (question("broken", "string", json!("default")), error(json!("default"), "PARSE_ERROR")),
        (question("astray", "string", json!("default")), error(json!("default"), "GENERAL")),
    ]
}

/// Equal as JSON, where 1 is 1.0.
fn equal(question: &Value, answer: &Value, expected: &Value) -> Result<(), String> {
    if same(answer, expected) {
        return Ok(());
    }
    Err(format!("{question}\n  returned {answer}\n  expected {expected}"))
}
