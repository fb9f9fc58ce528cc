//! The flagd under test (`FLAGD_BIN`, or the `flagstaff` of this package) and third-party clients:
//! the providers of Python, JavaScript, Java, Go and web pages, grpcurl and curl.
//!
//! `tests/clients/install` installs them. If one is absent, its tests are reported as ignored, with
//! the reason; with `FLAGSTAFF_REQUIRE_PEERS=1` they fail instead.
// The names `flag`, `flags` and `flagd` are similar.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::similar_names)]

#[path = "../support/mod.rs"]
mod support;

mod flags;
mod http;
mod peer;
mod providers;
mod rpc;

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use support::flagd::{FlagdCommand, FlagdProcess};

use crate::flags::definition;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [providers::trials(), rpc::trials(), http::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// A test with a flagd of its own; ignored without its peer, unless that is required.
fn trial<P: Send + 'static, F: Future<Output = Result<(), String>>>(
    name: String,
    peer: Result<P, String>,
    test: impl FnOnce(P, FlagdProcess) -> F + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || match peer {
        Ok(peer) => run(|flagd| test(peer, flagd)).map(|()| Completion::Completed),
        Err(reason) if env::var_os("FLAGSTAFF_REQUIRE_PEERS").is_some_and(|value| value == "1") => {
            Err(reason.into())
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}

fn run<F: Future<Output = Result<(), String>>>(
    test: impl FnOnce(FlagdProcess) -> F,
) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let flagd = FlagdProcess::with(&definition())
            .command(FlagdCommand::found_or(env!("CARGO_BIN_EXE_flagstaff"))?);
        test(flagd.ready_when("bool").start().await?).await
    })?;
    Ok(())
}
