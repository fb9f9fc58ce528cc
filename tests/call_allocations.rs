//! What an evaluation in flagd allocates in the client, in a call that misses the cache. The server
//! is a second process of this program, so that its allocations are not counted.

// A test that fails may panic.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    env,
    io::{BufRead, BufReader, stdin},
    process::{Command, Stdio},
};

use flagstaff::FlagdProvider;
use open_feature::{EvaluationContext, provider::FeatureProvider};
use support::{
    provider::{near, ready},
    scripted::{Flag, ScriptedServer},
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// The argument that makes this program a server until its input ends.
const SERVER: &str = "--server";
const KEY: &str = "targeted";
const CALLS: u64 = 500;

/// Allocations of one call, those of HTTP/2 included. If an update of a dependency changes the
/// number, change it here; another allocation in this crate must be worth its cost.
const BOUND: u64 = 32;

fn main() {
    if env::args().nth(1).as_deref() == Some(SERVER) {
        return serve();
    }
    let mut server = Command::new(env::current_exe().unwrap())
        .arg(SERVER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();

    let _profiler = dhat::Profiler::builder().testing().build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for fields in [0, 10] {
        let spent = runtime.block_on(allocations(port.trim().parse().unwrap(), fields));
        println!("{fields} fields: {spent} allocations in {CALLS} calls");
        assert!(spent > CALLS, "the counter counts");
        // Connections allocate now and then, less than once per call.
        assert!(spent / CALLS <= BOUND, "{fields} fields: {spent} allocations in {CALLS} calls");
    }
    drop(server.stdin.take());
    server.wait().unwrap();
}

fn serve() {
    let server = ScriptedServer::builder().without_log().start();
    server.set(KEY, Flag::new(true).reason("TARGETING_MATCH"));
    println!("{}", server.port());
    stdin().lines().for_each(drop);
}

/// Allocations of the calls that follow some others.
async fn allocations(port: u16, fields: u32) -> u64 {
    let provider = ready(near(port)).await;
    let context = EvaluationContext::default().with_targeting_key("user-1");
    let context = (0..fields).fold(context, |context, n| {
        context.with_custom_field(format!("field-{n}"), format!("value {n}"))
    });
    call(&provider, &context).await;
    let before = dhat::HeapStats::get().total_blocks;
    call(&provider, &context).await;
    dhat::HeapStats::get().total_blocks - before
}

async fn call(provider: &FlagdProvider, context: &EvaluationContext) {
    for _ in 0..CALLS {
        assert!(provider.resolve_bool_value(KEY, context).await.unwrap().value);
    }
}
