//! Copies of a file of SQLite, taken while it is in use, and the way back.
//!
//! A copy is written to a temporary file beside its destination, checked, synced, and renamed:
//! a file with the name of the destination is always whole.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, backup::Backup};

use super::{
    blocking, connection,
    error::StorageError,
    migrate::{self, Migration},
    sql::Sql,
    sqlite::{self, failed},
};

/// Copies the database in `from` to the file `to`, which it replaces. The copy has every change
/// that was acknowledged before; changes go on meanwhile.
///
/// # Errors
///
/// `from` does not exist or is damaged, or `to` cannot be written.
pub async fn backup(from: PathBuf, to: PathBuf) -> Result<(), StorageError> {
    blocking(move || {
        if is_same(&from, &to) {
            let source = "it is the database itself";
            return Err(failed(&to, source));
        }
        let copy = Copy::of(&from, &to)?;
        copy.check()?;
        copy.install()
    })
    .await
}

/// Puts a copy in the place of the database in `to`. `prepare` changes the copy before.
///
/// # Errors
///
/// `from` does not exist, is damaged, or has a schema that `migrations` does not lead to; a
/// program has `to` open; or `to` cannot be written.
pub async fn restore(
    from: PathBuf,
    to: PathBuf,
    migrations: &'static [Migration],
    prepare: impl FnOnce(&mut Sql<'_>) -> Result<(), StorageError> + Send + 'static,
) -> Result<(), StorageError> {
    blocking(move || {
        let copy = Copy::of(&from, &to)?;
        copy.check()?;
        let mut copied = connection::Connection::Sqlite(copy.open()?);
        let applied = migrate::version(&mut copied, migrations);
        match applied {
            Err(StorageError::Statement { .. }) | Ok(0) => {
                return Err(StorageError::Foreign { path: from.clone() });
            }
            other => other?,
        };
        copied.begin_write()?;
        prepare(&mut copied.sql())?;
        copied.commit()?;
        drop(copied);
        release(&to)?;
        copy.install()
    })
    .await
}

/// A copy that does not yet have the name of its destination. Dropped, it is deleted.
struct Copy<'a> {
    file: PathBuf,
    source: &'a Path,
    destination: &'a Path,
}

impl<'a> Copy<'a> {
    fn of(source: &'a Path, destination: &'a Path) -> Result<Self, StorageError> {
        let from = sqlite::open_existing(source)?;
        if let Some(folder) = folder(destination) {
            fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        }
        let file = beside(destination, &format!(".{}.part", std::process::id()));
        // It contains hashes of tokens, so nobody else may read it.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .map_err(|error| failed(&file, error))?;
        let copy = Self { file, source, destination };
        let copying = || {
            let mut to = Connection::open(&copy.file)?;
            // In one step the copy is of one state, and a writer does not make it begin anew.
            Backup::new(&from, &mut to)?.step(-1)?;
            // All of it in one file.
            to.pragma_update(None, "journal_mode", "DELETE")
        };
        copying().map_err(|error| failed(copy.source, error))?;
        Ok(copy)
    }

    fn open(&self) -> Result<Connection, StorageError> {
        sqlite::open_existing(&self.file)
    }

    fn check(&self) -> Result<(), StorageError> {
        let defects = sqlite::defects(&self.open()?).map_err(|error| failed(self.source, error))?;
        match defects.into_iter().next() {
            None => Ok(()),
            Some(defect) => Err(StorageError::Damaged { path: self.source.to_owned(), defect }),
        }
    }

    /// Gives it the name of its destination, where it stays even after a loss of power.
    fn install(self) -> Result<(), StorageError> {
        let sync = |path: &Path| File::open(path).and_then(|it| it.sync_all());
        sync(&self.file).map_err(|error| failed(&self.file, error))?;
        fs::rename(&self.file, self.destination)
            .map_err(|error| failed(self.destination, error))?;
        let folder = folder(self.destination).unwrap_or(Path::new("."));
        sync(folder).map_err(|error| failed(folder, error))
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        for suffix in ["", "-journal"] {
            let _ = fs::remove_file(beside(&self.file, suffix));
        }
    }
}

/// Makes sure that nobody has the database open, and removes its log: SQLite would apply it to
/// the file that comes in its place.
fn release(path: &Path) -> Result<(), StorageError> {
    if fs::exists(path).map_err(|error| failed(path, error))? {
        // Leaving WAL mode needs the file for oneself alone. If the file is so damaged that
        // SQLite cannot read it, nobody else can either.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let left = Connection::open_with_flags(path, flags)
            .and_then(|it| it.pragma_update(None, "journal_mode", "DELETE"));
        if let Err(error) = left
            && matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            )
        {
            return Err(StorageError::InUse { path: path.to_owned() });
        }
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        let log = beside(path, suffix);
        match fs::remove_file(&log) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&log, error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn folder(path: &Path) -> Option<&Path> {
    path.parent().filter(|it| !it.as_os_str().is_empty())
}

/// The path with a suffix.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
