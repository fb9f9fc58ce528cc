//! A connection to either database, and its transactions.

use super::{
    error::StorageError,
    postgres::PostgresConnection,
    sql::{Kind, Sql},
    sqlite,
};

/// PostgreSQL has no transaction that is the only one to write, as SQLite's `BEGIN IMMEDIATE`
/// is: an advisory lock makes it so. Without it, the writers of two replicas could take the rows
/// that both need in different orders and wait for each other for ever. Any number that no other
/// program takes will do.
const POSTGRES_WRITE: &str = "BEGIN; SELECT pg_advisory_xact_lock(7226510853)";

/// A connection to the database.
pub(super) enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(Box<PostgresConnection>),
}

impl Connection {
    /// The current transaction.
    pub(super) fn sql(&mut self) -> Sql<'_> {
        match self {
            Self::Sqlite(connection) => Sql(Kind::Sqlite(connection)),
            Self::Postgres(connection) => Sql(Kind::Postgres(connection)),
        }
    }

    /// Begins a transaction on a connection that was used before, or on a new one if there is
    /// none or it has broken in the meantime.
    pub(super) fn begin(
        used: Option<Self>,
        connect: &dyn Fn() -> Result<Self, StorageError>,
        begin: fn(&mut Self) -> Result<(), StorageError>,
    ) -> Result<Self, StorageError> {
        if let Some(mut connection) = used
            && begin(&mut connection).is_ok()
        {
            return Ok(connection);
        }
        let mut connection = connect()?;
        begin(&mut connection)?;
        Ok(connection)
    }

    /// Begins a transaction that sees one state of the database.
    pub(super) fn begin_read(&mut self) -> Result<(), StorageError> {
        match self {
            Self::Sqlite(connection) => sqlite::batch(connection, "BEGIN"),
            Self::Postgres(connection) => {
                connection.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            }
        }
    }

    /// Begins a transaction that changes the database, once no other does.
    pub(super) fn begin_write(&mut self) -> Result<(), StorageError> {
        match self {
            Self::Sqlite(connection) => sqlite::batch(connection, "BEGIN IMMEDIATE"),
            Self::Postgres(connection) => connection.batch(POSTGRES_WRITE),
        }
    }

    /// Commits. An error of PostgreSQL's connection leaves open whether it has.
    pub(super) fn commit(&mut self) -> Result<(), StorageError> {
        match self.batch("COMMIT") {
            Err(StorageError::Unreachable(source)) => Err(StorageError::Uncertain(source)),
            result => result,
        }
    }

    /// Ends a transaction that has changed nothing, or is to change nothing.
    pub(super) fn end(&mut self) -> Result<(), StorageError> {
        self.batch("ROLLBACK")
    }

    /// Runs statements without parameters.
    pub(super) fn batch(&mut self, statements: &str) -> Result<(), StorageError> {
        match self {
            Self::Sqlite(connection) => sqlite::batch(connection, statements),
            Self::Postgres(connection) => connection.batch(statements),
        }
    }

    /// Whether the connection can be used again after an error.
    pub(super) fn is_usable(&self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(connection) => connection.is_usable(),
        }
    }
}
