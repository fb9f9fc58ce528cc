//! Connections to a file of SQLite.

use std::{fs, path::Path, time::Duration};

use rusqlite::Connection;

use super::error::StorageError;

/// Opens the file, and creates it and its folder where they do not exist.
///
/// WAL mode lets reads go on beside the one writer; `synchronous=FULL` syncs the log before
/// a commit returns.
pub(super) fn open(path: &Path) -> Result<Connection, StorageError> {
    let failed = |source| StorageError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
    }
    let connection = Connection::open(path).map_err(|error| failed(error.into()))?;
    let prepare = || {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(())
    };
    prepare().map_err(|error: rusqlite::Error| failed(error.into()))?;
    Ok(connection)
}

/// Runs statements without parameters.
pub(super) fn batch(connection: &Connection, statements: &str) -> Result<(), StorageError> {
    connection.execute_batch(statements).map_err(|error| StorageError::Statement {
        statement: statements.to_owned(),
        source: error.into(),
    })
}
