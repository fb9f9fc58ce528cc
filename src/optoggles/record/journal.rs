//! The file of a record: what was recorded when it was written whole, and every change
//! since.
//!
//! It is a sequence of JSON values. The first has everything; each of the others has some
//! entries, which take the place of those before, and an empty one removes its toggle:
//!
//! ```json
//! {"version": 1, "instance": "default", "id": "9c1b6f0a4d2e8375", "targets": {
//!   "ld": {
//!     "us-only": {"created": {"name": "US only", "projKey": "default"}},
//!     "eu-only": {"intended": {"name": "EU only", "projKey": "default"}},
//!     "default/us-only": {"added": {"production": ["alice", "bob"]}}
//!   },
//!   "rest": {"us-only": {"created": {}, "last": ["alice", "bob"]}}
//! }}
//! {"ld": {"eu-only": {"created": {"name": "EU only", "projKey": "default"}}}}
//! {"ld": {"us-only": {}}}
//! ```
//!
//! So a change costs as much as it is long, however much is recorded. When the changes are
//! longer than the first value, the file is written whole again, to another file that takes
//! its place. A last value that is not whole is what a crash has left of a change that
//! nobody relies on yet: it is ignored, and the next change writes the file whole.
//!
//! It names users, so it deserves the same protection as the lists themselves. One
//! process at a time may use it; the file names the instance that it belongs to,
//! which catches a file that two installations share by mistake.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Deserializer, Value};

use super::{
    entry::{Entry, Targets},
    error::RecordError,
};

/// How long the changes may be in any case before the file is written whole again, so that
/// a small one is not written whole all the time.
const LITTLE: u64 = 1 << 20;

/// The file of a record.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    instance: String,
    id: String,
    /// The length of the file, if all of it is known to be good and a change may follow.
    length: Option<u64>,
    /// The length of its first value.
    whole: u64,
}

/// What tells whether the file can be used at all.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    version: Value,
    #[serde(default)]
    instance: Value,
}

/// The first value.
#[derive(Deserialize)]
struct First {
    #[serde(default)]
    version: Value,
    #[serde(default)]
    instance: Value,
    id: Option<String>,
    targets: Targets,
}

impl Journal {
    /// Reads a file, which need not exist. A file without an `instance` is accepted for every
    /// instance, and one without an `id` gets a new one.
    pub(super) fn open(
        path: PathBuf,
        instance: &str,
        new_id: impl FnOnce() -> String,
    ) -> Result<(Self, Targets), RecordError> {
        let mut journal =
            Self { path, instance: instance.to_owned(), id: String::new(), length: None, whole: 0 };
        let read = journal.read();
        let (id, targets) = read.map_err(|error| journal.error(error))?.unwrap_or_default();
        if id.is_none() {
            // The next change writes it.
            journal.length = None;
        }
        journal.id = id.unwrap_or_else(new_id);
        Ok((journal, targets))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether changes can be appended. If not, the file must be written whole: it is not
    /// there or not as it was left, or its changes have become long.
    pub(super) fn takes_changes(&self) -> bool {
        let found = fs::metadata(&self.path).ok().map(|found| found.len());
        self.length.is_some_and(|length| {
            found == Some(length) && length - self.whole <= self.whole.max(LITTLE)
        })
    }

    /// Appends entries that have changed. If that fails, the file is as before.
    pub(super) fn append(&mut self, changes: &Targets) -> io::Result<()> {
        let length = self.length.take().unwrap_or_default();
        let file = OpenOptions::new().append(true).open(&self.path)?;
        let written = write_buffered(&file, |file| {
            file.write_all(b"\n")?;
            serde_json::to_writer(file, changes).map_err(io::Error::from)
        });
        match written.and_then(|()| file.metadata()) {
            Ok(found) => self.length = Some(found.len()),
            Err(error) => {
                // If even that fails, the file does not have the length that is expected of it.
                let _ = file.set_len(length);
                self.length = Some(length);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes the file whole. If that fails, it is as before.
    pub(super) fn rewrite(&mut self, targets: &Targets) -> io::Result<()> {
        #[derive(Serialize)]
        struct All<'a> {
            version: u64,
            instance: &'a str,
            id: &'a str,
            targets: &'a Targets,
        }
        let Self { instance, id, .. } = &*self;
        let all = All { version: 1, instance, id, targets };
        write_atomically(&self.path, |file| {
            serde_json::to_writer(file, &all).map_err(io::Error::from)
        })?;
        let length = fs::metadata(&self.path)?.len();
        (self.length, self.whole) = (Some(length), length);
        Ok(())
    }

    /// Reads the file: its id, if it has one, and what it records; nothing if there is no file.
    fn read(&mut self) -> Result<Option<(Option<String>, Targets)>, ReadError> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let length = file.metadata()?.len();
        let reader = |file| Deserializer::from_reader(BufReader::with_capacity(1 << 16, file));
        let mut values = reader(&file);
        let (head, id, mut targets) = match First::deserialize(&mut values) {
            Ok(First { version, instance, id, targets }) => {
                (Head { version, instance }, id, targets)
            }
            Err(error) => {
                // The reason may be that it belongs to another version or instance.
                (&file).rewind()?;
                if let Ok(head) = Head::deserialize(&mut reader(&file)) {
                    self.accept(head)?;
                }
                return Err(error.into());
            }
        };
        self.accept(head)?;
        let changes = values.into_iter::<Targets>();
        self.whole = changes.byte_offset() as u64;
        self.length = Some(length);
        for change in changes {
            match change {
                Ok(change) => {
                    for (target, entries) in change {
                        targets.entry(target).or_default().extend(entries);
                    }
                }
                Err(error) if error.is_eof() => {
                    tracing::warn!(path = %self.path.display(), "the last change in the state was cut short");
                    self.length = None;
                }
                Err(error) => return Err(error.into()),
            }
        }
        for toggles in targets.values_mut() {
            toggles.retain(|_, entry| *entry != Entry::default());
        }
        Ok(Some((id, targets)))
    }

    /// Accepts the file, or not.
    fn accept(&self, head: Head) -> Result<(), ReadError> {
        if head.version != 1 {
            return Err(ReadError::Version);
        }
        match head.instance {
            Value::String(found) if found != self.instance => Err(ReadError::Instance(found)),
            _ => Ok(()),
        }
    }

    fn error(&self, error: ReadError) -> RecordError {
        let path = self.path.clone();
        match error {
            ReadError::Io(source) => RecordError::Io { action: "read", path, source },
            ReadError::Json(reason) => RecordError::Invalid { path, reason },
            ReadError::Version => {
                RecordError::Invalid { path, reason: "its version is not 1".to_owned() }
            }
            ReadError::Instance(found) => {
                RecordError::Instance { path, found, expected: self.instance.clone() }
            }
        }
    }
}

/// Why a file cannot be used.
enum ReadError {
    Io(io::Error),
    Json(String),
    Version,
    /// It belongs to this instance.
    Instance(String),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() { Self::Io(error.into()) } else { Self::Json(error.to_string()) }
    }
}

/// Replaces the content of a file atomically: a reader sees either the former content
/// or the new one, and a crash or a full disk leaves the former.
///
/// The content goes to a temporary file in the same directory, which then takes the
/// place of the former file. The permissions of that file are therefore not kept, and
/// the directory must be writable.
///
/// # Errors
///
/// When the temporary file cannot be written or renamed. It is removed then.
pub(crate) fn write_atomically(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary).and_then(|file| {
        write_buffered(&file, content)?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // Best effort: the error to report is the one above.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Writes to a file through a buffer, to the disk.
fn write_buffered(
    file: &File,
    content: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = BufWriter::with_capacity(1 << 16, file);
    content(&mut buffer)?;
    buffer.flush()?;
    file.sync_all()
}
