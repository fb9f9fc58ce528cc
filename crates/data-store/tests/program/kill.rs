//! SIGKILL during a load of writes: what was acknowledged is there afterwards.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    http::{Events, LONG, client},
    program::Program,
};

const KILLS: usize = 20;
const WRITERS: usize = 8;

/// A write: identity, key and value.
type Write = (String, String, String);

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_20_kills_on_sqlite() {
    survive(Program::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_20_kills_on_postgresql() {
    let Some(url) = testing::Postgres::database() else { return testing::skip("PostgreSQL") };
    survive(Program::new().with("FLAGOPS_DATABASE", &url)).await;
}

/// Without a lock, SQLite in another process takes itself for the only user of the file, and removes
/// the log in which acknowledged writes are.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_server_keeps_its_lock_when_a_further_connection_opens_the_file() {
    use std::os::unix::fs::MetadataExt as _;

    let program = Program::new();
    let server = program.serve();
    server.set("/api/fact/acme/tier", "gold").await;
    // This needs a connection to read beside the one that writes.
    assert_eq!(server.json("/api/fact").await["facts"]["acme"]["tier"], "gold");
    let inode = format!(":{} ", std::fs::metadata(program.database()).unwrap().ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    assert!(locks.contains(&inode), "no lock on inode{inode}in:\n{locks}");
}

/// What the stream of changes has shown so far, over all its connections.
#[derive(Default)]
struct Seen {
    last: i64,
    writes: HashSet<Write>,
    versions: HashMap<(String, String), i64>,
}

async fn survive(program: Program) {
    let token = program.token();
    let mut server = program.serve_under(&[], &token);
    let mut acknowledged: HashSet<Write> = HashSet::new();
    let mut seen = Seen::default();
    for round in 0..KILLS {
        let follower = follow(server.stream(Some(seen.last)).await, seen, i64::MAX);
        let count = Arc::new(AtomicUsize::new(0));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(server.url.clone(), token.clone(), round, writer, count.clone()));
        }
        let kill = async {
            // Each time at another moment.
            let least = 20 + round * 37 % 101;
            while count.load(Ordering::Relaxed) < least {
                tokio::task::yield_now().await;
            }
            tokio::task::block_in_place(|| server.process.kill());
        };
        let wait = tokio::time::timeout(LONG, async { tokio::join!(follower, kill) });
        (seen, ()) = wait.await.expect("the server accepts writes");
        while let Some(written) = writers.join_next().await {
            acknowledged.extend(written.unwrap());
        }

        server = program.serve_under(&[], &token);
        let facts = server.json("/api/fact").await["facts"].clone();
        let sequence = server.get("/api/fact/pair").await.headers()["flagops-sequence"].clone();
        let sequence = sequence.to_str().unwrap().parse().unwrap();
        let events = server.stream(Some(seen.last)).await;
        seen = follow(events, seen, sequence).await;
        let lost: Vec<_> = acknowledged.difference(&seen.writes).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?} were acknowledged and are lost");
        for ((identity, key), version) in &seen.versions {
            let path = format!("/api/fact/{identity}/{key}/history?limit=1");
            let newest = server.json(&path).await["versions"][0].clone();
            assert_eq!(newest["version"], *version, "{identity}/{key} in round {round}");
            assert_eq!(newest["value"], facts[identity][key], "{identity}/{key} is torn");
        }
        // A bulk write is made as a whole.
        assert_eq!(facts["pair"]["a"], facts["pair"]["b"], "round {round}");
    }
    assert!(acknowledged.len() > KILLS * 20);
    let check = program.run(&["check"]);
    assert_eq!(check.code, 0, "{check:?}");
}

/// Reads the stream from where it ended, up to a change, or until the server dies.
async fn follow(mut events: Events, mut seen: Seen, until: i64) -> Seen {
    assert_eq!(events.expect("ready").await.id, Some(seen.last));
    while seen.last < until {
        let Some(event) = events.next().await else {
            assert_eq!(until, i64::MAX, "the stream ended after change {}", seen.last);
            break;
        };
        assert_eq!(event.kind, "change", "{event:?}");
        assert_eq!(event.id, Some(seen.last + 1), "a gap in the stream");
        seen.last += 1;
        let text = |name: &str| event.data[name].as_str().unwrap().to_owned();
        let fact = (text("identity"), text("fact"));
        let version = event.data["version"].as_i64().unwrap();
        let before = seen.versions.insert(fact.clone(), version).unwrap_or(0);
        assert_eq!(version, before + 1, "a version of {fact:?} is missing");
        seen.writes.insert((fact.0, fact.1, text("value")));
    }
    seen
}

/// Writes until the server dies. Returns what it acknowledged.
async fn write(
    url: String,
    token: String,
    round: usize,
    writer: usize,
    count: Arc<AtomicUsize>,
) -> Vec<Write> {
    let client = client();
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let value = format!("{round}-{writer}-{number}");
        // One writes two facts at once, one its own, and the others the same.
        let (identity, keys): (_, &[&str]) = match writer {
            0 => ("pair".to_owned(), &["a", "b"]),
            1 => ("own".to_owned(), &["k"]),
            _ => ("shared".to_owned(), &["k"]),
        };
        let request = match keys {
            [key] => client
                .request(Method::PUT, format!("{url}/api/fact/{identity}/{key}"))
                .json(&json!({ "value": value })),
            _ => client
                .request(Method::PATCH, format!("{url}/api/fact/{identity}"))
                .json(&json!({ "a": value, "b": value })),
        };
        let Ok(response) = request.bearer_auth(&token).send().await else { break };
        assert_eq!(response.status(), 200);
        let facts = keys.iter().map(|key| (identity.clone(), (*key).to_owned(), value.clone()));
        acknowledged.extend(facts);
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}
