//! The provider against flagd itself, as a process: see `support::flagd::find` for which one.
//!
//! Where there is none, every test is reported as ignored, with the reason; with
//! `FLAGSTAFF_REQUIRE_FLAGD=1` it fails instead. flagd listens on all interfaces.
// Helpers may panic like tests; JSON literals are passed by value; and the names `flag`, `flags`
// and `flagd` are similar.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::similar_names
)]

#[path = "../support/mod.rs"]
mod support;

mod changes;
#[cfg(feature = "server")]
mod comparison;
mod context;
mod early;
#[cfg(feature = "in-process")]
mod in_process;
mod load;
mod outages;
mod program;
mod selector;
mod streams;
mod subject;
mod transport;
mod trial;
mod values;
mod witness;

use std::process::ExitCode;

use libtest_mimic::Arguments;

/// The tests wait for flagd more than they compute.
const THREADS: usize = 8;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    trial::note_panics();
    let trials = [
        outages::hangs::trials(), // the longest first
        #[cfg(feature = "in-process")]
        in_process::trials(),
        #[cfg(feature = "server")]
        comparison::trials(),
        changes::trials(),
        context::trials(),
        early::trials(),
        load::trials(),
        outages::loss::trials(),
        outages::network::trials(),
        program::trials(),
        selector::trials(),
        streams::trials(),
        #[cfg(feature = "tls")]
        transport::tls::trials(),
        transport::unix::trials(),
        values::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}
