//! Logs of the commands that run until they are told to stop, on standard error.
//!
//! ```text
//! 2026-11-28T16:18:50.400832Z  INFO flagstaff::start: listening service="ofrep" [...]
//! ```
//!
//! With `--log-format json`, each line is an object with the same fields.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Console,
    Json,
}

/// Starts logging, at the level INFO, or DEBUG with `--debug`. `RUST_LOG` overrides the
/// level, as a whole or for single modules; invalid parts of it are ignored.
///
/// Colors are used only on a terminal.
///
/// # Panics
///
/// If it is called twice.
pub(crate) fn init(format: LogFormat, debug: bool) {
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // If standard error was closed, reporting that there would panic.
        .log_internal_errors(false);
    match format {
        LogFormat::Console => {
            subscriber.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init();
        }
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}
