//! The flags of all sources: a snapshot that readers take without a lock, replaced as a whole.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use arc_swap::ArcSwap;
use hyper::body::Bytes;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::selector::Selector;
use crate::evaluator::{Change, Context, ErrorCode, FlagSet, Outcome};

/// How many former snapshots are kept, so that streams can be told what has changed since.
const HISTORY: usize = 4;

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
    /// The message that tells it, once written.
    pub(crate) event: OnceLock<Bytes>,
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

    /// The sources that have flags, later ones first: they win.
    fn latest_first(&self) -> impl Iterator<Item = (&Arc<str>, &FlagSet)> {
        let flags = |source: &'_ Loaded| source.flags.as_ref().is_some_and(|set| !set.is_empty());
        let latest = self.sources.iter().rev().filter(move |source| flags(source));
        latest.filter_map(|source| Some((&source.name, &**source.flags.as_ref()?)))
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

    /// What has changed since a former snapshot, of what the selector shows.
    pub(crate) fn changes_since(&self, former: &Self, selector: &Selector) -> Arc<Changes> {
        let is_known =
            |known: &&(Selector, u64, _)| known.0 == *selector && known.1 == former.version;
        if let Some((_, _, changes)) = lock(&self.changes).iter().find(is_known) {
            return changes.clone();
        }
        let changes = Arc::new(self.compare(former, selector));
        let mut known = lock(&self.changes);
        known.truncate(REMEMBERED - 1);
        known.insert(0, (selector.clone(), former.version, changes.clone()));
        changes
    }

    fn compare(&self, former: &Self, selector: &Selector) -> Changes {
        let mut changed = BTreeSet::new();
        for (new, old) in self.sources.iter().zip(&former.sources) {
            let empty = FlagSet::default();
            let (new, old) = (new.flags.as_deref(), old.flags.as_deref());
            if new.map(std::ptr::from_ref) != old.map(std::ptr::from_ref) {
                changed
                    .extend(new.unwrap_or(&empty).changes_since(old.unwrap_or(&empty)).into_keys());
            }
        }
        let change = |key: &str| {
            let seen = |snapshot: &Self| {
                let (source, set) = snapshot.find(selector, key)?;
                Some((source.clone(), set.definition(key)?.to_owned()))
            };
            match (seen(former), seen(self)) {
                (None, Some(_)) => Some(Change::Write),
                (Some(_), None) => Some(Change::Delete),
                (old, new) => (old != new).then_some(Change::Update),
            }
        };
        let flags = changed.into_iter().filter_map(|key| change(&key).map(|change| (key, change)));
        Changes { flags: flags.collect(), event: OnceLock::new() }
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
    former: Mutex<VecDeque<Arc<Snapshot>>>,
    version: watch::Sender<u64>,
}

impl Store {
    /// A store for these sources, of which later ones win.
    pub(crate) fn new(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let sources = names.into_iter().map(|name| Loaded { name, flags: None }).collect();
        Self {
            current: ArcSwap::from_pointee(Snapshot::new(0, sources)),
            former: Mutex::default(),
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
        let mut former = lock(&self.former);
        let current = self.current.load_full();
        let mut sources = current.sources.clone();
        let flags = change(sources[source].flags.as_deref().unwrap_or(&FlagSet::default()))?;
        sources[source].flags = Some(Arc::new(flags));
        let version = current.version + 1;
        self.current.store(Arc::new(Snapshot::new(version, sources)));
        former.push_back(current);
        if former.len() > HISTORY {
            former.pop_front();
        }
        drop(former);
        self.version.send_replace(version);
        Ok(())
    }
}

/// What a stream was told last. Former snapshots are not kept alive by clients that lag behind.
#[derive(Debug, Default)]
pub(crate) struct Told(Weak<Snapshot>);

impl Told {
    pub(crate) fn new(snapshot: &Arc<Snapshot>) -> Self {
        Self(Arc::downgrade(snapshot))
    }

    /// What has changed since; none if that is so long ago that nobody knows.
    pub(crate) fn changes(&self, now: &Snapshot, selector: &Selector) -> Option<Arc<Changes>> {
        Some(now.changes_since(&*self.0.upgrade()?, selector))
    }
}

/// Locked data is replaced as a whole, so that a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
