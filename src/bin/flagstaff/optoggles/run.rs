//! `flagstaff optoggles` without a command: runs the engine.
//!
//! The first SIGINT or SIGTERM shuts down, which takes up to ten seconds; a second one
//! ends the program at once.

use flagstaff::optoggles::Engine;

use super::file::File;
use crate::{
    excerpt::chain,
    exit::{Exit, failed},
    logging::{self, LogFormat},
    signals::{Hangup, Signals},
};

/// The arguments for running the engine.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    file: File,
    /// Format of log lines.
    #[arg(long, env = "FLAGSTAFF_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// Log at DEBUG, which includes the names of users.
    #[arg(long)]
    debug: bool,
}

pub(super) async fn run(args: Run) -> Exit {
    let listening = Signals::listen().and_then(|signals| Ok((signals, Hangup::listen()?)));
    let (mut signals, mut hangup) = match listening {
        Ok(listening) => listening,
        Err(error) => return failed(Exit::No, &format!("cannot listen for signals: {error}")),
    };
    logging::init(args.log_format, args.debug);
    let engine = args.file.path().map_err(Into::into).and_then(Engine::from_config);
    let engine = match engine {
        Ok(engine) => engine,
        Err(error) => return failed(Exit::Usage, &chain(&error)),
    };
    let running = match engine.start().await {
        Ok(running) => running,
        Err(error) => return failed(Exit::No, &chain(&error)),
    };
    loop {
        tokio::select! {
            () = signals.next() => break,
            () = hangup.next() => running.reload(),
        }
    }
    tracing::info!("shutting down; send another signal to exit at once");
    tokio::select! {
        () = running.shutdown() => {}
        () = signals.next() => {}
    }
    Exit::Success
}
