//! The lifecycle of the provider as a pure state machine: an input in, what follows from it out.
//!
//! No I/O, no clock, no task: the supervisor feeds it, and acts on what it returns.

use std::{sync::Arc, time::Duration};

use open_feature::provider::ProviderStatus;
use tokio::time::Instant;

use crate::flagd::event::{ChangedFlags, ProviderEvent};

/// The state of the provider, as OpenFeature defines it; the SDK's [`ProviderStatus`] has no
/// `Fatal` and cannot be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Not initialized yet, or shut down.
    NotReady,
    /// Connected: changes of flags arrive.
    Ready,
    /// The connection was lost a short while ago, or the newest flag definition is not valid; what is
    /// cached, or was read before, is still given.
    Stale,
    /// flagd, or the source of flags, is out of reach; reconnection goes on. Rules that were read
    /// before still answer.
    Error,
    /// The provider has given up.
    Fatal,
}

impl From<State> for ProviderStatus {
    fn from(state: State) -> Self {
        match state {
            State::NotReady => Self::NotReady,
            State::Ready => Self::Ready,
            State::Stale => Self::STALE,
            State::Error | State::Fatal => Self::Error,
        }
    }
}

/// What evaluations are told after a shutdown.
pub(crate) const SHUT_DOWN: &str = "the provider was shut down";

/// The options that the state machine obeys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long STALE lasts; zero skips it.
    pub(crate) grace: Duration,
    /// How many attempts may fail before ERROR; `None` is without limit.
    pub(crate) retries: Option<u32>,
}

/// What the supervisor has seen.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// A stream is ready, or a flag definition has come, and there was none before it, if only for a
    /// moment. These flags may be others than before.
    Ready(Option<ChangedFlags>),
    /// The source of flags is there, and what it gives is not valid.
    #[cfg_attr(not(feature = "in-process"), allow(dead_code))]
    Invalid { message: String },
    /// flagd says that flags have changed.
    Changed(ChangedFlags),
    /// The stream, or the attempt to open one, has failed.
    Lost {
        message: String,
        /// So many attempts failed in a row.
        failures: u32,
        /// No further attempt can mend it, unless one succeeded before.
        refused: bool,
    },
    /// The time returned by [`Lifecycle::deadline`] has come.
    Elapsed,
    /// The provider is shut down.
    Shutdown,
}

/// What is to be done with the cache, before the events are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CacheAction {
    Keep,
    Drop(ChangedFlags),
}

/// What follows from an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) cache: CacheAction,
    pub(crate) events: Vec<ProviderEvent>,
}

impl Outcome {
    fn nothing() -> Self {
        Self { cache: CacheAction::Keep, events: Vec::new() }
    }

    pub(crate) fn clear(events: Vec<ProviderEvent>) -> Self {
        Self { cache: CacheAction::Drop(ChangedFlags::All), events }
    }
}

/// Each state with what it alone needs.
#[derive(Clone, Debug)]
enum Phase {
    NotReady {
        deadline: Option<Instant>,
        message: Arc<str>,
    },
    Ready,
    /// Without a deadline while the source is there, if of no use.
    Stale {
        deadline: Option<Instant>,
        message: Arc<str>,
    },
    Error {
        message: Arc<str>,
    },
    Fatal {
        message: Arc<str>,
    },
}

/// The state machine.
#[derive(Clone, Debug)]
pub(crate) struct Lifecycle {
    phase: Phase,
    limits: Limits,
    was_ready: bool,
}

impl Lifecycle {
    /// Initialization has begun; it must be over at `deadline`, or has failed with `message`.
    pub(crate) fn initializing(limits: Limits, deadline: Instant, message: String) -> Self {
        let phase = Phase::NotReady { deadline: Some(deadline), message: message.into() };
        Self { phase, limits, was_ready: false }
    }

    /// Whether flagd has ever been ready.
    pub(crate) fn was_ready(&self) -> bool {
        self.was_ready
    }

    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::NotReady { .. } => State::NotReady,
            Phase::Ready => State::Ready,
            Phase::Stale { .. } => State::Stale,
            Phase::Error { .. } => State::Error,
            Phase::Fatal { .. } => State::Fatal,
        }
    }

    /// Why flags are not evaluated as they should be; what is awaited, before the first attempt.
    pub(crate) fn message(&self) -> Option<Arc<str>> {
        match &self.phase {
            Phase::NotReady { message, .. }
            | Phase::Stale { message, .. }
            | Phase::Error { message }
            | Phase::Fatal { message } => Some(message.clone()),
            Phase::Ready => None,
        }
    }

    /// When [`Input::Elapsed`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::NotReady { deadline, .. } | Phase::Stale { deadline, .. } => deadline,
            Phase::Ready | Phase::Error { .. } | Phase::Fatal { .. } => None,
        }
    }

    /// One row of the table of the flagd contract, section 4.
    pub(crate) fn step(&mut self, input: Input, now: Instant) -> Outcome {
        match (input, self.state()) {
            (Input::Shutdown, _) => {
                self.phase = Phase::NotReady { deadline: None, message: SHUT_DOWN.into() };
                Outcome::clear(Vec::new())
            }
            (_, State::Fatal) => Outcome::nothing(),
            (Input::Ready(changed), from) => self.ready(from, changed),
            (Input::Invalid { message }, from) => self.invalid(from, message),
            (Input::Changed(flags), State::Ready) => Outcome {
                cache: CacheAction::Drop(flags.clone()),
                events: vec![ProviderEvent::ConfigurationChanged(flags)],
            },
            (Input::Lost { message, refused: true, .. }, _) if !self.was_ready => {
                self.fatal(&message)
            }
            (Input::Lost { message, failures, .. }, from) => {
                self.lost(from, &message, failures, now)
            }
            (Input::Elapsed, State::NotReady | State::Stale) => {
                let message = self.message().unwrap_or_default();
                self.error(&message)
            }
            (Input::Changed(_) | Input::Elapsed, _) => Outcome::nothing(),
        }
    }

    fn ready(&mut self, from: State, changed: Option<ChangedFlags>) -> Outcome {
        self.phase = Phase::Ready;
        self.was_ready = true;
        // Nobody has seen the flags as they were before.
        let changed = changed.filter(|_| from != State::NotReady);
        let cache = changed.clone().map_or(CacheAction::Keep, CacheAction::Drop);
        let ready = (from != State::Ready).then_some(ProviderEvent::Ready);
        let changed = changed.map(ProviderEvent::ConfigurationChanged);
        Outcome { cache, events: ready.into_iter().chain(changed).collect() }
    }

    /// The last good flags stay.
    fn invalid(&mut self, from: State, message: String) -> Outcome {
        let known = self.message().is_some_and(|known| *known == *message);
        let error = ProviderEvent::Error { message: message.clone(), fatal: false };
        let message: Arc<str> = message.into();
        let (phase, events) = match from {
            State::NotReady => return self.error(&message),
            State::Ready => {
                (Phase::Stale { deadline: None, message }, vec![error, ProviderEvent::Stale])
            }
            State::Stale => (Phase::Stale { deadline: None, message }, vec![error]),
            State::Error | State::Fatal => (Phase::Error { message }, vec![error]),
        };
        self.phase = phase;
        Outcome { events: if known { Vec::new() } else { events }, ..Outcome::nothing() }
    }

    fn lost(&mut self, from: State, message: &str, failures: u32, now: Instant) -> Outcome {
        let exhausted = self.limits.retries.is_some_and(|limit| failures >= limit);
        match from {
            State::Ready if self.limits.grace.is_zero() => self.error(message),
            State::Ready => {
                let deadline = Some(now + self.limits.grace);
                self.phase = Phase::Stale { deadline, message: message.into() };
                Outcome { events: vec![ProviderEvent::Stale], ..Outcome::nothing() }
            }
            State::Stale if !exhausted => {
                let deadline = self.deadline().unwrap_or(now + self.limits.grace);
                self.phase = Phase::Stale { deadline: Some(deadline), message: message.into() };
                Outcome::nothing()
            }
            State::NotReady | State::Stale => self.error(message),
            State::Error | State::Fatal => {
                self.phase = Phase::Error { message: message.into() };
                Outcome::nothing()
            }
        }
    }

    fn error(&mut self, message: &str) -> Outcome {
        self.phase = Phase::Error { message: message.into() };
        Outcome::clear(vec![ProviderEvent::Error { message: message.to_owned(), fatal: false }])
    }

    fn fatal(&mut self, message: &str) -> Outcome {
        self.phase = Phase::Fatal { message: message.into() };
        Outcome::clear(vec![ProviderEvent::Error { message: message.to_owned(), fatal: true }])
    }
}

#[cfg(test)]
mod tests;
