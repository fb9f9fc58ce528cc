//! `OPToggles` with OPA and OPAL themselves, as processes: from a change of policy or data to what a
//! program evaluates. `tests/optoggles` has the same engine with scripted ones.
//!
//! `tests/clients/install` installs the peers. Without one, its tests are reported as ignored, with the
//! reason; with `FLAGSTAFF_REQUIRE_PEERS=1` they fail instead.
// A failure panics.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod data_source;
mod defects;
mod engine;
mod inline;
mod opa;
mod opal;
mod peers;
mod process;
mod program;
mod repository;
mod with_opa;
mod with_opal;

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Completion, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each of them starts up to four programs.
    arguments.test_threads.get_or_insert(2);
    let trials = [
        with_opa::trials(),
        with_opal::trials(),
        inline::trials(),
        program::trials(),
        defects::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// A test that needs peers; ignored without them, unless they are required.
fn trial<F: Future<Output = ()>>(
    name: &str,
    peers: Result<(), String>,
    test: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || match peers {
        Ok(()) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(test());
            Ok(Completion::Completed)
        }
        Err(reason) if env::var_os("FLAGSTAFF_REQUIRE_PEERS").is_some_and(|value| value == "1") => {
            Err(reason.into())
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}
