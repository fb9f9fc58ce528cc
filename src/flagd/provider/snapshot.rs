//! The state of a provider at one moment.

use std::{sync::Arc, time::SystemTime};

use super::lifecycle::State;
use crate::flagd::event::ProviderEvent;

/// The published state, as evaluations, probes and subscribers see it.
///
/// It is the part of the [`lifecycle`](super::lifecycle) that others need, and it
/// also exists while there is no task.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) state: State,
    /// When `state` changed last. A wall-clock time, because programs show it.
    pub(crate) since: SystemTime,
    /// The latest failure, or what the provider waits for. `None` in READY.
    pub(crate) message: Option<Arc<str>>,
    /// Whether an initialization has begun and is not over, which is what
    /// [`start`](super::FlagdProvider::start) waits for.
    pub(crate) initializing: bool,
}

impl Snapshot {
    /// The message as a string, empty if there is none.
    pub(crate) fn message(&self) -> String {
        self.message.as_deref().unwrap_or_default().to_owned()
    }

    /// The event that a subscriber received last, or would have: the one that
    /// led into this state. There is none for NOT_READY.
    pub(crate) fn event(&self) -> Option<ProviderEvent> {
        match self.state {
            State::NotReady => None,
            State::Ready => Some(ProviderEvent::Ready),
            State::Stale => Some(ProviderEvent::Stale),
            State::Error | State::Fatal => Some(ProviderEvent::Error {
                message: self.message(),
                fatal: self.state == State::Fatal,
            }),
        }
    }
}
