//! The embedded server and flagd on the same definitions and questions, made anew in every run: all of
//! an answer is compared, over both versions of the protocol and over OFREP.
//!
//! `FLAGSTAFF_ALIKE_SEED` repeats a run, `FLAGSTAFF_ALIKE_DEFINITIONS` says how many definitions.

mod generate;

use std::{
    collections::BTreeSet,
    env,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use flagstaff::server::Server;
use generate::{Definition, Generator};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    support::{
        ask::{Asker, Kind},
        flagd::FlagdProcess,
        json::same,
        wait::bounded,
    },
    trial::trials,
};

trials![the_server_answers_as_flagd];

const DEFINITIONS: u64 = 60;
/// How often each flag is asked for.
const QUESTIONS: usize = 4;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{variable}: {e}")))
}

async fn the_server_answers_as_flagd() {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let seed = number("FLAGSTAFF_ALIKE_SEED").unwrap_or_else(|| clock().try_into().unwrap());
    println!("alike: FLAGSTAFF_ALIKE_SEED={seed}");
    let mut generator = Generator(seed);
    let count = number("FLAGSTAFF_ALIKE_DEFINITIONS").unwrap_or(DEFINITIONS);
    let definitions: Vec<_> =
        (0..count.try_into().unwrap()).map(|number| generator.definition(number)).collect();

    // Each definition is a source of its own, so that flagd may refuse it alone.
    let ready = json!({"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"});
    let mut flagd = FlagdProcess::with(&json!({"flags": {"ready": ready}}));
    for (number, definition) in definitions.iter().enumerate() {
        flagd = flagd.source(&format!("{number}.json"), &definition.json);
    }
    let flagd = flagd.start().await.unwrap();
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut theirs = Asker::connect(local(flagd.port()), local(flagd.ports().ofrep)).await;
    let server = Server::builder().ephemeral().bind().await.unwrap();
    let addresses = (server.evaluation_addr().unwrap(), server.ofrep_addr().unwrap());
    let mut ours = Asker::connect(addresses.0, addresses.1).await;

    let (mut agreed, mut refused, mut kinds) = (0, Vec::new(), BTreeSet::new());
    for definition in &definitions {
        if let Err(error) = server.flags().replace(&definition.json.to_string()) {
            refused.push((definition, error));
            continue;
        }
        bounded(&format!("flagd to take {}", definition.json), async {
            let nothing = json!({});
            while theirs.v2(&definition.witness, Kind::Boolean, &nothing).await["value"] != true {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
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
        assert_eq!(answer["error"], "NOT_FOUND", "seed {seed}: refused here: {error}: {json}");
    }
    println!("alike: {agreed} questions agreed, {} definitions were refused", refused.len());
    let usual =
        ["DATA_LOSS", "DEFAULT", "INVALID_ARGUMENT", "STATIC", "TARGETING_MATCH", "UNKNOWN"];
    assert!(usual.iter().all(|kind| kinds.contains(*kind)), "seed {seed}: only {kinds:?}");
    drop((theirs, ours));
    server.shutdown().await;
}

/// The answers on each way.
async fn answers(asker: &mut Asker, key: &str, kind: Kind, context: &Value) -> Value {
    let (status, ofrep): (StatusCode, _) = asker.ofrep(key, context).await;
    json!({
        "v1": asker.v1(key, kind, context).await,
        "v2": asker.v2(key, kind, context).await,
        "ofrep": {"status": status.as_u16(), "answer": ofrep},
    })
}
