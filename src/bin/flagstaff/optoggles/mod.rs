//! `flagstaff optoggles`: keeps flags in step with a policy of OPA.
//!
//! The commands are thin: the work is done by `flagstaff::optoggles::Engine`. They read
//! arguments, print results to standard output and errors to standard error, and choose
//! the exit code.

mod check;
mod confirm;
mod file;
mod plan;
mod run;

use crate::exit::Exit;

/// Keep feature flags in step with a policy: OPA says which users have a toggle, and flagd,
/// LaunchDarkly or a REST service follow.
///
/// Without a command, the engine runs until SIGINT or SIGTERM. It reads the configuration again on
/// SIGHUP and when the file changes.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Run,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(check::Args),
    Confirm(confirm::Args),
    Plan(plan::Args),
}

impl Args {
    /// Whether the engine is to run, in which case [`run`] sets up the logging.
    pub(crate) fn runs(&self) -> bool {
        self.command.is_none()
    }
}

/// Runs the command that was given, or the engine.
pub(crate) async fn run(args: Args) -> Exit {
    match args.command {
        None => run::run(args.run).await,
        Some(Command::Check(args)) => check::run(args).await,
        Some(Command::Confirm(args)) => confirm::run(args).await,
        Some(Command::Plan(args)) => plan::run(args).await,
    }
}
