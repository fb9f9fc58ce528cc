//! `backup` and `restore`, for a database in a file of SQLite.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::{
    program::Failure,
    storage::{Database, Migration, Sql, StorageError, backup as copy},
};

/// The command `backup`.
#[must_use]
pub fn backup_command() -> Command {
    Command::new("backup")
        .about("Copies the database to a file, while the server runs")
        .arg(file("The file to write; an older backup there is replaced"))
}

/// The command `restore`.
#[must_use]
pub fn restore_command() -> Command {
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

/// Copies the database to the file that is named on the command line.
///
/// # Errors
///
/// The database is one of PostgreSQL, does not exist or is damaged, or the file cannot be written.
pub async fn backup(database: &Database, matches: &ArgMatches) -> Result<(), Failure> {
    let (database, file) = (path(database, "pg_dump")?, argument(matches));
    copy::backup(database.to_owned(), file.to_owned()).await?;
    println!("copied {} to {}", database.display(), file.display());
    Ok(())
}

/// Puts the file that is named on the command line in the place of the database. `prepare` changes
/// it before.
///
/// # Errors
///
/// The database is one of PostgreSQL, exists and is not to be replaced, or is in use; or the file
/// is not a backup that this program made.
pub async fn restore(
    database: &Database,
    matches: &ArgMatches,
    migrations: &'static [Migration],
    prepare: impl FnOnce(&mut Sql<'_>) -> Result<(), StorageError> + Send + 'static,
) -> Result<(), Failure> {
    let (database, file) = (path(database, "pg_restore")?, argument(matches));
    if fs::exists(database)? && !matches.get_flag("force") {
        let text = format!("{} exists: --force replaces it", database.display());
        return Err(text.into());
    }
    copy::restore(file.to_owned(), database.to_owned(), migrations, prepare).await?;
    println!("restored {} from {}", database.display(), file.display());
    Ok(())
}

fn argument(matches: &ArgMatches) -> &Path {
    matches.get_one::<PathBuf>("file").map_or(Path::new(""), PathBuf::as_path)
}

/// The file of the database.
fn path<'a>(database: &'a Database, instead: &str) -> Result<&'a Path, Failure> {
    match database {
        Database::Sqlite(path) => Ok(path),
        other @ Database::Postgres(_) => {
            Err(format!("the database is {other}: use {instead} of PostgreSQL").into())
        }
    }
}
