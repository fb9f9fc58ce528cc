//! The file that records what this program has created and whom it has added: `state`
//! in the configuration.
//!
//! It answers two questions that the targets cannot. When a list is merged with what
//! people have added by hand, only users whom this program has added may be removed
//! from it. And when a toggle leaves the configuration, it may be deleted only if this
//! program has created it.
//!
//! The file is JSON, small enough to be written whole at each change:
//!
//! ```json
//! {
//!   "version": 1,
//!   "instance": "default",
//!   "targets": {
//!     "ld": {
//!       "us-only": {"created": {"name": "US only", "projKey": "default"}, "added": {}},
//!       "default/us-only": {"created": null, "added": {"production": ["alice", "bob"]}}
//!     }
//!   }
//! }
//! ```
//!
//! Lists of LaunchDarkly have entries of their own, named by project and key, because
//! flags of two projects may have the same key.
//!
//! It names users, so it deserves the same protection as the lists themselves. One
//! process at a time may use it; the file names the instance that it belongs to,
//! which catches a file that two installations share by mistake.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value, json};

use super::users::Users;
use crate::excerpt::shown;

/// The record of one instance. Clones are handles to the same record.
///
/// Users are recorded before they are added at a target. After a crash the record may
/// therefore name users who were not added, and never lacks some who were. A toggle is
/// recorded after the target has reported that it was created; one that is created
/// just before a crash counts as made by hand, and is never deleted.
///
/// [`Record::default`] keeps the record in memory only, which suits tests.
///
/// ```
/// use flagstaff::optoggles::{LaunchDarklyTarget, Record};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let record = Record::open("/var/lib/optoggles/state.json", "default")?;
/// let target = LaunchDarklyTarget::builder("api-key").merge("ld", record).build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Inner>>);

/// The content of the record, under its lock. The lock is held while the file is
/// written, so that writes cannot overtake each other.
#[derive(Debug, Default)]
struct Inner {
    /// The file. `None`: the record is kept in memory only.
    path: Option<PathBuf>,
    /// The name of the installation that the file belongs to.
    instance: String,
    /// By the id of the target, then by the key of the toggle or of the list.
    targets: BTreeMap<String, BTreeMap<String, Entry>>,
    /// Whether the file lacks a change because writing it has failed.
    is_dirty: bool,
}

/// What is recorded about a toggle at a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// The spec with which this program created the toggle, which is needed to remove
    /// it. `None`: the toggle was made by somebody else.
    created: Option<Map<String, Value>>,
    /// The users that this program has added, by the list they are on, such as that of
    /// an environment.
    added: BTreeMap<String, Users>,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file cannot be read or written.
    #[error("cannot {action} the state in {path}", path = shown(path))]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not a record of a known version.
    #[error("{path} is not a state file of flagstaff: {reason}", path = shown(path))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file belongs to another instance.
    #[error(
        "the state in {path} belongs to the instance `{found}`, not `{expected}`: give each instance a \
         file of its own",
        path = shown(path)
    )]
    Instance {
        /// The file.
        path: PathBuf,
        /// The instance that the file names.
        found: String,
        /// The instance that was configured.
        expected: String,
    },
}

impl Record {
    /// Reads the record of an instance from a file. A file that does not exist is an
    /// empty record; it is created at the first change.
    ///
    /// ```
    /// use flagstaff::optoggles::{Record, RecordError};
    ///
    /// # fn example() -> Result<(), RecordError> {
    /// let record = Record::open("state.json", "default")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not a record, or belongs to another instance.
    pub fn open(path: impl Into<PathBuf>, instance: &str) -> Result<Self, RecordError> {
        let path = path.into();
        let targets = match fs::read(&path) {
            Ok(text) => parse(&path, &text, instance)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(RecordError::Io { action: "read", path, source }),
        };
        let inner =
            Inner { path: Some(path), instance: instance.to_owned(), targets, is_dirty: false };
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// Returns the users that this program has added to a list of a toggle.
    pub(crate) fn added(&self, target: &str, toggle: &str, list: &str) -> Users {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = inner.targets.get(target).and_then(|toggles| toggles.get(toggle));
        entry.and_then(|entry| entry.added.get(list)).cloned().unwrap_or_default()
    }

    /// Records the users that this program is about to have on a list of a toggle, in
    /// place of those recorded before. Nothing is written if they are the same.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The users must then not be added at the target;
    /// a retry writes the file again.
    pub(crate) fn add(
        &self,
        target: &str,
        toggle: &str,
        list: &str,
        users: &Users,
    ) -> Result<(), RecordError> {
        self.change(target, toggle, |entry| {
            if entry.added.get(list) == Some(users) {
                return false;
            }
            entry.added.insert(list.to_owned(), users.clone());
            true
        })
    }

    /// Records that this program has created a toggle.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The change is kept, and written with the next
    /// one.
    pub(crate) fn create(
        &self,
        target: &str,
        toggle: &str,
        spec: &Map<String, Value>,
    ) -> Result<(), RecordError> {
        self.change(target, toggle, |entry| {
            let changes = entry.created.as_ref() != Some(spec);
            entry.created = Some(spec.clone());
            changes
        })
    }

    /// Returns the toggles that this program has created at a target, with their specs.
    pub(crate) fn created(&self, target: &str) -> Vec<(String, Map<String, Value>)> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let toggles = inner.targets.get(target).into_iter().flatten();
        toggles.filter_map(|(key, entry)| Some((key.clone(), entry.created.clone()?))).collect()
    }

    /// Forgets a toggle at a target, after it was removed there.
    pub(crate) fn forget(&self, target: &str, toggle: &str) -> Result<(), RecordError> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let toggles = inner.targets.get_mut(target);
        let changes = toggles.and_then(|toggles| toggles.remove(toggle)).is_some();
        inner.save(changes)
    }

    /// Changes an entry, which is created if there is none; `change` returns whether it
    /// has changed anything.
    fn change(
        &self,
        target: &str,
        toggle: &str,
        change: impl FnOnce(&mut Entry) -> bool,
    ) -> Result<(), RecordError> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let toggles = inner.targets.entry(target.to_owned()).or_default();
        let entry = toggles.entry(toggle.to_owned()).or_default();
        let changes = change(entry);
        inner.save(changes)
    }
}

impl Inner {
    /// Writes the file if there is a change, or if the file lacks a former one.
    fn save(&mut self, changes: bool) -> Result<(), RecordError> {
        if !changes && !self.is_dirty {
            return Ok(());
        }
        // The change is in memory already, so that a retry of it would seem to change nothing.
        let written = self.write();
        self.is_dirty = written.is_err();
        written
    }

    /// Writes the whole record, unless it is kept in memory only.
    fn write(&self) -> Result<(), RecordError> {
        let Some(path) = &self.path else { return Ok(()) };
        let entry = |entry: &Entry| {
            let added = entry.added.iter().map(|(list, users)| {
                let users: Vec<_> = users.iter().collect();
                (list.clone(), json!(users))
            });
            json!({"created": entry.created, "added": added.collect::<Map<_, _>>()})
        };
        let targets: Map<_, _> = self
            .targets
            .iter()
            .map(|(target, toggles)| {
                let toggles = toggles.iter().map(|(key, found)| (key.clone(), entry(found)));
                (target.clone(), Value::Object(toggles.collect()))
            })
            .collect();
        let text = json!({"version": 1, "instance": self.instance, "targets": targets}).to_string();
        write_atomically(path, text.as_bytes()).map_err(|source| RecordError::Io {
            action: "write",
            path: path.clone(),
            source,
        })
    }
}

/// Parses the file; `path` is for errors. A file without an `instance` is accepted for
/// every instance.
fn parse(
    path: &Path,
    text: &[u8],
    instance: &str,
) -> Result<BTreeMap<String, BTreeMap<String, Entry>>, RecordError> {
    let invalid = |reason: String| RecordError::Invalid { path: path.to_owned(), reason };
    let mut root: Value =
        serde_json::from_slice(text).map_err(|error| invalid(error.to_string()))?;
    if root["version"] != 1 {
        return Err(invalid("its version is not 1".to_owned()));
    }
    match root["instance"].as_str() {
        Some(found) if found != instance => {
            return Err(RecordError::Instance {
                path: path.to_owned(),
                found: found.to_owned(),
                expected: instance.to_owned(),
            });
        }
        _ => {}
    }
    let entry = |value: Value| -> Result<Entry, serde_json::Error> {
        let mut value: BTreeMap<String, Value> = serde_json::from_value(value)?;
        let created = value.remove("created").unwrap_or_default();
        let added = value.remove("added").unwrap_or_default();
        Ok(Entry {
            created: serde_json::from_value(created)?,
            added: serde_json::from_value(added)?,
        })
    };
    let targets: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_value(root["targets"].take())
            .map_err(|error| invalid(error.to_string()))?;
    let toggles = |toggles: BTreeMap<String, Value>| -> Result<BTreeMap<_, _>, serde_json::Error> {
        toggles.into_iter().map(|(key, value)| Ok((key, entry(value)?))).collect()
    };
    let targets = targets.into_iter().map(|(target, found)| Ok((target, toggles(found)?)));
    targets.collect::<Result<_, serde_json::Error>>().map_err(|error| invalid(error.to_string()))
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
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    use io::Write as _;

    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // Best effort: the error to report is the one above.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(names: &str) -> Users {
        names.split_whitespace().collect()
    }

    #[test]
    fn a_record_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        let record = Record::open(&path, "a").unwrap();
        let spec = Map::from_iter([("name".to_owned(), json!("US"))]);
        record.create("ld", "us", &spec).unwrap();
        record.add("ld", "us", "test", &users("al bob")).unwrap();
        record.add("ld", "eu", "test", &users("cat")).unwrap();
        let read = Record::open(&path, "a").unwrap();
        assert_eq!(read.added("ld", "us", "test"), users("al bob"));
        assert_eq!(read.added("ld", "us", "production"), users(""));
        assert_eq!(read.created("ld"), [("us".to_owned(), spec)]);
        read.forget("ld", "us").unwrap();
        assert_eq!(Record::open(&path, "a").unwrap().created("ld"), []);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_is_no_record_of_this_instance_is_an_error_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        for (text, expected) in [
            ("{", "is not a state file"),
            ("{}", "its version is not 1"),
            (
                r#"{"version":1,"instance":"b","targets":{}}"#,
                "belongs to the instance `b`, not `a`",
            ),
            (r#"{"version":1,"instance":"a","targets":[]}"#, "is not a state file"),
            (r#"{"version":1,"instance":"a","targets":{"t":{"k":{"added":{"l":[1]}}}}}"#, "is not"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Record::open(&path, "a").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_former() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        fs::create_dir(&path).unwrap();
        let record = Record(Arc::new(Mutex::new(Inner {
            path: Some(path.clone()),
            instance: "a".to_owned(),
            targets: BTreeMap::new(),
            is_dirty: false,
        })));
        for _ in 0..2 {
            let error = record.add("t", "k", "l", &users("bob")).unwrap_err();
            assert!(error.to_string().starts_with("cannot write the state in "), "{error}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::remove_dir(&path).unwrap();
        record.add("t", "k", "l", &users("bob")).unwrap();
        assert_eq!(Record::open(&path, "a").unwrap().added("t", "k", "l"), users("bob"));
    }
}
