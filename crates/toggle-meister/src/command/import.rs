//! `toggle-meister import`: the toggles of the original, from its PostgreSQL.

use std::{path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Command};
use service::{program::Failure, storage::Database, time};
use toggle_meister::{import, serve, settings::Settings};

/// The exit code where something was skipped.
const SKIPPED: u8 = 3;

pub(crate) fn command() -> Command {
    Command::new("import")
        .about("Reads all that the original has from its PostgreSQL, which it does not change")
        .after_help(
            "The database that it imports into must be empty. Repeated, it replaces what it \
             imported before, unless that was changed. This deletes the request counts made here \
             since, and the record of the reminders that were sent. Times without a zone are taken \
             for UTC. The option database-ca-file applies to its server, too.\nExit code: 0 if \
             all was imported, 3 if something was skipped, 1 if it failed.",
        )
        .arg(
            Arg::new("url")
                .value_name("URL")
                .required(true)
                .help("postgres://USER:PASSWORD@HOST/DATABASE"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Says what would be imported; writes nothing but the empty tables"),
        )
}

/// `authorities` are those of the database's server.
pub(crate) async fn run(
    settings: &Settings,
    authorities: Option<PathBuf>,
    matches: &ArgMatches,
) -> Result<ExitCode, Failure> {
    let url = matches.get_one::<String>("url").map(String::as_str).unwrap_or_default();
    let is_dry = matches.get_flag("dry-run");
    let original = import::read(&Database::parse(url, authorities)?).await?;
    let storage = serve::storage(settings).await?;
    let report = if is_dry {
        import::rehearse(&storage, original, time::now()).await?
    } else {
        import::write(&storage, original, time::now()).await?
    };
    for skipped in &report.skipped {
        eprintln!("skipped {skipped}");
    }
    println!("{} {report}", if is_dry { "would import" } else { "imported" });
    Ok(if report.skipped.is_empty() { ExitCode::SUCCESS } else { SKIPPED.into() })
}
