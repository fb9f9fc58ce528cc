//! A look at a database as it is, without bringing its schema up to date.

use super::{
    Database, blocking, connection::Connection, error::StorageError, migrate, sql::Sql, sqlite,
};
use crate::storage::Migration;

/// A database that exists, with the schema that it has.
pub struct Existing(Connection);

impl Existing {
    /// The number of the last migration that was applied; 0 where there is none.
    ///
    /// # Errors
    ///
    /// The schema is newer than the program, or was made by other migrations.
    pub fn version(&mut self, known: &[Migration]) -> Result<i64, StorageError> {
        let history = match &self.0 {
            Connection::Sqlite(_) => {
                "SELECT count(*) FROM sqlite_master WHERE name = 'schema_history'"
            }
            Connection::Postgres(_) => {
                "SELECT count(*) FROM pg_tables
                 WHERE tablename = 'schema_history' AND schemaname = ANY (current_schemas(false))"
            }
        };
        match self.sql().query_one(history, &[], |row| row.int(0))? {
            Some(1..) => migrate::version(&mut self.0, known),
            _ => Ok(0),
        }
    }

    /// What is damaged in the file of SQLite. PostgreSQL checks its files itself.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn defects(&self) -> Result<Vec<String>, StorageError> {
        match &self.0 {
            Connection::Sqlite(connection) => {
                sqlite::defects(connection).map_err(|error| StorageError::Statement {
                    statement: "PRAGMA integrity_check".to_owned(),
                    source: error.into(),
                })
            }
            Connection::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// Its data.
    pub fn sql(&mut self) -> Sql<'_> {
        self.0.sql()
    }
}

impl Database {
    /// Runs `look` on a database that exists, in a transaction that sees one state of it and, on
    /// PostgreSQL, is read-only: it may be the database of another program.
    ///
    /// # Errors
    ///
    /// Whatever `look` returns, and a [`StorageError`] where the database is unreachable or the
    /// file does not exist.
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Existing) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let database = self.clone();
        blocking(move || {
            let mut connection = match &database {
                Self::Sqlite(path) => Connection::Sqlite(sqlite::open_existing(path)?),
                Self::Postgres(_) => database.connect()?,
            };
            connection.begin_read()?;
            look(&mut Existing(connection))
        })
        .await
    }
}
