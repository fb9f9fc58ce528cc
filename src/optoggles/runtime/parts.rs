//! What an engine works on: its sources, targets and toggles.
//!
//! Everywhere in the engine these are known by their indexes in [`Parts`]; ids are for
//! people. When the configuration is read again, new `Parts` are made, in which sources
//! and targets that are configured as before are the same objects ([`Arc::ptr_eq`]) and
//! keep their connections, registrations and files.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::optoggles::{
    config::{SourceConfig, TargetConfig},
    machine::Settings,
    record::Record,
    source::{OpalSource, PolicySource},
    target::{Removal, ToggleTarget},
    toggle::Toggle,
};

/// How many requests a source or a target gets at a time.
const AT_A_TIME: usize = 16;

/// What an engine works on. Cloning is cheap: sources, targets and toggles are shared.
#[derive(Clone, Default)]
pub(crate) struct Parts {
    pub(crate) sources: Vec<Source>,
    pub(crate) targets: Vec<Target>,
    pub(crate) toggles: Vec<Entry>,
    /// The limits on what is written.
    pub(crate) settings: Settings,
    /// How often everything is compared afresh. Zero: never.
    pub(crate) resync: Duration,
    /// What becomes of toggles that were created and have left the configuration.
    /// `None`: they stay.
    pub(crate) removal: Option<Removal>,
    /// What was created and who was added. `None`: no `state` is configured.
    pub(crate) record: Option<Record>,
}

/// A source of an engine.
#[derive(Clone)]
#[allow(clippy::struct_field_names, reason = "what a source is has its name")]
pub(crate) struct Source {
    pub(crate) id: String,
    pub(crate) source: Arc<dyn PolicySource>,
    /// The same object as `source`, if callbacks must be passed on to it.
    pub(crate) opal: Option<Arc<OpalSource>>,
    /// What it was made of, if that was a configuration: a source is kept while this is
    /// the same.
    pub(crate) config: Option<SourceConfig>,
    /// Whether it can be queried: it has reported a first change. Shared by clones, so
    /// that it outlives a coordinator.
    has_begun: Arc<AtomicBool>,
    /// A permit for each request at a time.
    pub(crate) room: Arc<Semaphore>,
}

/// A target of an engine.
#[derive(Clone)]
#[allow(clippy::struct_field_names, reason = "what a target is has its name")]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) target: Arc<dyn ToggleTarget>,
    /// What it was made of, if that was a configuration: a target is kept while this is
    /// the same.
    pub(crate) config: Option<TargetConfig>,
    /// A permit for each request at a time.
    pub(crate) room: Arc<Semaphore>,
}

/// A toggle, with the indexes of its source and its targets.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) toggle: Arc<Toggle>,
    /// The index of its source.
    pub(crate) source: usize,
    /// The indexes of its targets, each once.
    pub(crate) targets: Vec<usize>,
}

impl Parts {
    /// The index of each toggle with that of each of its targets.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (usize, usize)> {
        let toggles = self.toggles.iter().enumerate();
        toggles.flat_map(|(index, entry)| entry.targets.iter().map(move |target| (index, *target)))
    }
}

impl Source {
    /// A source that was not queried yet.
    pub(crate) fn new(id: impl Into<String>, source: Arc<dyn PolicySource>) -> Self {
        Self {
            id: id.into(),
            source,
            opal: None,
            config: None,
            has_begun: Arc::default(),
            room: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }

    /// Notes that the source can be queried from now on.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    /// Whether the source can be queried.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }
}

impl Target {
    /// A target that does not come from a configuration.
    pub(crate) fn new(id: impl Into<String>, target: Arc<dyn ToggleTarget>) -> Self {
        let room = Arc::new(Semaphore::new(AT_A_TIME));
        Self { id: id.into(), target, config: None, room }
    }
}
