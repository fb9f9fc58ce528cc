//! The record of what this program has created and whom it has added: `state` in the
//! configuration.
//!
//! It answers three questions that the targets cannot. When a list is merged with what
//! people have added by hand, only users whom this program has added may be removed
//! from it. When a toggle leaves the configuration, it may be deleted only if this
//! program has created it. And where a target does not report whom it has, `maxRemoved`
//! is measured after a start against the list that was written last.
//!
//! The intent to create a toggle is recorded before the attempt, and does not make the
//! toggle this program's own: it may have existed before. What tells it is the
//! [mark](Record::mark), which a target puts on a toggle that it creates. It is made of
//! the `id` of the file, so nobody else has it.
//!
//! Lists of LaunchDarkly have entries of their own, named by project and key, because
//! flags of two projects may have the same key.
//!
//! The record is kept in memory, and every change goes to its [file](journal). A change is
//! made in memory first and noted as missing in the file. Then whoever holds the file
//! writes all that is missing, so that toggles that change at the same time share a write,
//! and what could not be written is written with the next change. Nothing but the writing
//! waits for the disk.

mod entry;
mod error;
mod journal;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
    io,
    path::PathBuf,
    sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value};
use tokio::{sync::Mutex, task::spawn_blocking};

pub use self::error::RecordError;
pub(crate) use self::journal::write_atomically;
use self::{
    entry::{Entry, Targets},
    journal::Journal,
};
use super::users::Users;

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
pub struct Record {
    /// What tells the toggles created by this installation from all others: random, and
    /// recorded before the first is created.
    id: Arc<str>,
    content: Arc<SyncMutex<Content>>,
    /// The file. `None`: the record is kept in memory only.
    journal: Option<Arc<Mutex<Journal>>>,
}

/// What is recorded. Its lock is held for moments only.
#[derive(Debug, Default)]
struct Content {
    targets: Targets,
    /// The entries whose last change the file lacks, by target and key.
    missing: BTreeSet<(String, String)>,
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
        // It need not be hard to guess, only not the same twice.
        let new_id = || format!("{:016x}", RandomState::new().hash_one(0));
        let (journal, targets) = Journal::open(path.into(), instance, new_id)?;
        let content = Content { targets, missing: BTreeSet::new() };
        Ok(Self {
            id: journal.id().into(),
            content: Arc::new(SyncMutex::new(content)),
            journal: Some(Arc::new(Mutex::new(journal))),
        })
    }

    /// Returns the users that this program has added to a list of a toggle.
    pub(crate) fn added(&self, target: &str, toggle: &str, list: &str) -> Users {
        let content = self.content();
        let entry = content.targets.get(target).and_then(|toggles| toggles.get(toggle));
        entry.and_then(|entry| entry.added.get(list)).cloned().unwrap_or_default()
    }

    /// Records the users that this program is about to have on a list of a toggle, in
    /// place of those recorded before. Nothing is written if they are the same.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The users must then not be added at the target;
    /// a retry writes the file again.
    pub(crate) async fn add(
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
        .await
    }

    /// Returns what tells a toggle with this key that this installation has created from all
    /// others.
    pub(crate) fn mark(&self, toggle: &str) -> String {
        format!("{}/{toggle}", self.id)
    }

    /// Notes the intents to create these toggles, each at a target, with their specs. They are
    /// written with the next call of [`intend`](Self::intend), all together.
    pub(crate) fn announce<'a>(
        &self,
        toggles: impl Iterator<Item = (&'a str, &'a str, &'a Map<String, Value>)>,
    ) {
        let mut content = self.content();
        for (target, toggle, spec) in toggles {
            content.change(target, toggle, |entry| entry.intend(spec));
        }
    }

    /// Records the intent to create a toggle, unless that is recorded already or the toggle was
    /// created with this spec.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The toggle must then not be created; a retry writes
    /// the file again.
    pub(crate) async fn intend(
        &self,
        target: &str,
        toggle: &str,
        spec: &Map<String, Value>,
    ) -> Result<(), RecordError> {
        self.change(target, toggle, |entry| entry.intend(spec)).await
    }

    /// Records that this program has created a toggle.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The change is kept, and written with the next
    /// one, or by [`intend`](Self::intend) if nothing else changes.
    pub(crate) async fn create(
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
        .await
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
        self.content().targets.get(target)?.get(toggle)?.last.clone()
    }

    /// Records the list that was written to a target that does not report it; `None` forgets
    /// it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The change is kept, and written with the next one.
    pub(crate) async fn keep(
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
        .await
    }

    /// Forgets a toggle at a target, after it was removed there.
    pub(crate) async fn forget(&self, target: &str, toggle: &str) -> Result<(), RecordError> {
        self.change(target, toggle, |entry| std::mem::take(entry) != Entry::default()).await
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The toggles at a target of which there is such a spec, with it.
    fn specs(
        &self,
        target: &str,
        spec: impl Fn(&Entry) -> Option<Map<String, Value>>,
    ) -> Vec<(String, Map<String, Value>)> {
        let content = self.content();
        let toggles = content.targets.get(target).into_iter().flatten();
        toggles.filter_map(|(key, entry)| Some((key.clone(), spec(entry)?))).collect()
    }

    /// Changes an entry, which is empty if there is none; `change` returns whether it has
    /// changed anything. Returns when nothing is missing in the file.
    async fn change(
        &self,
        target: &str,
        toggle: &str,
        change: impl FnOnce(&mut Entry) -> bool,
    ) -> Result<(), RecordError> {
        self.content().change(target, toggle, change);
        let Some(journal) = self.journal.clone() else { return Ok(()) };
        // Even if nothing is missing: what was taken to be written may not be written yet.
        let mut journal = journal.lock_owned().await;
        if self.content().missing.is_empty() {
            return Ok(());
        }
        // If the caller goes away, the thread still has the lock and writes to the end.
        let (record, path) = (self.clone(), journal.path().to_owned());
        let written = spawn_blocking(move || record.write(&mut journal)).await;
        written.unwrap_or_else(|error| Err(error.into())).map_err(|source| RecordError::Io {
            action: "write",
            path,
            source,
        })
    }

    /// Writes what the file lacks.
    fn write(&self, journal: &mut Journal) -> io::Result<()> {
        let appends = journal.takes_changes();
        let (missing, targets) = {
            let mut content = self.content();
            let missing = std::mem::take(&mut content.missing);
            let targets = if appends { content.entries(&missing) } else { content.targets.clone() };
            (missing, targets)
        };
        let written = if appends { journal.append(&targets) } else { journal.rewrite(&targets) };
        if written.is_err() {
            self.content().missing.extend(missing);
        }
        written
    }
}

impl Content {
    /// Changes an entry, and notes that the file lacks it if `change` says that it has changed.
    fn change(&mut self, target: &str, toggle: &str, change: impl FnOnce(&mut Entry) -> bool) {
        let toggles = self.targets.entry(target.to_owned()).or_default();
        let entry = toggles.entry(toggle.to_owned()).or_default();
        let changes = change(entry);
        if *entry == Entry::default() {
            toggles.remove(toggle);
        }
        if changes {
            self.missing.insert((target.to_owned(), toggle.to_owned()));
        }
    }

    /// These entries. One that there is no more is empty.
    fn entries(&self, keys: &BTreeSet<(String, String)>) -> Targets {
        let mut found = Targets::new();
        for (target, toggle) in keys {
            let entry = self.targets.get(target).and_then(|toggles| toggles.get(toggle));
            let entry = entry.cloned().unwrap_or_default();
            found.entry(target.clone()).or_default().insert(toggle.clone(), entry);
        }
        found
    }
}
