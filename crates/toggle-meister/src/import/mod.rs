//! Import of the original's PostgreSQL, which is only read.
//!
//! - [`original`]: reads its tables.
//! - [`convert`]: makes toggles of ours of its schedules.
//! - [`write`](mod@write): writes all of it in one transaction.
//!
//! What was well defined answers as before. These do not:
//!
//! - A paused rollout is on for those who have it; in the original it was off for everybody, or
//!   on for everybody.
//! - Those whose stored answer was `false` are judged by the rule; so is who was put on the
//!   whitelist by hand. Whoever had `true` keeps it until the rollout ends.
//!
//! Times without a zone are taken for UTC.

pub mod convert;
pub mod original;
pub mod write;

use std::fmt;

use service::storage::{Database, Storage, StorageError};

use self::original::Original;
pub use self::write::Report;

/// An import that failed, and changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It is not a URL of PostgreSQL.
    #[error("the original's database is named by a URL that begins with postgres://")]
    NotPostgres,
    /// The original's database cannot be read.
    #[error("cannot read the original's database")]
    Original(#[source] StorageError),
    /// It is another database, or one of an older version.
    #[error(
        "the database has no table {0}: it is not one of the original, or has not been migrated \
         to its last version"
    )]
    Foreign(&'static str),
    /// The database cannot be written to.
    #[error("cannot write to the database")]
    Storage(#[from] StorageError),
    /// The database to import into is in use.
    #[error(
        "the database has features, environments or release notes already: import into an empty one"
    )]
    NotEmpty,
    /// What was imported was changed since.
    #[error(
        "features, toggles or employees were changed here since the last import, which a \
         repetition would undo: import into an empty database"
    )]
    Changed,
}

/// Reads the original's database.
///
/// # Errors
///
/// The database cannot be read, or is not one of the original.
pub async fn read(database: &Database) -> Result<Original, ImportError> {
    if !matches!(database, Database::Postgres(_)) {
        return Err(ImportError::NotPostgres);
    }
    let missing = database.inspect(|existing| original::missing(&mut existing.sql())).await;
    if let Some(table) = missing.map_err(ImportError::Original)? {
        return Err(ImportError::Foreign(table));
    }
    let read = database.inspect(|existing| Original::read(&mut existing.sql())).await;
    read.map_err(ImportError::Original)
}

/// Writes it to a database of ours, which is empty or has only what was imported before.
///
/// # Errors
///
/// The database cannot be written to, or has something else.
pub async fn write(storage: &Storage, original: Original, now: i64) -> Result<Report, ImportError> {
    storage.write(move |sql| write::write(sql, &original, now)).await
}

/// Does the same and undoes it, to say what would be imported.
///
/// # Errors
///
/// As for [`write`](fn@write).
pub async fn rehearse(
    storage: &Storage,
    original: Original,
    now: i64,
) -> Result<Report, ImportError> {
    // A transaction that ends with an error leaves no trace.
    let undone: Result<(), Undone> = storage
        .write(move |sql| match write::write(sql, &original, now) {
            Ok(report) => Err(Undone::Done(report)),
            Err(error) => Err(Undone::Failed(error)),
        })
        .await;
    match undone {
        Ok(()) => Ok(Report::default()),
        Err(Undone::Done(report)) => Ok(report),
        Err(Undone::Failed(error)) => Err(error),
    }
}

/// How a rehearsal ended.
enum Undone {
    Done(Report),
    Failed(ImportError),
}

impl From<StorageError> for Undone {
    fn from(error: StorageError) -> Self {
        Self::Failed(error.into())
    }
}

/// What is imported, in a sentence.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} features and {} that were deleted softly, {} environments, {} toggles ({} in \
             rollout, {} paused), {} enrolments, {} release notes, {} employees, {} events of the \
             audit trail, {} days of metrics",
            self.features,
            self.deleted,
            self.environments,
            self.toggles,
            self.rolling,
            self.paused,
            self.enrolments,
            self.notes,
            self.employees,
            self.events,
            self.metrics,
        )
    }
}
