//! What it takes to keep 1,000 toggles of 10,000 users each in step: a full sync over three sources to a
//! LaunchDarkly and a REST target, the change of one user in one toggle, and the engine's part of it; and
//! with the flagd target, 100 toggles of as many users: an evaluation, and the change of one user until
//! a provider notices.
//!
//! The other sides are a process of their own, so that the memory is the engine's alone.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used)]

#[path = "optoggles/doubles.rs"]
mod doubles;
#[path = "optoggles/world.rs"]
mod world;

use std::{
    env, fs,
    hint::black_box,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use flagstaff::{
    FlagdOptions, FlagdProvider, ProviderEvent,
    evaluator::FlagSet,
    optoggles::{
        Engine, FlagdTarget, LaunchDarklyTarget, OpaSource, RestTarget, Rule, Running, Toggle,
    },
    server::Server,
};
use serde_json::{Map, json};
use tokio::runtime::Builder;

use doubles::{Discarding, Given, Triggered};

const TOGGLES: usize = 1000;
const USERS: usize = 10_000;
const SOURCES: usize = 3;

fn main() {
    if env::args().any(|argument| argument == "world") {
        return world::serve();
    }
    full_sync();
    engine_alone();
    flagd();
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn toggle(index: usize) -> Toggle {
    let rule = Rule::new(format!("app.t{index}"), "users");
    Toggle::new(format!("t{index}"), rule)
        .with("projKey", "default")
        .with("environments", json!(["test"]))
}

/// Waits until every toggle is in step everywhere.
async fn in_step(running: &Running, since: Instant) -> Duration {
    loop {
        let status = running.status().await.unwrap();
        let age = since.elapsed().as_secs_f64();
        let is_done = status.toggles.iter().all(|toggle| {
            toggle.targets.iter().all(|cell| cell.in_step.is_some_and(|seconds| seconds <= age))
        });
        if is_done {
            return since.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

struct World {
    child: Child,
    url: String,
}

impl World {
    fn start() -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .arg("world")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, url: line.trim().to_owned() }
    }

    async fn get(&self, path: &str) -> String {
        let client = flagstaff::http::Client::builder().without_proxy().build().unwrap();
        let request = http::Request::get(format!("{}{path}", self.url)).body(Vec::new()).unwrap();
        let response = client.send(request).await.unwrap();
        String::from_utf8(response.into_body().bytes().await.unwrap().to_vec()).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The most memory that this process has taken, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn full_sync() {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::start();
        let mut builder = Engine::builder()
            .target(
                "launchdarkly",
                LaunchDarklyTarget::builder("t").base_uri(&world.url).build().unwrap(),
            )
            .target("rest", RestTarget::builder(format!("{}/rest", world.url)).build().unwrap());
        let mut triggers = Vec::new();
        for source in 0..SOURCES {
            let (triggered, trigger) =
                Triggered::new(OpaSource::builder(&world.url).build().unwrap());
            builder = builder.source(format!("s{source}"), triggered);
            triggers.push(trigger);
        }
        for index in 0..TOGGLES {
            builder = builder.toggle(format!("s{}", index % SOURCES), toggle(index));
        }
        let begun = Instant::now();
        let running = builder.build().unwrap().start().await.unwrap();
        for trigger in &triggers {
            trigger.notify_one();
        }
        let full = in_step(&running, begun).await;
        println!("full sync: {full:.2?}, {} MiB at most; {}", peak(), world.get("/stats").await);

        world.get("/move/7").await;
        let begun = Instant::now();
        triggers[7 % SOURCES].notify_one();
        let one = loop {
            let stats = world.get("/stats").await;
            if stats.contains("rest writes 1,") && stats.contains("launchdarkly writes 1,") {
                break begun.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        // What comes later would be too much.
        tokio::time::sleep(Duration::from_secs(1)).await;
        println!("one user in one toggle: {one:.2?}; {}", world.get("/stats").await);
        running.shutdown().await;
    });
}

/// The engine between doubles that cost nothing, on one thread.
fn engine_alone() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (given, policy) = Given::new(TOGGLES, USERS);
        let mut builder =
            Engine::builder().source("s", given).target("a", Discarding).target("b", Discarding);
        for index in 0..TOGGLES {
            builder = builder.toggle("s", toggle(index));
        }
        let running = builder.build().unwrap().start().await.unwrap();
        policy.trigger();
        in_step(&running, Instant::now()).await;
        let mut times = Vec::new();
        for _ in 0..9 {
            policy.change();
            let begun = Instant::now();
            policy.trigger();
            in_step(&running, begun).await;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        println!("the engine alone, every toggle changed: {:.0} ms on one core", median(times));
        running.shutdown().await;
    });
}

fn flagd() {
    for users in [10, USERS] {
        let names: Vec<_> = (0..users).map(|user| format!("user-{user:07}")).collect();
        let flag = json!({"state": "ENABLED", "variants": {"on": true, "off": false},
            "defaultVariant": "off",
            "targeting": {"if": [{"in": [{"var": "targetingKey"}, names]}, "on", "off"]}});
        let set = FlagSet::parse(&json!({"flags": {"f": flag}}).to_string()).unwrap();
        for key in ["user-0000009", "nobody"] {
            let context = Map::from_iter([("targetingKey".to_owned(), json!(key))]);
            let time = |_| {
                let begun = Instant::now();
                for _ in 0..10_000 {
                    black_box(set.evaluate("f", black_box(&context)));
                }
                begun.elapsed().as_secs_f64() * 1e9 / 10_000.0
            };
            println!(
                "evaluation, {users} users, `{key}`: {:.0} ns",
                median((0..21).map(time).collect())
            );
        }
    }
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::builder().ephemeral().bind().await.unwrap();
        let port = server.evaluation_addr().unwrap().port();
        let target = FlagdTarget::builder().server(server).build();
        let (given, policy) = Given::new(100, USERS);
        let mut builder = Engine::builder().source("s", given).target("flagd", target);
        for index in 0..100 {
            builder = builder.toggle("s", toggle(index));
        }
        let running = builder.build().unwrap().start().await.unwrap();
        policy.trigger();
        in_step(&running, Instant::now()).await;
        let options = FlagdOptions::builder().host("127.0.0.1").port(port).build().unwrap();
        let provider = FlagdProvider::new(options);
        let mut events = provider.events();
        provider.start().await;
        let mut times = Vec::new();
        for _ in 0..200 {
            policy.change_one();
            let begun = Instant::now();
            policy.trigger();
            while !matches!(events.next().await, Some(ProviderEvent::ConfigurationChanged(_))) {}
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        println!(
            "100 toggles of {USERS} users, one user changed, until the provider's event: \
             median {:.1} ms, 99th percentile {:.1} ms",
            times[100], times[198]
        );
        running.shutdown().await;
    });
}
