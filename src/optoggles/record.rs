//! The file that records what this program has created and whom it has added: `state`
//! in the configuration.
//!
//! It answers three questions that the targets cannot. When a list is merged with what
//! people have added by hand, only users whom this program has added may be removed
//! from it. When a toggle leaves the configuration, it may be deleted only if this
//! program has created it. And where a target does not report whom it has, `maxRemoved`
//! is measured after a start against the list that was written last.
//!
//! The file is JSON, small enough to be written whole at each change:
//!
//! ```json
//! {
//!   "version": 1,
//!   "instance": "default",
//!   "id": "9c1b6f0a4d2e8375",
//!   "targets": {
//!     "ld": {
//!       "us-only": {"created": {"name": "US only", "projKey": "default"}},
//!       "eu-only": {"intended": {"name": "EU only", "projKey": "default"}},
//!       "default/us-only": {"added": {"production": ["alice", "bob"]}}
//!     },
//!     "rest": {"us-only": {"created": {}, "last": ["alice", "bob"]}}
//!   }
//! }
//! ```
//!
//! The intent to create a toggle is recorded before the attempt, and does not make the
//! toggle this program's own: it may have existed before. What tells it is the
//! [mark](Record::mark), which a target puts on a toggle that it creates. It is made of
//! the `id` of the file, so nobody else has it.
//!
//! Lists of LaunchDarkly have entries of their own, named by project and key, because
//! flags of two projects may have the same key.
//!
//! It names users, so it deserves the same protection as the lists themselves. One
//! process at a time may use it; the file names the instance that it belongs to,
//! which catches a file that two installations share by mistake.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher as _, RandomState},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value, json};

use super::users::Users;
use crate::excerpt::shown;

/// The record of one instance. Clones are handles to the same record.
///
/// Users are recorded before they are added at a target. After a crash the record may
/// therefore name users who were not added, and never lacks some who were. The intent to
/// create a toggle is recorded before the attempt. If a crash keeps the success from
/// being recorded, a target that puts a [mark](crate::optoggles::Toggle::mark) on what it
/// creates recognizes it later; at other targets the toggle counts as made by hand, and is
/// never deleted.
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
    /// What tells the toggles created by this installation from all others: random, and
    /// recorded before the first is created.
    id: String,
    /// By the id of the target, then by the key of the toggle or of the list.
    targets: Targets,
    /// Whether the file lacks a change because writing it has failed.
    is_dirty: bool,
}

/// What is recorded, by the id of the target, then by the key of the toggle or of the list.
type Targets = BTreeMap<String, BTreeMap<String, Entry>>;

/// What is recorded about a toggle at a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// The spec with which this program created the toggle, which is needed to remove
    /// it. `None`: the toggle was made by somebody else.
    created: Option<Map<String, Value>>,
    /// The spec with which this program was about to create the toggle, if the record does
    /// not say how that ended.
    intended: Option<Map<String, Value>>,
    /// The list that was last written to a target that does not report whom it has.
    last: Option<Users>,
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
        let (id, targets) = match fs::read(&path) {
            Ok(text) => parse(&path, &text, instance)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, BTreeMap::new()),
            Err(source) => return Err(RecordError::Io { action: "read", path, source }),
        };
        // It need not be hard to guess, only not the same twice.
        let id = id.unwrap_or_else(|| format!("{:016x}", RandomState::new().hash_one(0)));
        let instance = instance.to_owned();
        let inner = Inner { path: Some(path), instance, id, targets, is_dirty: false };
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// Returns the users that this program has added to a list of a toggle.
    pub(crate) fn added(&self, target: &str, toggle: &str, list: &str) -> Users {
        let inner = self.inner();
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

    /// Returns what tells a toggle with this key that this installation has created from all
    /// others.
    pub(crate) fn mark(&self, toggle: &str) -> String {
        format!("{}/{toggle}", self.inner().id)
    }

    /// Notes the intents to create these toggles, each at a target, with their specs. They are
    /// written with the next call of [`intend`](Self::intend), all together.
    pub(crate) fn announce<'a>(
        &self,
        toggles: impl Iterator<Item = (&'a str, &'a str, &'a Map<String, Value>)>,
    ) {
        let mut inner = self.inner();
        for (target, toggle, spec) in toggles {
            let changes = inner.entry(target, toggle).intend(spec);
            inner.is_dirty |= changes;
        }
    }

    /// Records the intent to create a toggle, unless that is recorded already or the toggle was
    /// created with this spec.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The toggle must then not be created; a retry writes
    /// the file again.
    pub(crate) fn intend(
        &self,
        target: &str,
        toggle: &str,
        spec: &Map<String, Value>,
    ) -> Result<(), RecordError> {
        self.change(target, toggle, |entry| entry.intend(spec))
    }

    /// Records that this program has created a toggle.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The change is kept, and written with the next
    /// one, or by [`intend`](Self::intend) if nothing else changes.
    pub(crate) fn create(
        &self,
        target: &str,
        toggle: &str,
        spec: &Map<String, Value>,
    ) -> Result<(), RecordError> {
        self.change(target, toggle, |entry| {
            let changes = entry.created.as_ref() != Some(spec) || entry.intended.is_some();
            (entry.created, entry.intended) = (Some(spec.clone()), None);
            changes
        })
    }

    /// Returns the toggles that this program has created at a target, with their specs.
    pub(crate) fn created(&self, target: &str) -> Vec<(String, Map<String, Value>)> {
        self.specs(target, |entry| entry.created.clone())
    }

    /// Returns the toggles that this program was about to create at a target, with their
    /// specs, if it is not recorded that it did.
    pub(crate) fn intended(&self, target: &str) -> Vec<(String, Map<String, Value>)> {
        self.specs(target, |entry| entry.intended.clone().filter(|_| entry.created.is_none()))
    }

    /// Returns the list that was last written to a target that does not report it.
    pub(crate) fn last(&self, target: &str, toggle: &str) -> Option<Users> {
        self.inner().targets.get(target)?.get(toggle)?.last.clone()
    }

    /// Records the list that was written to a target that does not report it; `None` forgets
    /// it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The change is kept, and written with the next one.
    pub(crate) fn keep(
        &self,
        target: &str,
        toggle: &str,
        users: Option<Users>,
    ) -> Result<(), RecordError> {
        self.change(target, toggle, |entry| {
            let changes = entry.last != users;
            entry.last = users;
            changes
        })
    }

    /// Forgets a toggle at a target, after it was removed there.
    pub(crate) fn forget(&self, target: &str, toggle: &str) -> Result<(), RecordError> {
        let mut inner = self.inner();
        let toggles = inner.targets.get_mut(target);
        let changes = toggles.and_then(|toggles| toggles.remove(toggle)).is_some();
        inner.save(changes)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The toggles at a target of which there is such a spec, with it.
    fn specs(
        &self,
        target: &str,
        spec: impl Fn(&Entry) -> Option<Map<String, Value>>,
    ) -> Vec<(String, Map<String, Value>)> {
        let inner = self.inner();
        let toggles = inner.targets.get(target).into_iter().flatten();
        toggles.filter_map(|(key, entry)| Some((key.clone(), spec(entry)?))).collect()
    }

    /// Changes an entry, which is created if there is none; `change` returns whether it
    /// has changed anything.
    fn change(
        &self,
        target: &str,
        toggle: &str,
        change: impl FnOnce(&mut Entry) -> bool,
    ) -> Result<(), RecordError> {
        let mut inner = self.inner();
        let changes = change(inner.entry(target, toggle));
        inner.save(changes)
    }
}

impl Entry {
    /// Notes the intent to create the toggle. Returns whether that changes anything.
    fn intend(&mut self, spec: &Map<String, Value>) -> bool {
        let is_known = [&self.created, &self.intended].contains(&&Some(spec.clone()));
        if !is_known {
            self.intended = Some(spec.clone());
        }
        !is_known
    }
}

impl Inner {
    /// The entry of a toggle at a target, which is created if there is none.
    fn entry(&mut self, target: &str, toggle: &str) -> &mut Entry {
        let toggles = self.targets.entry(target.to_owned()).or_default();
        toggles.entry(toggle.to_owned()).or_default()
    }

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
        let names = |users: &Users| users.iter().collect::<Vec<_>>().into();
        let entry = |Entry { created, intended, last, added }: &Entry| {
            let lists = added.iter().map(|(list, users)| (list.clone(), names(users)));
            let members = [
                ("created", created.clone().map(Value::Object)),
                ("intended", intended.clone().map(Value::Object)),
                ("last", last.as_ref().map(names)),
                ("added", (!added.is_empty()).then(|| Value::Object(lists.collect()))),
            ];
            let present =
                members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(present.collect())
        };
        let targets: Map<_, _> = self
            .targets
            .iter()
            .map(|(target, toggles)| {
                let toggles = toggles.iter().map(|(key, found)| (key.clone(), entry(found)));
                (target.clone(), Value::Object(toggles.collect()))
            })
            .collect();
        let (instance, id) = (&self.instance, &self.id);
        let text = json!({"version": 1, "instance": instance, "id": id, "targets": targets});
        let text = text.to_string();
        write_atomically(path, text.as_bytes()).map_err(|source| RecordError::Io {
            action: "write",
            path: path.clone(),
            source,
        })
    }
}

/// Parses the file into its `id`, if it has one, and its targets; `path` is for errors. A file
/// without an `instance` is accepted for every instance.
fn parse(
    path: &Path,
    text: &[u8],
    instance: &str,
) -> Result<(Option<String>, Targets), RecordError> {
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
        let mut member = |name| value.remove(name).unwrap_or_default();
        Ok(Entry {
            created: serde_json::from_value(member("created"))?,
            intended: serde_json::from_value(member("intended"))?,
            last: serde_json::from_value(member("last"))?,
            added: serde_json::from_value::<Option<_>>(member("added"))?.unwrap_or_default(),
        })
    };
    let targets: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_value(root["targets"].take())
            .map_err(|error| invalid(error.to_string()))?;
    let toggles = |toggles: BTreeMap<String, Value>| -> Result<BTreeMap<_, _>, serde_json::Error> {
        toggles.into_iter().map(|(key, value)| Ok((key, entry(value)?))).collect()
    };
    let targets = targets.into_iter().map(|(target, found)| Ok((target, toggles(found)?)));
    let targets = targets.collect::<Result<_, serde_json::Error>>();
    let targets = targets.map_err(|error| invalid(error.to_string()))?;
    Ok((root["id"].as_str().map(str::to_owned), targets))
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
    fn an_intent_is_recorded_before_and_a_creation_after() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        let record = Record::open(&path, "a").unwrap();
        let [first, second] =
            ["US", "us"].map(|name| Map::from_iter([("n".to_owned(), json!(name))]));
        record.announce([("ld", "us", &first), ("ld", "eu", &first)].into_iter());
        assert!(!path.exists(), "they are written together");
        record.intend("ld", "us", &first).unwrap();
        let read = Record::open(&path, "a").unwrap();
        assert_eq!((read.created("ld").len(), read.intended("ld").len()), (0, 2));
        assert_eq!(read.mark("us"), record.mark("us"), "the mark outlives the process");
        read.create("ld", "us", &first).unwrap();
        // Nothing is left to be written.
        fs::remove_file(&path).unwrap();
        read.intend("ld", "us", &first).unwrap();
        assert!(!path.exists());
        // With another spec it may be created elsewhere; it is still its own.
        read.intend("ld", "us", &second).unwrap();
        let read = Record::open(&path, "a").unwrap();
        assert_eq!(read.created("ld"), [("us".to_owned(), first.clone())]);
        assert_eq!(read.intended("ld"), [("eu".to_owned(), first)]);
        let other = Record::open(directory.path().join("other.json"), "a").unwrap();
        assert_ne!(other.mark("us"), record.mark("us"));
    }

    #[test]
    fn a_creation_whose_record_could_not_be_written_is_written_by_the_next_intent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        let (record, spec) = (Record::open(&path, "a").unwrap(), Map::new());
        record.intend("ld", "us", &spec).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        record.create("ld", "us", &spec).unwrap_err();
        record.intend("ld", "us", &spec).unwrap_err();
        fs::remove_dir(&path).unwrap();
        record.intend("ld", "us", &spec).unwrap();
        assert_eq!(Record::open(&path, "a").unwrap().created("ld").len(), 1);
    }

    #[test]
    fn the_last_list_is_kept_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        let record = Record::open(&path, "a").unwrap();
        record.keep("rest", "us", Some(users(""))).unwrap();
        assert_eq!(Record::open(&path, "a").unwrap().last("rest", "us"), Some(users("")));
        record.keep("rest", "us", None).unwrap();
        assert_eq!(Record::open(&path, "a").unwrap().last("rest", "us"), None);
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
            ..Inner::default()
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
