//! Brings the schema of a database to the version that the program needs.
//!
//! A crate for this exists, but its drivers lag behind the SQLite that is used here and take
//! no lock; what is left is less than its configuration.

use super::{connection::Connection, error::StorageError};

/// A step of the schema. Steps are never changed once released, only added.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number, from 1 without gaps.
    pub version: i64,
    /// What it does, in a few words.
    pub name: &'static str,
    /// Its statements, in the words of [`storage`](super).
    pub sql: &'static str,
}

const HISTORY: &str = "
    CREATE TABLE IF NOT EXISTS schema_history (version BIGINT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS sequence (name TEXT PRIMARY KEY, value BIGINT NOT NULL);";

/// Applies what is missing, in one transaction.
pub(super) fn run(
    connection: &mut Connection,
    migrations: &'static [Migration],
) -> Result<(), StorageError> {
    // The transaction is the lock that programs which start together take in turn.
    connection.begin_write()?;
    let result = apply(connection, migrations);
    match result {
        Ok(()) => connection.commit(),
        Err(error) => {
            let _ = connection.end();
            Err(error)
        }
    }
}

fn apply(
    connection: &mut Connection,
    migrations: &'static [Migration],
) -> Result<(), StorageError> {
    let postgres = matches!(connection, Connection::Postgres(_));
    connection.batch(HISTORY)?;
    let current = version(connection, migrations)?;
    for migration in migrations.iter().filter(|it| it.version > current) {
        let Migration { version, name, sql } = *migration;
        let failed =
            |source: StorageError| StorageError::Migration { version, name, source: source.into() };
        let (key_text, bytes) =
            if postgres { ("TEXT COLLATE \"C\"", "BYTEA") } else { ("TEXT", "BLOB") };
        let sql = sql.replace("KEYTEXT", key_text).replace("BYTES", bytes);
        connection.batch(&sql).map_err(failed)?;
        connection
            .sql()
            .execute(
                "INSERT INTO schema_history (version, name) VALUES (?1, ?2)",
                &[version.into(), name.into()],
            )
            .map_err(failed)?;
        tracing::info!(version, name, "migrated the database");
    }
    Ok(())
}

/// The number of the last migration that was applied, 0 if there is none.
pub(super) fn version(
    connection: &mut Connection,
    migrations: &[Migration],
) -> Result<i64, StorageError> {
    if let Connection::Postgres(connection) = connection {
        connection.check_encoding()?;
    }
    let applied = connection.sql().query(
        "SELECT version, name FROM schema_history ORDER BY version",
        &[],
        |row| Ok((row.int(0)?, row.text(1)?)),
    )?;
    let current = applied.last().map_or(0, |it| it.0);
    let known = migrations.last().map_or(0, |it| it.version);
    if current > known {
        return Err(StorageError::Newer { found: current, known });
    }
    for (Migration { version, name, .. }, (_, applied)) in migrations.iter().zip(&applied) {
        if applied != name {
            return Err(StorageError::Diverged {
                version: *version,
                applied: applied.clone(),
                name,
            });
        }
    }
    Ok(current)
}
