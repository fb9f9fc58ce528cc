//! Toggle-Meister with 10,000 features in 2 and in 20 environments: how long the start takes, how much
//! memory it uses, and how long a change takes until it is in force.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "another benchmark needs more of it")]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    data::{self, free_address, name},
    peer::{Peer, median},
};

const FEATURES: usize = 10_000;
const CHANGES: usize = 21;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let environments: Vec<String> = (0..20)
        .map(|it| if it == 0 { "production".to_owned() } else { format!("env_{it}") })
        .collect();
    let environments: Vec<&str> = environments.iter().map(String::as_str).collect();
    println!(
        "{:12} {:>9} {:>8} {:>16} {:>16}",
        "environments", "start ms", "RSS MB", "change of one ms", "of all envs ms"
    );
    for count in [2, 20] {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("db");
        data::store(&database, FEATURES, &environments[..count]);
        let address = free_address();
        let began = Instant::now();
        let peer = Peer::start("toggle-meister", &mut data::program(&database, address), address);
        let start = began.elapsed();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (one, all) = runtime.block_on(changes(&format!("http://{address}"), count));
        println!(
            "{count:<12} {:9.0} {:8.1} {one:16.1} {all:16.1}",
            start.as_secs_f64() * 1e3,
            peer.memory()
        );
    }
}

/// How long a change takes from the request until clients see it: in one environment, and in
/// production, from where it spreads to all.
async fn changes(url: &str, environments: usize) -> (f64, f64) {
    let http = reqwest::Client::new();
    let mut times = Vec::new();
    for env in [format!("env_{}", environments - 1), "production".to_owned()] {
        let mut of_env = Vec::new();
        for index in 0..CHANGES {
            let feature = name(index * 5 + 1);
            let body = json!({"toggle": {"env": env, "feature": feature, "state": "ON"}});
            let began = Instant::now();
            let patch = http.patch(format!("{url}/api/toggles")).body(body.to_string());
            // The response has all toggles, so it is not waited for.
            let sent = tokio::spawn(patch.send());
            let seen = format!("{url}/api/envs/{env}/toggles?feature={feature}");
            loop {
                let answer: Value = http.get(&seen).send().await.unwrap().json().await.unwrap();
                if answer[&feature] == true {
                    break;
                }
                assert!(began.elapsed() < Duration::from_secs(10), "{env} {feature}");
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            of_env.push(began.elapsed().as_secs_f64() * 1e3);
            assert!(sent.await.unwrap().unwrap().status().is_success());
        }
        times.push(median(of_env));
    }
    (times[0], times[1])
}
