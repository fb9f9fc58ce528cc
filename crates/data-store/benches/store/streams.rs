//! Ten thousand open streams of changes, each of which wants one identity.

use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::peer::{Connection, Peer, median};

const STREAMS: usize = 10_000;
const CHANGES: usize = 300;

pub fn run() {
    let folder = tempfile::tempdir().unwrap();
    println!("{:16} {:>9} {:>9} {:>9} {:>9}", "", "MiB", "MiB idle", "p50 us", "p99 us");
    let store = Peer::store("facts.db", folder.path());
    measure(
        &store,
        |n| store.request("GET", &format!("/api/changes?identity=acme-{n}"), ""),
        "event: ready",
        |n, value| {
            let body = json!({ "value": value }).to_string();
            store.request("PUT", &format!("/api/fact/acme-{n}/tier"), &body)
        },
        |value| format!("\"{value}\""),
    );
    let Some(etcd) = Peer::etcd(folder.path()) else { return };
    let key = |n| STANDARD.encode(format!("acme-{n}/tier"));
    measure(
        &etcd,
        |n| {
            let watch = json!({"create_request": {"key": key(n)}}).to_string();
            etcd.request("POST", "/v3/watch", &watch)
        },
        "\"created\":true",
        |n, value| {
            let put = json!({"key": key(n), "value": STANDARD.encode(value)}).to_string();
            etcd.request("POST", "/v3/kv/put", &put)
        },
        |value| format!("\"{}\"", STANDARD.encode(value)),
    );
}

/// Opens the streams, and measures how long it takes from sending a write until its one reader has
/// the change: `open`, `ready`, `write` and `change` are requests and what comes of them.
fn measure(
    peer: &Peer,
    open: impl Fn(usize) -> String,
    ready: &str,
    write: impl Fn(usize, &str) -> String,
    change: impl Fn(&str) -> String,
) {
    let idle = peer.memory();
    let mut streams: Vec<Connection> = (0..STREAMS)
        .map(|n| {
            let mut stream = Connection::to(&peer.address);
            stream.send(&open(n));
            stream.read_until(ready);
            stream
        })
        .collect();
    let mut writer = Connection::to(&peer.address);
    let mut times: Vec<f64> = (0..CHANGES)
        .map(|n| {
            // Each has its own reader, far from the last one.
            let (reader, value) = (n * 7_919 % STREAMS, format!("value-{n}"));
            let request = write(reader, &value);
            let started = Instant::now();
            writer.send(&request);
            streams[reader].read_until(&change(&value));
            let took = started.elapsed().as_secs_f64() * 1e6;
            writer.read_response();
            took
        })
        .collect();
    let memory = peer.memory();
    times.sort_by(f64::total_cmp);
    let p99 = times[CHANGES * 99 / 100];
    let p50 = median(times);
    println!("{:16} {memory:9.0} {idle:9.0} {p50:9.0} {p99:9.0}", peer.name);
}
