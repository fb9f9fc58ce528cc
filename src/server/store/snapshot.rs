//! The flags of all sources at one moment, and which of them a selector shows.
//!
//! Sources are kept apart, not merged: a merged map would have to be built anew
//! for each update and each selector. A key is instead looked up in each source,
//! from the last to the first: there are few sources, and a lookup costs little.
//!
//! # Which flag a selector shows
//!
//! Several sources may have a flag with one key, and each of these flags may
//! belong to a flag set. Take three sources, later ones to the right:
//!
//! ```text
//!            one          two          three
//! flag a     flag set x   flag set y
//! flag b     flag set x                flag set x
//!
//! selector            a        b
//! (none)              two      three    the last one
//! flagSetId=x         one      three    the last one in the flag set
//! flagSetId=y         two      -
//! source=one          one      -        three's b hides it: same key, same flag set
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::{Arc, OnceLock},
};

use hyper::body::Bytes;
use serde_json::{Map, Value};

use super::{remembered::Remembered, selector::Selector, sent_version::SentVersion};
use crate::{
    context_change::ChangedFields,
    evaluator::{Change, Context, ErrorCode, FlagSet, Outcome, readers::Readers},
};

/// The flags that one source delivered last.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The name of the source, for selectors, metadata and metrics.
    pub(crate) name: Arc<str>,
    /// The flag set to which all its flags belong, if that is known: for the flag
    /// sets of the program.
    pub(crate) flag_set: Option<Arc<str>>,
    /// The last valid definition; none before the first.
    pub(crate) flags: Option<Arc<FlagSet>>,
    /// Which of these flags read which fields of the context, once somebody asks.
    pub(crate) readers: Arc<OnceLock<Readers>>,
}

/// The flags of all sources at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// How many updates have made it. It is 0 before the first.
    pub(crate) version: u64,
    /// How often flags were touched before, by which they evaluate differently although
    /// they have not changed.
    pub(crate) touches: u64,
    /// Later ones win.
    pub(crate) sources: Vec<Loaded>,
    /// What has changed since a former version for a selector, once computed.
    pub(crate) changes: Remembered<(Selector, SentVersion), Option<Arc<Changes>>>,
    /// The message of the sync protocol for a selector, once written. It is the same
    /// in all snapshots of one version.
    definitions: Arc<Remembered<Selector, Bytes>>,
}

/// What has changed from one snapshot to another, for one selector. All streams
/// that ask share it, and with it the messages.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The changed flags by key, each with what clients are notified of. Empty if
    /// nothing has changed for this selector.
    pub(crate) flags: BTreeMap<String, Change>,
    /// The event in protobuf, in its envelope, once written.
    pub(crate) proto: OnceLock<Bytes>,
    /// The event in JSON, in its envelope, once written.
    pub(crate) json: OnceLock<Bytes>,
}

impl Snapshot {
    /// A snapshot with empty caches.
    pub(crate) fn new(version: u64, touches: u64, sources: Vec<Loaded>) -> Self {
        Self {
            version,
            touches,
            sources,
            changes: Remembered::default(),
            definitions: Arc::default(),
        }
    }

    /// What a stream remembers that sent this snapshot last.
    pub(crate) fn sent_version(&self) -> SentVersion {
        SentVersion { version: self.version, touches: self.touches }
    }

    /// The same flags after another touch.
    pub(crate) fn touched(&self) -> Self {
        let definitions = self.definitions.clone();
        Self { definitions, ..Self::new(self.version, self.touches + 1, self.sources.clone()) }
    }

    /// The sources in their order, also those without flags.
    pub(crate) fn sources(&self) -> &[Loaded] {
        &self.sources
    }

    /// Whether every source has delivered a valid definition.
    pub(crate) fn is_loaded(&self) -> bool {
        self.sources.iter().all(|source| source.flags.is_some())
    }

    /// Whether evaluations make sense: a source has flags, or all sources have
    /// delivered a definition without any.
    pub(crate) fn has_answers(&self) -> bool {
        self.is_loaded() || self.latest_first().next().is_some()
    }

    /// The sources that have flags, with their places, in the order in which they
    /// win: later ones first.
    pub(crate) fn latest_first(&self) -> impl Iterator<Item = (usize, &FlagSet)> {
        let sources = self.sources.iter().enumerate().rev();
        let sets = sources.filter_map(|(at, source)| Some((at, &**source.flags.as_ref()?)));
        sets.filter(|(_, set)| !set.is_empty())
    }

    /// The same as [`latest_first`](Self::latest_first), without sources that are
    /// known to belong to another flag set than the selector's. A program may have
    /// thousands of flag sets.
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

    /// The flags whose rules read one of these fields, each with the place of its
    /// source.
    pub(crate) fn readers(&self, fields: &ChangedFields) -> Vec<(usize, Arc<str>)> {
        let of = |(at, set): (usize, &FlagSet)| {
            let readers = self.sources[at].readers.get_or_init(|| set.readers());
            let keys = readers.of(fields.names()).into_iter().cloned();
            keys.map(|key| (at, key)).collect::<Vec<_>>()
        };
        self.latest_first().flat_map(of).collect()
    }

    /// The sources that have a flag of this key and their places, later ones first.
    pub(crate) fn with_key(&self, key: &str) -> impl Iterator<Item = (usize, &FlagSet)> {
        self.latest_first().filter(move |(_, set)| set.contains(key))
    }

    /// Whether the source at this place has a flag of this key.
    pub(crate) fn has(&self, source: usize, key: &str) -> bool {
        let source = self.sources.get(source).and_then(|source| source.flags.as_ref());
        source.is_some_and(|set| set.contains(key))
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.latest_first().any(|(_, set)| set.contains(key))
    }

    /// The place of the source whose flag of one key the selector shows.
    ///
    /// `places` are the sources that have such a flag, later ones first, each with
    /// the flag set to which the flag belongs there. They need not be those of
    /// this snapshot: the history asks about former ones.
    pub(crate) fn select<'p>(
        &self,
        selector: &Selector,
        mut places: impl Iterator<Item = (usize, Option<&'p str>)>,
    ) -> Option<usize> {
        let place = match selector {
            Selector::All => places.next(),
            Selector::FlagSet(id) => places.find(|(_, flag_set)| *flag_set == id.as_deref()),
            Selector::Source(wanted) => {
                // A later source hides the flag with the same key in the same flag set.
                let mut hidden = BTreeSet::new();
                places.find(|(at, flag_set)| {
                    hidden.insert(*flag_set) && *self.sources[*at].name == **wanted
                })
            }
        };
        place.map(|(at, _)| at)
    }

    /// The place of the source whose flag of this key the selector shows; none if
    /// it shows none.
    pub(crate) fn shown(&self, selector: &Selector, key: &str) -> Option<usize> {
        let sources = self.shown_by(selector).filter(|(_, set)| set.contains(key));
        let places = sources.map(|(at, set)| (at, flag_set_id(set, key)));
        self.select(selector, places)
    }

    /// The source that has the flag of this key, as name and flags, if the
    /// selector shows the flag.
    pub(crate) fn find(&self, selector: &Selector, key: &str) -> Option<(&Arc<str>, &FlagSet)> {
        let source = &self.sources[self.shown(selector, key)?];
        Some((&source.name, source.flags.as_deref()?))
    }

    /// Evaluates a flag; none if the selector shows no flag of this key.
    ///
    /// Without a selector, each source is asked in turn until one knows the flag,
    /// so that the key is looked up once in the usual case.
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

    /// The value of a flag's default variant, whose type is the flag's type in an
    /// evaluation of all flags. None without a default variant.
    pub(crate) fn default_value(&self, selector: &Selector, key: &str) -> Option<&Value> {
        self.find(selector, key).and_then(|(_, set)| set.default_value(key))
    }

    /// The keys that the selector shows, sorted, each once.
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

    /// How many flags a client without any selector sees, for the metrics. A key
    /// that several sources have counts once.
    pub(crate) fn len(&self) -> usize {
        self.keys(&Selector::All).len()
    }

    /// The flag definition that the sync protocol sends, with the name of the
    /// source added to each flag, as in flagd (docs/flagd.md, "Sync service"):
    ///
    /// ```json
    /// {"flags":{"a":{"source":"flags.json","state":"ENABLED", ...}}}
    /// ```
    ///
    /// The text of each flag is copied from its source, not written anew.
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

    /// The message of the sync protocol for a selector, which `write` makes when it
    /// is first needed. Many clients share it.
    pub(crate) fn sync_message(
        &self,
        selector: &Selector,
        write: impl FnOnce(&Self) -> Bytes,
    ) -> Bytes {
        self.definitions.get(selector.clone(), || write(self))
    }
}

/// The flag set to which a flag belongs, by its metadata `flagSetId`.
pub(crate) fn flag_set_id<'s>(set: &'s FlagSet, key: &str) -> Option<&'s str> {
    set.flag_metadata(key).and_then(|metadata: &Map<_, _>| metadata.get("flagSetId")?.as_str())
}
