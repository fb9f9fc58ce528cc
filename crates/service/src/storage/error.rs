//! What can go wrong between a service and its database.

use std::path::PathBuf;

/// The boxed cause of an error, which the database's driver made.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of the storage. No message contains a password or a value that was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The address of the database is invalid.
    #[error("invalid address of the database: {0}")]
    Address(String),
    /// The server of the database keeps text in another encoding than UTF-8.
    #[error(
        "the database has the encoding {0}, which cannot store every text: create one with \
         ENCODING 'UTF8'"
    )]
    Encoding(String),
    /// A file that belongs to the database cannot be opened.
    #[error("cannot open {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Cause,
    },
    /// The integrity check found damage.
    #[error("{} is damaged: {defect}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong with it.
        defect: String,
    },
    /// The file is a database, but of another program.
    #[error("{} is not a database of this program", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A program has the file open.
    #[error("{} is in use: stop the server first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The database cannot be reached; nothing was changed.
    #[error("the database is unreachable")]
    Unreachable(#[source] Cause),
    /// The connection broke during the commit, or there was no answer: the change may be stored,
    /// or not.
    #[error("the database did not confirm the change, which may have been stored or not")]
    Uncertain(#[source] Cause),
    /// The transaction failed as a whole; nothing was changed.
    #[error("the transaction failed")]
    Transaction(#[source] Cause),
    /// A string contains the character NUL, which PostgreSQL does not store.
    #[error("a string contains the character NUL")]
    Nul,
    /// A statement failed.
    #[error("a statement failed: {statement}")]
    Statement {
        /// Its text, without the values of its parameters.
        statement: String,
        /// Why it failed.
        #[source]
        source: Cause,
    },
    /// A migration failed.
    #[error("migration {version} ({name}) failed")]
    Migration {
        /// Its number.
        version: i64,
        /// Its name.
        name: &'static str,
        /// Why it failed.
        #[source]
        source: Cause,
    },
    /// The schema was made by a newer version of the program.
    #[error(
        "the schema of the database has version {found}, and this program knows only {known}: \
         start the version of the program that wrote it, or restore a backup"
    )]
    Newer {
        /// The version in the database.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// The schema was made by an older version of the program, and is not to be migrated.
    #[error(
        "the schema of the database has version {found}, this program needs {known}, and \
         migrations are skipped: start it once without skipping them"
    )]
    Older {
        /// The version in the database.
        found: i64,
        /// The version that this program needs.
        known: i64,
    },
    /// A migration differs from the one that was applied under its number.
    #[error("migration {version} was applied as \"{applied}\", but this program has \"{name}\"")]
    Diverged {
        /// Its number.
        version: i64,
        /// The name under which it was applied.
        applied: String,
        /// The name in this program.
        name: &'static str,
    },
    /// A column has another type than the program expects.
    #[error("column {column} has an unexpected type")]
    Column {
        /// Its index, from 0.
        column: usize,
        /// What the driver says.
        #[source]
        source: Cause,
    },
    /// The storage has been closed, or a thread that it needs could not be started.
    #[error("the storage is closed")]
    Closed,
}

impl StorageError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Uncertain(_) | Self::Closed)
    }
}
