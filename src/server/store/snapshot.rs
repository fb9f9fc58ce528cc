//! The flags of all sources at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::{Arc, OnceLock},
};

use hyper::body::Bytes;
use serde_json::{Map, Value};

use super::{remembered::Remembered, selector::Selector};
use crate::evaluator::{Change, Context, ErrorCode, FlagSet, Outcome};

/// The flags that one source gave last.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What the source is called.
    pub(crate) name: Arc<str>,
    /// The flag set that all its flags belong to, where that is known.
    pub(crate) flag_set: Option<Arc<str>>,
    /// The last good definition; none before the first.
    pub(crate) flags: Option<Arc<FlagSet>>,
}

/// The flags of all sources at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) version: u64,
    pub(crate) sources: Vec<Loaded>,
    /// What has changed, once computed, by selector and former version.
    pub(crate) changes: Remembered<(Selector, u64), Option<Arc<Changes>>>,
    /// What the sync protocol sends, once written.
    definitions: Remembered<Selector, Bytes>,
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

impl Snapshot {
    pub(crate) fn new(version: u64, sources: Vec<Loaded>) -> Self {
        Self {
            version,
            sources,
            changes: Remembered::default(),
            definitions: Remembered::default(),
        }
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

    /// The sources that have flags and their places, later ones first: they win.
    pub(crate) fn latest_first(&self) -> impl Iterator<Item = (usize, &FlagSet)> {
        let sources = self.sources.iter().enumerate().rev();
        let sets = sources.filter_map(|(at, source)| Some((at, &**source.flags.as_ref()?)));
        sets.filter(|(_, set)| !set.is_empty())
    }

    /// As [`latest_first`](Self::latest_first), without sources of which the selector shows nothing.
    fn shown_by(&self, selector: &Selector) -> impl Iterator<Item = (usize, &FlagSet)> {
        let wanted = match selector {
            Selector::FlagSet(id) => Some(id.as_deref()),
            Selector::All | Selector::Source(_) => None,
        };
        self.latest_first().filter(move |(at, _)| {
            let known = self.sources[*at].flag_set.as_deref();
            known.is_none() || wanted.is_none_or(|wanted| wanted == known)
        })
    }

    /// The sources that have a flag of this key and their places, later ones first.
    pub(crate) fn with_key(&self, key: &str) -> impl Iterator<Item = (usize, &FlagSet)> {
        self.latest_first().filter(move |(_, set)| set.contains(key))
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.latest_first().any(|(_, set)| set.contains(key))
    }

    /// The source whose flag of one key the selector shows: of these that have one, later ones first,
    /// each with the flag set that the flag belongs to there.
    pub(crate) fn select<'p>(
        &self,
        selector: &Selector,
        mut places: impl Iterator<Item = (usize, Option<&'p str>)>,
    ) -> Option<usize> {
        let place = match selector {
            Selector::All => places.next(),
            Selector::FlagSet(id) => places.find(|(_, flag_set)| *flag_set == id.as_deref()),
            Selector::Source(wanted) => {
                // A later source hides the flag of the same key and flag set.
                let mut hidden = BTreeSet::new();
                places.find(|(at, flag_set)| {
                    hidden.insert(*flag_set) && *self.sources[*at].name == **wanted
                })
            }
        };
        place.map(|(at, _)| at)
    }

    /// The source whose flag of this key the selector shows.
    pub(crate) fn shown(&self, selector: &Selector, key: &str) -> Option<usize> {
        let sources = self.shown_by(selector).filter(|(_, set)| set.contains(key));
        let places = sources.map(|(at, set)| (at, flag_set_id(set, key)));
        self.select(selector, places)
    }

    /// Where the flag of this key is, if the selector shows it.
    pub(crate) fn find(&self, selector: &Selector, key: &str) -> Option<(&Arc<str>, &FlagSet)> {
        let source = &self.sources[self.shown(selector, key)?];
        Some((&source.name, source.flags.as_deref()?))
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
        let all = self.shown_by(selector).flat_map(|(_, set)| set.keys());
        let mut keys: Vec<_> = match selector {
            Selector::All => all.collect(),
            _ => all.filter(|key| self.shown(selector, key).is_some()).collect(),
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
        self.definitions.get(selector.clone(), || write(self))
    }
}

/// The flag set that a flag belongs to.
pub(crate) fn flag_set_id<'s>(set: &'s FlagSet, key: &str) -> Option<&'s str> {
    set.flag_metadata(key).and_then(|metadata: &Map<_, _>| metadata.get("flagSetId")?.as_str())
}
