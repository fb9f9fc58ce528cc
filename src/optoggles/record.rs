//! What this program has created and whom it has added, kept in a file: without it, a list that others
//! edit too could not be merged, and a toggle could not be told from one made by hand.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value, json};

use super::users::Users;
use crate::excerpt::shown;

/// The record of one instance. Clones are handles to the same.
///
/// A change is written to the file before it is made at the target: after a crash the record may name
/// what was not made, and never lacks what was.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// None: the record is kept in memory alone.
    path: Option<PathBuf>,
    instance: String,
    targets: BTreeMap<String, BTreeMap<String, Entry>>,
    /// Whether the file lacks a change, because writing it has failed.
    is_dirty: bool,
}

/// What is recorded of a toggle at a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// The spec with which the toggle was created by this program.
    created: Option<Map<String, Value>>,
    /// The users that were added, by the list they are on, such as that of an environment.
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
        /// What the system says.
        source: io::Error,
    },
    /// The file is not a record.
    #[error("{path} is not a state file of flagstaff: {reason}", path = shown(path))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
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
    /// Reads the record from a file; one that does not exist is an empty record.
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

    /// The users that were added to a list of a toggle.
    pub(crate) fn added(&self, target: &str, toggle: &str, list: &str) -> Users {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = inner.targets.get(target).and_then(|toggles| toggles.get(toggle));
        entry.and_then(|entry| entry.added.get(list)).cloned().unwrap_or_default()
    }

    /// Records the users that were added to a list of a toggle.
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

    /// Records that this program creates a toggle.
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

    /// The toggles that this program has created at a target, with their specs.
    pub(crate) fn created(&self, target: &str) -> Vec<(String, Map<String, Value>)> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let toggles = inner.targets.get(target).into_iter().flatten();
        toggles.filter_map(|(key, entry)| Some((key.clone(), entry.created.clone()?))).collect()
    }

    /// Forgets a toggle at a target.
    pub(crate) fn forget(&self, target: &str, toggle: &str) -> Result<(), RecordError> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let toggles = inner.targets.get_mut(target);
        let changes = toggles.and_then(|toggles| toggles.remove(toggle)).is_some();
        inner.save(changes)
    }

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
    /// Writes the file if there is a change, or if it lacks a former one.
    fn save(&mut self, changes: bool) -> Result<(), RecordError> {
        if !changes && !self.is_dirty {
            return Ok(());
        }
        // A retry of the same change must not pass for one that is written.
        let written = self.write();
        self.is_dirty = written.is_err();
        written
    }

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

/// Replaces a file: a reader sees the former content or the new one, and a crash or a full disk leaves
/// the former.
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
        // What is left of it is of no use to anybody.
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
