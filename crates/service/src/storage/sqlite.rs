//! Connections to a file of SQLite.

use std::{fs, io, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use super::error::{Cause, StorageError};

/// Opens the file, and creates it and its folder where they do not exist.
///
/// WAL mode lets reads go on beside the one writer; `synchronous=FULL` syncs the log before
/// a commit returns; `secure_delete` overwrites what was deleted, so that what was erased is in
/// no later backup.
pub(super) fn open(path: &Path) -> Result<Connection, StorageError> {
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| failed(path, error))?;
    }
    // SQLite would let everybody read it. Its log gets the same permissions. A file that exists
    // must not be opened here: closing it again would take away all locks that SQLite holds on it
    // in this process, and other programs would then remove the log under our feet.
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(path, error));
        }
        _ => {}
    }
    let connection = Connection::open(path).map_err(|error| failed(path, error))?;
    let prepare = || {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(())
    };
    prepare().map_err(|error: rusqlite::Error| failed(path, error))?;
    Ok(connection)
}

/// Opens a file that exists, and leaves the mode of its log as it is.
pub(super) fn open_existing(path: &Path) -> Result<Connection, StorageError> {
    // Not read-only: a reader of a log in WAL mode writes to the index of the log.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| failed(path, error))?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(|error| failed(path, error))?;
    Ok(connection)
}

/// What `PRAGMA integrity_check` finds; nothing for an intact file.
pub(super) fn defects(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let lines = statement.query_map([], |row| row.get(0))?;
    let mut lines: Vec<String> = lines.collect::<Result<_, _>>()?;
    lines.retain(|line| line != "ok");
    Ok(lines)
}

/// An error that concerns a file.
pub(super) fn failed(path: &Path, source: impl Into<Cause>) -> StorageError {
    StorageError::File { path: path.to_owned(), source: source.into() }
}

/// Runs statements without parameters.
pub(super) fn batch(connection: &Connection, statements: &str) -> Result<(), StorageError> {
    connection.execute_batch(statements).map_err(|error| StorageError::Statement {
        statement: statements.to_owned(),
        source: error.into(),
    })
}
