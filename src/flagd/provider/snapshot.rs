//! The state of a provider at one moment.

use std::{sync::Arc, time::SystemTime};

use super::lifecycle::State;
use crate::flagd::event::ProviderEvent;

/// The state that all can see.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) state: State,
    pub(crate) since: SystemTime,
    /// Why flags are not evaluated as they should be.
    pub(crate) message: Option<Arc<str>>,
    /// Whether an initialization has begun and is not over.
    pub(crate) initializing: bool,
}

impl Snapshot {
    pub(crate) fn message(&self) -> String {
        self.message.as_deref().unwrap_or_default().to_owned()
    }

    /// The event that a subscriber would have seen last.
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
