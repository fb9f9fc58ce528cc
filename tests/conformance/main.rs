//! flagd's own conformance features, which `cucumber` runs against the provider.
//!
//! `FLAGD_TESTBED_DIR` names a directory with `gherkin`, the features, and `flags`, the flag
//! definitions that they use. Without it the suite is ignored. Without flagd
//! (`support::flagd::find`), the scenarios that need one are ignored; with
//! `FLAGSTAFF_REQUIRE_FLAGD=1` both are failures. flagd listens on all interfaces.
// Helpers may panic like tests.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod backend;
mod config;
mod evaluation;
mod events;
mod features;
mod gherkin;
mod options;
mod report;
mod steps;
mod subject;
mod suite;
mod world;

use std::{env, path::PathBuf, process::ExitCode};

use cucumber::{Runner as _, World as _, runner};
use libtest_mimic::Arguments;
use tokio_stream::StreamExt as _;

use crate::{
    features::{Selection, select},
    report::Report,
    suite::Suite,
    support::flagd,
    world::World,
};

/// Concurrent scenarios: most wait for flagd, and each has its own.
const CONCURRENCY: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("conformance: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing failed.
async fn run(arguments: &Arguments) -> Result<bool, String> {
    let Some(testbed) = env::var_os("FLAGD_TESTBED_DIR").filter(|path| !path.is_empty()) else {
        return ignore("FLAGD_TESTBED_DIR is not set").map(|()| true);
    };
    let testbed = PathBuf::from(testbed);
    let has_flagd = match flagd::find() {
        Ok(_) => true,
        Err(reason) => ignore(&reason).map(|()| false)?,
    };
    let mut succeeded = true;
    for &suite in Suite::ALL {
        let selection = select(&testbed.join("gherkin"), suite, has_flagd, arguments)?;
        if arguments.list {
            selection.list();
            continue;
        }
        let report = execute(suite, selection, testbed.join("flags"), arguments).await;
        succeeded &= report.finish(suite);
    }
    Ok(succeeded)
}

/// Prints why scenarios are ignored, unless they must run.
fn ignore(reason: &str) -> Result<(), String> {
    if env::var_os("FLAGSTAFF_REQUIRE_FLAGD").is_some_and(|value| value == "1") {
        return Err(reason.to_owned());
    }
    println!("conformance: ignored: {reason}");
    Ok(())
}

async fn execute(
    suite: Suite,
    selection: Selection,
    flags: PathBuf,
    arguments: &Arguments,
) -> Report {
    let mut report = Report::new(&selection.skipped);
    let runner = runner::Basic::default()
        .steps(World::collection())
        .max_concurrent_scenarios(arguments.test_threads.unwrap_or(CONCURRENCY))
        .before(move |_, _, _, world: &mut World| {
            world.flags.clone_from(&flags);
            world.suite = suite;
            Box::pin(std::future::ready(()))
        })
        .after(|_, _, _, _, world| {
            Box::pin(async {
                if let Some(world) = world {
                    world.end().await.unwrap_or_else(|error| panic!("{error}"));
                }
            })
        });
    let features = tokio_stream::iter(selection.features.into_iter().map(Ok));
    let mut events = runner.run(features, runner::basic::Cli::default());
    while let Some(Ok(event)) = events.next().await {
        report.add(event.into_inner());
    }
    report
}
