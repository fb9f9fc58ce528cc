//! What an engine works on: sources, targets and toggles by their ids.

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

/// How many toggles a source is asked for at a time, and a target works on.
const AT_A_TIME: usize = 16;

/// What an engine works on.
#[derive(Clone, Default)]
pub(crate) struct Parts {
    pub(crate) sources: Vec<Source>,
    pub(crate) targets: Vec<Target>,
    pub(crate) toggles: Vec<Entry>,
    pub(crate) settings: Settings,
    /// How often everything is looked at again; zero is never.
    pub(crate) resync: Duration,
    /// What becomes of a toggle that was created and is there no longer.
    pub(crate) removal: Option<Removal>,
    pub(crate) record: Option<Record>,
}

/// A source and its id.
#[derive(Clone)]
#[allow(clippy::struct_field_names, reason = "what a source is has its name")]
pub(crate) struct Source {
    pub(crate) id: String,
    pub(crate) source: Arc<dyn PolicySource>,
    /// The same, where callbacks have to reach it.
    pub(crate) opal: Option<Arc<OpalSource>>,
    /// What it was made of, if that was a configuration.
    pub(crate) config: Option<SourceConfig>,
    /// Whether it can be asked.
    has_begun: Arc<AtomicBool>,
    pub(crate) room: Arc<Semaphore>,
}

/// A target and its id.
#[derive(Clone)]
#[allow(clippy::struct_field_names, reason = "what a target is has its name")]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) target: Arc<dyn ToggleTarget>,
    /// What it was made of, if that was a configuration.
    pub(crate) config: Option<TargetConfig>,
    pub(crate) room: Arc<Semaphore>,
}

/// A toggle, with the indexes of its source and its targets.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) toggle: Arc<Toggle>,
    pub(crate) source: usize,
    pub(crate) targets: Vec<usize>,
}

impl Source {
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

    /// It can be asked from now on.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }
}

impl Target {
    pub(crate) fn new(id: impl Into<String>, target: Arc<dyn ToggleTarget>) -> Self {
        let room = Arc::new(Semaphore::new(AT_A_TIME));
        Self { id: id.into(), target, config: None, room }
    }
}
