//! Logs of what runs until it is told to stop, on standard error.

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

/// `RUST_LOG` decides where it is set, else `--debug`.
pub(crate) fn init(format: LogFormat, debug: bool) {
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would say so on standard error, and panic, where nobody reads that any more.
        .log_internal_errors(false);
    match format {
        LogFormat::Console => {
            subscriber.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init();
        }
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}
