//! `GET /api/envs/{env}/toggles` under load (`wrk`, 16 connections): CPU time, latency and memory.
//! Beside it two bare axum handlers, one that only responds and one that looks names up in a map, and
//! Unleash Edge without its server, with as many toggles, if it is on the `PATH`.
//!
//! The clients never pause, so the latencies are those of a machine at its limit, and are worth
//! something only beside those of the others in the same run.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use axum::{
    Router,
    extract::RawQuery,
    http::{HeaderName, header},
    routing::get,
};
use serde_json::{Value, json};

use crate::support::{
    data::{self, State, free_address, name, state},
    peer::{Peer, Row, median},
};

/// Many short loads, of which the median counts. The first, which warms up, is not counted.
const ROUNDS: usize = 7;
const TOKEN: &str = "*:production.benchmark";

fn main() {
    let mut arguments = env::args().skip(1);
    if let Some("--bare") = arguments.next().as_deref() {
        return bare(&arguments.next().unwrap(), arguments.next().unwrap().parse().unwrap());
    }
    if Command::new("wrk").arg("--version").output().is_err() {
        return println!("no wrk on the PATH: nothing is measured");
    }
    let paths = env::var_os("PATH").unwrap_or_default();
    let edge = env::split_paths(&paths).map(|it| it.join("unleash-edge")).find(|it| it.is_file());
    if edge.is_none() {
        println!("no unleash-edge on the PATH: it is left out");
    }
    println!(
        "{:9} {:16} {:>9} {:>8} {:>8} {:>8} {:>7}",
        "features", "", "CPU us/rq", "rq/s", "p50 us", "p99 us", "RSS MB"
    );
    for count in [5, 10, 350] {
        measure(count, edge.as_deref());
    }
}

fn measure(count: usize, edge: Option<&Path>) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("db");
    data::store(&database, count, &["production"]);
    let names: Vec<String> = (0..count).map(|it| format!("feature={}", name(it))).collect();
    let path = "/api/envs/production/toggles?";
    let ours = script(&folder.path().join("ours.lua"), &format!("{path}{}", names.join("&")), "");
    let all = script(&folder.path().join("all.lua"), &format!("{path}all=true"), "");

    let bare = |name, kind| {
        let address = free_address();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--bare", kind, &address.to_string()]).env("FEATURES", count.to_string());
        Peer::start(name, &mut command, address)
    };
    let address = free_address();
    let meister = Peer::start("toggle-meister", &mut data::program(&database, address), address);
    let mut peers = vec![
        (bare("bare axum", "constant"), "", ours.clone()),
        (bare("axum and a map", "map"), "", ours.clone()),
        (meister, "", ours),
    ];
    if count > 10 {
        let address = free_address();
        let meister =
            Peer::start("toggle-meister", &mut data::program(&database, address), address);
        peers.push((meister, ", all", all));
    }
    if let Some(edge) = edge {
        let file = folder.path().join("edge.json");
        fs::write(&file, unleash(count).to_string()).unwrap();
        let address = free_address();
        let mut command = Command::new(edge);
        command.args(["--interface", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["offline", "--bootstrap-file"]).arg(&file);
        // It does not start without one for backends.
        command.args(["--client-tokens", TOKEN, "--frontend-tokens", TOKEN]);
        let header = format!("wrk.headers[\"authorization\"] = \"{TOKEN}\"\n");
        let script = script(&folder.path().join("edge.lua"), "/api/frontend?", &header);
        peers.push((Peer::start("Unleash Edge", &mut command, address), "", script));
    }
    // Turn by turn, so that a noisy moment meets all of them.
    let mut rows: Vec<Vec<Row>> = peers.iter().map(|_| Vec::new()).collect();
    for round in 0..=ROUNDS {
        for ((peer, _, script), measured) in peers.iter().zip(&mut rows) {
            let row = peer.measure(script);
            measured.extend((round > 0).then_some(row));
        }
    }
    for ((peer, how, _), rows) in peers.iter().zip(&rows) {
        let [cpu, rate, p50, p99] =
            [|r: &Row| r.cpu, |r: &Row| r.rate, |r: &Row| r.p50, |r: &Row| r.p99]
                .map(|field| median(rows.iter().map(field).collect()));
        let (name, rss) = (format!("{}{how}", peer.name), peer.memory());
        println!("{count:<9} {name:19} {cpu:9.1} {rate:8.0} {p50:8.0} {p99:8.0} {rss:7.1}");
    }
}

/// A script of `wrk` that asks with a thousand ids in turn.
fn script(file: &Path, path: &str, more: &str) -> PathBuf {
    let id = if path.starts_with("/api/frontend") { "userId" } else { "enrollment_id" };
    let text = format!(
        "{more}local paths, at = {{}}, 0\n\
         for i = 1, 1000 do paths[i] = \"{path}&{id}=user-\" .. i end\n\
         local made = {{}}\n\
         function init() for i = 1, 1000 do made[i] = wrk.format(\"GET\", paths[i]) end end\n\
         function request() at = at % 1000 + 1; return made[at] end\n"
    );
    fs::write(file, text).unwrap();
    file.to_owned()
}

/// The same toggles in the format of Unleash.
fn unleash(count: usize) -> Value {
    let features = (0..count).map(|index| {
        let strategy = match state(index) {
            State::Roll => json!({"name": "flexibleRollout", "parameters": {
                "rollout": "30", "stickiness": "userId", "groupId": name(index),
            }}),
            _ => json!({"name": "default"}),
        };
        json!({
            "name": name(index), "type": "release", "project": "default",
            "enabled": state(index) != State::Off, "strategies": [strategy],
        })
    });
    json!({"version": 2, "features": features.collect::<Vec<_>>()})
}

const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// A handler that does nothing but respond, or look names up in a map.
fn bare(kind: &str, address: std::net::SocketAddr) {
    let count: usize = env::var("FEATURES").unwrap().parse().unwrap();
    let map: BTreeMap<String, bool> =
        (0..count).map(|it| (name(it), state(it) == State::On)).collect();
    let map: &'static BTreeMap<_, _> = Box::leak(Box::new(map));
    let body = serde_json::to_string(map).unwrap();
    let body: &'static str = Box::leak(body.into_boxed_str());
    let handler = match kind {
        "constant" => get(move || async move { (JSON, body) }),
        _ => get(move |RawQuery(query): RawQuery| async move {
            let query = query.unwrap_or_default();
            let pairs = form_urlencoded::parse(query.as_bytes());
            let names = pairs.filter(|(name, _)| name == "feature").map(|(_, feature)| feature);
            let found: BTreeMap<_, _> = names
                .map(|it| (map.get(&*it).is_some_and(|it| *it), it))
                .map(|(on, it)| (it, on))
                .collect();
            (JSON, serde_json::to_vec(&found).unwrap_or_default())
        }),
    };
    let router = Router::new().route("/api/envs/{env}/toggles", handler);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
}
