//! Compares the embedded server with flagd on the same definitions and requests, generated anew in every
//! run. Whole responses are compared, over both versions of the protocol and over OFREP.
//!
//! `FLAGSTAFF_COMPARISON_SEED` repeats a run, `FLAGSTAFF_COMPARISON_DEFINITIONS` sets the number of
//! definitions.

mod generate;

use std::{
    collections::BTreeSet,
    env,
    net::{Ipv4Addr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

use flagstaff::server::Server;
use generate::{Definition, Generator};
use http::StatusCode;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    support::{
        ask::{Asker, Kind},
        flagd::{FlagdCommand, FlagdProcess},
        json::same,
        wait::becomes_true,
    },
    trial::trial_unless,
};

const ITSELF: &str =
    "flagd is the server of this package here, which would be compared with itself";

pub(crate) fn trials() -> Vec<Trial> {
    let name = "comparison::the_server_responds_as_flagd_does";
    let itself = |flagd: &FlagdCommand| flagd.is_of_this_package().then_some(ITSELF);
    vec![trial_unless(itself, name, the_server_responds_as_flagd_does)]
}

const DEFINITIONS: u64 = 60;
/// How often each flag is requested.
const QUESTIONS: usize = 4;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{variable}: {e}")))
}

async fn the_server_responds_as_flagd_does() {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let seed = number("FLAGSTAFF_COMPARISON_SEED").unwrap_or_else(|| clock().try_into().unwrap());
    println!("comparison: FLAGSTAFF_COMPARISON_SEED={seed}");
    let mut generator = Generator(seed);
    let count = number("FLAGSTAFF_COMPARISON_DEFINITIONS").unwrap_or(DEFINITIONS);
    let definitions: Vec<_> =
        (0..count.try_into().unwrap()).map(|number| generator.definition(number)).collect();

    // Each definition is a source of its own, so that flagd can reject it alone.
    let ready = json!({"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"});
    let mut flagd = FlagdProcess::with(&json!({"flags": {"ready": ready}}));
    for (number, definition) in definitions.iter().enumerate() {
        flagd = flagd.source(&format!("{number}.json"), &definition.json);
    }
    let flagd = flagd.start().await.unwrap();
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut theirs = Asker::connect(local(flagd.port()), local(flagd.ports().ofrep)).await;
    until_all_are_taken(&flagd, &mut theirs).await;
    let server = Server::builder().ephemeral().bind().await.unwrap();
    let addresses = (server.evaluation_addr().unwrap(), server.ofrep_addr().unwrap());
    let mut ours = Asker::connect(addresses.0, addresses.1).await;

    let (mut agreed, mut refused, mut kinds) = (0, Vec::new(), BTreeSet::new());
    for definition in &definitions {
        if let Err(error) = server.flags().replace(&definition.json.to_string()) {
            refused.push((definition, error));
            continue;
        }
        let witness = theirs.v2(&definition.witness, Kind::Boolean, &json!({})).await;
        assert_eq!(witness["value"], true, "seed {seed}: flagd rejected {}", definition.json);
        for key in &definition.keys {
            for _ in 0..QUESTIONS {
                let (kind, context) = generator.question();
                let flagd = answers(&mut theirs, key, kind, &context).await;
                let answer = answers(&mut ours, key, kind, &context).await;
                let question = format!("{key:?} as {kind:?} with {context} of {}", definition.json);
                assert!(same(&flagd, &answer), "seed {seed}: {flagd} but {answer}: {question}");
                kinds.insert(flagd["v2"]["reason"].as_str().unwrap_or_default().to_owned());
                kinds.insert(flagd["v2"]["error"].as_str().unwrap_or_default().to_owned());
                agreed += 1;
            }
        }
    }
    for (Definition { json, witness, .. }, error) in &refused {
        let answer = theirs.v2(witness, Kind::Boolean, &json!({})).await;
        assert_eq!(answer["error"], "NOT_FOUND", "seed {seed}: rejected here: {error}: {json}");
    }
    println!("comparison: {agreed} questions agreed, {} definitions were refused", refused.len());
    let usual =
        ["DATA_LOSS", "DEFAULT", "INVALID_ARGUMENT", "STATIC", "TARGETING_MATCH", "UNKNOWN"];
    let all = usual.iter().all(|kind| kinds.contains(*kind));
    assert!(all || count < DEFINITIONS, "seed {seed}: only {kinds:?}");
    drop((theirs, ours));
    server.shutdown().await;
}

/// Waits until flagd has accepted or rejected every definition. It processes them one after the
/// other, in the order in which it has read them, so what changes after it has read all of them
/// comes last.
async fn until_all_are_taken(flagd: &FlagdProcess, asker: &mut Asker) {
    let management = (Ipv4Addr::LOCALHOST, flagd.ports().management);
    becomes_true("flagd to have read every source", async || {
        let mut stream = TcpStream::connect(management).await.unwrap();
        let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.starts_with("HTTP/1.1 200")
    })
    .await;
    flagd.edit_flags(|definition| {
        definition["flags"]["last"] = definition["flags"]["ready"].clone();
    });
    becomes_true("flagd to take every definition", async || {
        asker.v2("last", Kind::Boolean, &json!({})).await["value"] == true
    })
    .await;
}

/// The responses over each protocol.
async fn answers(asker: &mut Asker, key: &str, kind: Kind, context: &Value) -> Value {
    let (status, ofrep): (StatusCode, _) = asker.ofrep(key, context).await;
    json!({
        "v1": asker.v1(key, kind, context).await,
        "v2": asker.v2(key, kind, context).await,
        "ofrep": {"status": status.as_u16(), "answer": ofrep},
    })
}
