//! Connections that are retired while calls are in flight: proxies that close each after a number
//! of requests, servers that bound its age, and rolling restarts. No call may be lost:
//! docs/lifecycle.md, "Lost calls and connections".
//!
//! Behind the proxies is the flagd that `support::flagd::find` finds, otherwise a scripted server.
//! If a peer is missing, its trial is reported as ignored, with the reason; with
//! `FLAGSTAFF_REQUIRE_PEERS=1` it fails instead.
// A failure panics.
#![allow(clippy::doc_markdown, clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/go.rs"]
mod go;
#[path = "../support/mod.rs"]
mod support;

mod grpc_go;
mod nginx;
mod proxy;
mod restart;
mod upstream;

use std::{
    env,
    future::Future,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flagstaff::FlagdProvider;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use open_feature::{EvaluationContext, provider::FeatureProvider};
use tokio::task::JoinSet;

use support::{
    provider::{near, ready},
    wait::becomes_true,
};

const CALLS: usize = 20_000;

/// Never cached: its value comes from a rule.
const KEY: &str = "targeted";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = vec![
        trial("a_proxy_retires_connections_after_some_requests", || Ok(()), |()| proxy::retires()),
        trial("a_proxy_drops_what_comes_after_its_goaway", || Ok(()), |()| proxy::retires_often()),
        trial("a_stream_is_replaced_past_a_retired_connection", || Ok(()), |()| proxy::streams()),
        trial("nginx_retires_connections", nginx::find, nginx::retires),
        trial("nginx_without_a_server_for_a_moment", nginx::find, nginx::restarts),
        trial("grpc_go_bounds_the_age_of_connections", grpc_go::build, grpc_go::retires),
        trial("a_rolling_restart_of_two_servers", || Ok(()), |()| restart::gentle()),
        trial("a_rolling_restart_of_two_servers_that_are_killed", || Ok(()), |()| restart::hard()),
        trial("a_restart_of_one_server", || Ok(()), |()| restart::alone()),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A trial that needs the result of `find`.
fn trial<P: 'static, F: Future<Output = ()> + 'static>(
    name: &'static str,
    find: fn() -> Result<P, String>,
    test: fn(P) -> F,
) -> Trial {
    Trial::ignorable_test(name, move || match find() {
        Ok(peer) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(test(peer));
            Ok::<_, Failed>(Completion::Completed)
        }
        Err(reason) if env::var_os("FLAGSTAFF_REQUIRE_PEERS").is_some_and(|v| v == "1") => {
            Err(reason.into())
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}

/// A program on `PATH` or in Debian's folder of servers.
fn program(name: &str) -> Result<PathBuf, String> {
    let paths = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
    let found = places.map(|place| place.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("no {name} on PATH"))
}

/// A provider that is ready, with a deadline that bounds each call and fits a loaded machine.
async fn provider(port: u16) -> FlagdProvider {
    ready(near(port).deadline(Duration::from_secs(10))).await
}

/// Concurrent calls of this many tasks, [`CALLS`] in all: every one gets a response.
async fn every_call_is_answered(provider: &FlagdProvider, tasks: usize) {
    let made = Arc::new(AtomicUsize::new(0));
    let mut calling = JoinSet::new();
    for _ in 0..tasks {
        let (provider, made) = (provider.clone(), made.clone());
        calling.spawn(async move {
            let context = EvaluationContext::default().with_targeting_key("user");
            let mut lost = Vec::new();
            while made.fetch_add(1, Ordering::Relaxed) < CALLS {
                match provider.resolve_bool_value(KEY, &context).await {
                    Ok(details) => assert!(details.value),
                    Err(error) => lost.push(format!("{error:?}")),
                }
            }
            lost
        });
    }
    let mut lost = Vec::new();
    while let Some(of_one) = bounded_long(calling.join_next()).await {
        lost.extend(of_one.unwrap());
    }
    assert!(lost.is_empty(), "{} of {CALLS} were lost: {:?}", lost.len(), lost.first());
}

/// Like [`bounded`], for 20,000 calls.
async fn bounded_long<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(300), future).await.expect("calls end in five minutes")
}

/// Waits for a condition of a peer.
async fn accepts_connections(port: u16) {
    becomes_true("a listener", async || {
        tokio::net::TcpStream::connect(support::ports::local(port)).await.is_ok()
    })
    .await;
}
