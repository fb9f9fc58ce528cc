//! `flagstaff optoggles`: keeps flags in step with a policy of OPA.

mod check;
mod confirm;
mod file;
mod plan;
mod run;

use crate::exit::Exit;

/// Keep feature flags in step with a policy: OPA says which users have a toggle, and flagd,
/// LaunchDarkly or a REST service follow.
///
/// Without a command it runs until SIGINT or SIGTERM.
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
    /// Whether the engine is to run, which logs by itself.
    pub(crate) fn runs(&self) -> bool {
        self.command.is_none()
    }
}

pub(crate) async fn run(args: Args) -> Exit {
    match args.command {
        None => run::run(args.run).await,
        Some(Command::Check(args)) => check::run(args).await,
        Some(Command::Confirm(args)) => confirm::run(args).await,
        Some(Command::Plan(args)) => plan::run(args).await,
    }
}
