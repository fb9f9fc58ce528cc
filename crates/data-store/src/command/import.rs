//! `flagops-store import`: facts of the original, from its Redis.

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use flagops_store::{import, serve, settings::Settings};
use secrecy::SecretString;

use service::program::Failure;

/// The exit code where something was skipped.
const SKIPPED: u8 = 3;

pub(crate) fn command() -> Command {
    Command::new("import")
        .about("Reads the facts of the original from its Redis, which it does not change")
        .after_help(
            "Repeated, it writes what has changed since, and overwrites what was changed in the \
             store.\nExit code: 0 if all was imported, 3 if something was skipped, 1 if it failed.",
        )
        .arg(
            Arg::new("url")
                .value_name("URL")
                .required(true)
                .help("redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Says what would be imported, and writes nothing"),
        )
}

pub(crate) async fn run(settings: &Settings, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let url = matches.get_one::<String>("url").map(String::as_str).unwrap_or_default();
    let url = SecretString::from(url);
    let dry_run = matches.get_flag("dry-run");
    let store = if dry_run { None } else { Some(serve::open(settings).await?) };
    let report = import::import(&url, store.as_ref()).await?;
    for skipped in &report.skipped {
        eprintln!("skipped {}: {}", skipped.key, skipped.reason);
    }
    let skipped = report.skipped.len();
    if dry_run {
        println!("would import {} facts and skip {skipped} keys", report.facts);
    } else {
        println!(
            "imported {} facts, of which {} were new or had changed, and skipped {skipped} keys",
            report.facts, report.changed
        );
    }
    Ok(if skipped == 0 { ExitCode::SUCCESS } else { SKIPPED.into() })
}
