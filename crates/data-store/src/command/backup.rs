//! `flagops-store backup` and `flagops-store restore`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use flagops_store::{MIGRATIONS, fact, settings::Settings};
use service::storage::{Database, backup};

use service::program::Failure;

pub(crate) fn backup_command() -> Command {
    Command::new("backup")
        .about("Copies the database to a file, while the server runs")
        .arg(file("The file to write; an older backup there is replaced"))
}

pub(crate) fn restore_command() -> Command {
    Command::new("restore")
        .about("Puts a backup in the place of the database; the server must be stopped")
        .arg(file("The backup"))
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Replaces a database that exists"),
        )
}

fn file(help: &'static str) -> Arg {
    Arg::new("file")
        .value_name("FILE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

pub(crate) async fn backup(settings: &Settings, matches: &ArgMatches) -> Result<(), Failure> {
    let (database, file) = (database(settings, "pg_dump")?, argument(matches));
    backup::backup(database.to_owned(), file.to_owned()).await?;
    println!("copied {} to {}", database.display(), file.display());
    Ok(())
}

pub(crate) async fn restore(settings: &Settings, matches: &ArgMatches) -> Result<(), Failure> {
    let (database, file) = (database(settings, "pg_restore")?, argument(matches));
    if fs::exists(database)? && !matches.get_flag("force") {
        let text = format!("{} exists: --force replaces it", database.display());
        return Err(text.into());
    }
    let to = database.to_owned();
    backup::restore(file.to_owned(), to, MIGRATIONS, fact::after_restore).await?;
    println!("restored {} from {}", database.display(), file.display());
    Ok(())
}

fn argument(matches: &ArgMatches) -> &Path {
    matches.get_one::<PathBuf>("file").map_or(Path::new(""), PathBuf::as_path)
}

/// The file of the database.
fn database<'a>(settings: &'a Settings, instead: &str) -> Result<&'a Path, Failure> {
    match &settings.database {
        Database::Sqlite(path) => Ok(path),
        other @ Database::Postgres(_) => {
            Err(format!("the database is {other}: use {instead} of PostgreSQL").into())
        }
    }
}
