//! The flags of all sources: a snapshot that readers take without a lock, replaced as a whole.

mod history;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use arc_swap::ArcSwap;
use hyper::body::Bytes;
use serde_json::{Map, Value};
use tokio::sync::watch;

use self::history::History;
pub(crate) use self::history::Told;
use super::selector::Selector;
use crate::evaluator::{Change, Context, ErrorCode, FlagSet, Outcome};

/// The flags that one source gave last.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What the source is called.
    pub(crate) name: Arc<str>,
    /// The last good definition; none before the first.
    pub(crate) flags: Option<Arc<FlagSet>>,
}

/// The flags of all sources at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    version: u64,
    sources: Vec<Loaded>,
    /// What has changed, once computed, by selector and former version.
    changes: Mutex<Vec<(Selector, u64, Arc<Changes>)>>,
    /// What the sync protocol sends, once written.
    definitions: Mutex<Vec<(Selector, Bytes)>>,
}

/// What has changed from one snapshot to another.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The changed flags.
    pub(crate) flags: BTreeMap<String, Change>,
    /// The message that tells it in protobuf, once written.
    pub(crate) proto: OnceLock<Bytes>,
    /// The message that tells it in JSON, once written.
    pub(crate) json: OnceLock<Bytes>,
}

/// How many things that clients ask for by selector are kept: selectors are up to them.
const REMEMBERED: usize = 64;

impl Snapshot {
    fn new(version: u64, sources: Vec<Loaded>) -> Self {
        Self { version, sources, changes: Mutex::default(), definitions: Mutex::default() }
    }

    pub(crate) fn sources(&self) -> &[Loaded] {
        &self.sources
    }

    /// Whether each source has given a definition.
    pub(crate) fn is_loaded(&self) -> bool {
        self.sources.iter().all(|source| source.flags.is_some())
    }

    /// Whether a source has flags, or every source says that it has none.
    pub(crate) fn has_answers(&self) -> bool {
        self.is_loaded() || self.latest_first().next().is_some()
    }

    /// The sources that have flags, later ones first: they win.
    fn latest_first(&self) -> impl Iterator<Item = (&Arc<str>, &FlagSet)> {
        let flags = |source: &'_ Loaded| source.flags.as_ref().is_some_and(|set| !set.is_empty());
        let latest = self.sources.iter().rev().filter(move |source| flags(source));
        latest.filter_map(|source| Some((&source.name, &**source.flags.as_ref()?)))
    }

    fn contains(&self, key: &str) -> bool {
        self.latest_first().any(|(_, set)| set.contains(key))
    }

    /// Where the flag of this key is, if the selector shows it.
    fn find(&self, selector: &Selector, key: &str) -> Option<(&Arc<str>, &FlagSet)> {
        let mut with_key = self.latest_first().filter(|(_, set)| set.contains(key));
        match selector {
            Selector::All => with_key.next(),
            Selector::FlagSet(id) => {
                with_key.find(|(_, set)| flag_set_id(set, key) == id.as_deref())
            }
            Selector::Source(wanted) => {
                // A later source hides the flag of the same key and flag set.
                let mut hidden = BTreeSet::new();
                with_key
                    .find(|(name, set)| hidden.insert(flag_set_id(set, key)) && ***name == **wanted)
            }
        }
    }

    /// Evaluates a flag; none if the selector shows no flag of this key.
    pub(crate) fn evaluate(
        &self,
        selector: &Selector,
        key: &str,
        context: &dyn Context,
    ) -> Option<Outcome<'_>> {
        if *selector != Selector::All {
            return self.find(selector, key).map(|(_, set)| set.evaluate(key, context));
        }
        let mut outcomes = self.latest_first().map(|(_, set)| set.evaluate(key, context));
        outcomes.find(|outcome| outcome.error != Some(ErrorCode::FlagNotFound))
    }

    /// The value of a flag's default variant, of whose type its values are in an evaluation of all.
    pub(crate) fn default_value(&self, selector: &Selector, key: &str) -> Option<&Value> {
        self.find(selector, key).and_then(|(_, set)| set.default_value(key))
    }

    /// The keys that the selector shows, in their order.
    pub(crate) fn keys(&self, selector: &Selector) -> Vec<&str> {
        let all = self.latest_first().flat_map(|(_, set)| set.keys());
        let mut keys: Vec<_> = match selector {
            Selector::All => all.collect(),
            _ => all.filter(|key| self.find(selector, key).is_some()).collect(),
        };
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// How many flags there are.
    pub(crate) fn len(&self) -> usize {
        self.keys(&Selector::All).len()
    }

    /// The flag definition that the sync protocol sends.
    pub(crate) fn definition(&self, selector: &Selector) -> String {
        let mut text = String::from("{\"flags\":{");
        for (index, key) in self.keys(selector).into_iter().enumerate() {
            let Some((source, set)) = self.find(selector, key) else { continue };
            let Some(flag) = set.definition(key) else { continue };
            if index > 0 {
                text.push(',');
            }
            let source = Value::from(&**source);
            let fields = flag.strip_prefix('{').unwrap_or(flag);
            let _ = write!(text, "{}:{{\"source\":{source},{fields}", Value::from(key));
        }
        text.push_str("}}");
        text
    }

    /// What `write` makes of these flags for the sync protocol.
    pub(crate) fn sync_message(
        &self,
        selector: &Selector,
        write: impl FnOnce(&Self) -> Bytes,
    ) -> Bytes {
        // Held while it is written: all clients want it at once.
        let mut known = lock(&self.definitions);
        if let Some((_, message)) = known.iter().find(|(of, _)| of == selector) {
            return message.clone();
        }
        let message = write(self);
        known.truncate(REMEMBERED - 1);
        known.insert(0, (selector.clone(), message.clone()));
        message
    }

    /// What has changed since a former version, of what the selector shows: computed once.
    fn changes(
        &self,
        former: u64,
        selector: &Selector,
        compute: impl FnOnce() -> Option<Changes>,
    ) -> Option<Arc<Changes>> {
        let is_known = |known: &&(Selector, u64, _)| known.0 == *selector && known.1 == former;
        if let Some((_, _, changes)) = lock(&self.changes).iter().find(is_known) {
            return Some(changes.clone());
        }
        let changes = Arc::new(compute()?);
        let mut known = lock(&self.changes);
        known.truncate(REMEMBERED - 1);
        known.insert(0, (selector.clone(), former, changes.clone()));
        Some(changes)
    }

    /// What a client must hear of these keys, that had the former flags, if they are known.
    fn changed(
        &self,
        former: Option<&Self>,
        keys: impl IntoIterator<Item = Arc<str>>,
        selector: &Selector,
    ) -> Changes {
        let change = |key: &str| {
            let was_shown = former.is_none_or(|former| former.find(selector, key).is_some());
            match (was_shown, self.find(selector, key)) {
                (_, None) => Change::Delete,
                (false, Some(_)) => Change::Write,
                (true, Some(_)) => Change::Update,
            }
        };
        let flags = keys.into_iter().map(|key| (key.to_string(), change(&key)));
        Changes { flags: flags.collect(), ..Changes::default() }
    }

    /// The keys of which the selector shows something else than in a former snapshot.
    fn differing(&self, former: &Self, selector: &Selector) -> BTreeSet<Arc<str>> {
        let seen = |snapshot: &Self, key: &str| {
            let (source, set) = snapshot.find(selector, key)?;
            Some((source.clone(), set.definition(key)?.to_owned()))
        };
        let mut keys = self.touched(former);
        keys.retain(|key| seen(self, key) != seen(former, key));
        keys
    }

    /// The keys that any source has changed since a former snapshot.
    fn touched(&self, former: &Self) -> BTreeSet<Arc<str>> {
        let mut keys = BTreeSet::new();
        for (new, old) in self.sources.iter().zip(&former.sources) {
            if new.flags.as_ref().map(Arc::as_ptr) != old.flags.as_ref().map(Arc::as_ptr) {
                let (new, old) =
                    [new, old].map(|source| source.flags.clone().unwrap_or_default()).into();
                keys.extend(new.changes_since(&old).into_keys().map(Arc::from));
            }
        }
        keys
    }
}

/// The flag set that a flag belongs to.
fn flag_set_id<'s>(set: &'s FlagSet, key: &str) -> Option<&'s str> {
    set.flag_metadata(key).and_then(|metadata: &Map<_, _>| metadata.get("flagSetId")?.as_str())
}

/// The flags of all sources, as they change.
#[derive(Debug)]
pub(crate) struct Store {
    current: ArcSwap<Snapshot>,
    history: Mutex<History>,
    version: watch::Sender<u64>,
}

impl Store {
    /// A store for these sources, of which later ones win.
    pub(crate) fn new(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let sources = names.into_iter().map(|name| Loaded { name, flags: None }).collect();
        Self {
            current: ArcSwap::from_pointee(Snapshot::new(0, sources)),
            history: Mutex::default(),
            version: watch::Sender::new(0),
        }
    }

    /// The flags as they are now, without a lock.
    pub(crate) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Tells when there is another snapshot.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Replaces the flags of one source by what `change` makes of them. Writers come one after the
    /// other; after an error nothing has changed.
    pub(crate) fn update<E>(
        &self,
        source: usize,
        change: impl FnOnce(&FlagSet) -> Result<FlagSet, E>,
    ) -> Result<(), E> {
        let mut history = lock(&self.history);
        let current = self.current.load_full();
        let mut sources = current.sources.clone();
        let flags = change(sources[source].flags.as_deref().unwrap_or(&FlagSet::default()))?;
        sources[source].flags = Some(Arc::new(flags));
        let version = current.version + 1;
        let now = Arc::new(Snapshot::new(version, sources));
        // Before anybody sees the new flags: what has changed is known to all who ask for it.
        history.replaced(current, &now);
        self.current.store(now);
        drop(history);
        self.version.send_replace(version);
        Ok(())
    }

    /// What has changed since a stream was told something, of what the selector shows. All that has
    /// changed is in it, and more only where that is long past; none if that is so long ago that
    /// nobody knows.
    pub(crate) fn changes(
        &self,
        told: Told,
        now: &Snapshot,
        selector: &Selector,
    ) -> Option<Arc<Changes>> {
        now.changes(told.0, selector, || {
            let history = lock(&self.history);
            let Some(former) = history.snapshots(told.0, now.version) else {
                let keys = history.since(told.0)?;
                drop(history);
                return Some(now.changed(None, keys, selector));
            };
            drop(history);
            // Step by step: what has changed and changed back was seen meanwhile.
            let mut keys = BTreeSet::new();
            for (index, old) in former.iter().enumerate() {
                let new = former.get(index + 1).map_or(now, |new| new);
                keys.extend(new.differing(old, selector));
            }
            Some(now.changed(former.first().map(|former| &**former), keys, selector))
        })
    }
}

/// Locked data is replaced as a whole, so that a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
