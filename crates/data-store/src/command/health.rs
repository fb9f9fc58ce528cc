//! `flagops-store health`: checks the server that runs beside it with the same options.

use clap::{Arg, ArgAction, ArgMatches, Command};
use flagops_store::settings::Settings;
use service::health;

use super::Failure;

pub(crate) fn command() -> Command {
    Command::new("health")
        .about("Checks the server that runs on this machine with the same options")
        .after_help("Exit code: 0 if it is healthy, else 1.")
        .arg(
            Arg::new("readiness")
                .long("readiness")
                .action(ArgAction::SetTrue)
                .help("Checks that the database is available, and not only that the server runs"),
        )
}

pub(crate) async fn run(settings: &Settings, matches: &ArgMatches) -> Result<(), Failure> {
    let (path, healthy) = if matches.get_flag("readiness") {
        ("/health/ready", "ready")
    } else {
        ("/health/live", "healthy")
    };
    health::check(settings.listen, settings.tls.is_some(), path).await?;
    println!("{healthy}");
    Ok(())
}
