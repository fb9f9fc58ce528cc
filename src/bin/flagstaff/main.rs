//! The program `flagstaff`: a server in flagd's place, and questions to any flagd.
//!
//! Exit codes: 0 is success; 1 is a "no" (a flag without a value, a file that is not valid, a server
//! that cannot start); 2 is wrong usage; 3 is a flagd that cannot be reached.

mod connection;
mod eval;
mod json;
mod output;
mod signals;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Feature flags: a server that takes flagd's place, and questions to any flagd.
#[derive(Debug, Parser)]
#[command(name = "flagstaff", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Eval(eval::Args),
    Watch(watch::Args),
}

/// How the program ends, and its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Success = 0,
    No = 1,
    Usage = 2,
    Unreachable = 3,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(Exit::No, &format!("no runtime: {error}")).into(),
    };
    log_when_asked();
    let exit = match cli.command {
        Command::Eval(args) => runtime.block_on(eval::run(args)),
        Command::Watch(args) => runtime.block_on(watch::run(args)),
    };
    exit.into()
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Says on standard error what went wrong.
fn failed(exit: Exit, message: &str) -> Exit {
    eprintln!("flagstaff: {message}");
    exit
}

/// What the provider logs, on standard error, for those who set `RUST_LOG`.
fn log_when_asked() {
    if let Ok(filter) = EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
