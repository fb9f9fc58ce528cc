//! The lifecycle of the provider as a pure state machine: an input in, an
//! outcome out.
//!
//! There is no I/O here, no clock and no task. A supervisor observes the event
//! stream or the source of flags, passes what it sees to [`Lifecycle::step`]
//! together with the current time, and applies the [`Outcome`]: first to the
//! cache, then to the visible state, then to the subscribers. It also keeps the
//! one timer, whose time is [`Lifecycle::deadline`], and passes
//! [`Input::Elapsed`] when it fires. That is why each row of the table under
//! "Transitions" in `docs/lifecycle.md` is a test without a network.
//!
//! The same machine serves every resolver. With `rpc`, [`Input::Ready`] means
//! that an event stream has opened; with the others, that a valid flag
//! definition has arrived. Only the others have [`Input::Invalid`].
//!
//! A connection that is lost for longer than the grace period, and then
//! restored, is this sequence:
//!
//! ```text
//! input                  state      events                  cache
//! (initialization)       NOT_READY
//! Ready(All)             READY      ready                   keep
//! Lost, 0 failures       STALE      stale                   keep
//! Lost, 1 failure        STALE                              keep
//! Elapsed                ERROR      error                   drop all
//! Lost, 2 failures       ERROR                              keep
//! Ready(All)             READY      ready, changed (all)    drop all
//! ```
//!
//! Three invariants hold in every sequence:
//!
//! * FATAL is left only by a shutdown, and is reached only by a provider that
//!   was never READY. Once flags have been served, a rejected reconnection is
//!   an outage like any other.
//! * The grace period runs from the loss of the connection. Further failures
//!   do not extend it.
//! * An event is emitted when something changes for a subscriber, so a further
//!   failed attempt in STALE or ERROR emits none.

use std::{sync::Arc, time::Duration};

use open_feature::provider::ProviderStatus;
use tokio::time::Instant;

use crate::flagd::event::{ChangedFlags, ProviderEvent};

/// The state of the provider.
///
/// The states are those of the OpenFeature specification, section
/// [provider lifecycle management]. The SDK's [`ProviderStatus`] has no
/// `Fatal`, so a `State` converts to it but not back.
///
/// "States" in `docs/lifecycle.md` says what each of them means for an
/// evaluation.
///
/// # Examples
///
/// A readiness probe reports ready while flags are served:
///
/// ```
/// use flagstaff::{FlagdOptions, FlagdProvider, State};
///
/// fn is_ready(provider: &FlagdProvider) -> bool {
///     matches!(provider.state(), State::Ready | State::Stale)
/// }
///
/// let options = FlagdOptions::builder().without_env().build()?;
/// assert!(!is_ready(&FlagdProvider::new(options)), "it is not initialized yet");
/// # Ok::<(), flagstaff::FlagdError>(())
/// ```
///
/// [provider lifecycle management]: https://openfeature.dev/specification/sections/flag-evaluation#17-provider-lifecycle-management
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Not initialized yet, or shut down.
    NotReady,
    /// Connected: flags are evaluated, and changes of flags arrive.
    Ready,
    /// The connection was lost less than `retryGracePeriod` ago, or the newest
    /// flag definition is invalid.
    ///
    /// Cached results, and those of the last valid configuration, are still
    /// served; they may be out of date.
    Stale,
    /// flagd, or the source of flags, is unavailable, or it has not delivered
    /// a valid flag definition yet.
    ///
    /// The provider keeps reconnecting. With the resolvers `in-process` and
    /// `file`, flags are still evaluated with the last valid configuration.
    Error,
    /// The provider has given up: its options cannot be used, or flagd rejected
    /// it before it was ever ready (`PROVIDER_FATAL`).
    ///
    /// Only a [shutdown](crate::FlagdProvider::shutdown) leaves this state.
    Fatal,
}

/// Shows [`State::Fatal`] as an error, because the SDK has no status for it.
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

/// The message of evaluations after a shutdown.
pub(crate) const SHUT_DOWN: &str = "the provider was shut down";

/// The options that decide how long the machine stays STALE.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long STALE lasts after the connection was lost
    /// (`retryGracePeriod`). Zero skips STALE: a lost connection is an error
    /// immediately.
    pub(crate) grace: Duration,
    /// After how many failed attempts in a row STALE becomes ERROR
    /// (`maxEventStreamRetries`). `None` means that only the grace period
    /// decides.
    pub(crate) retries: Option<u32>,
}

/// What the supervisor has observed.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// An event stream has opened after a gap, or a valid flag definition has
    /// arrived.
    ///
    /// The flags named may evaluate differently than before. With `rpc` they
    /// are always [`ChangedFlags::All`], because flagd does not send the
    /// changes made during a gap. `None` means that a definition changes
    /// nothing.
    Ready(Option<ChangedFlags>),
    /// The source of flags is available, but its flag definition is invalid.
    #[cfg_attr(not(feature = "in-process"), allow(dead_code))]
    Invalid {
        /// What is invalid: the source, the flag, the line and the column.
        message: String,
    },
    /// flagd has announced a change of flags on an open stream.
    Changed(ChangedFlags),
    /// The stream, or the attempt to open one, has failed.
    Lost {
        /// Why, for the error event and for evaluations.
        message: String,
        /// How many attempts have failed in a row. The loss of a stream that
        /// was stable counts as none; see [`Backoff`](crate::backoff::Backoff).
        failures: u32,
        /// Whether the failure is fatal to a provider that was never ready:
        /// unusable options, or a status in `fatalStatusCodes`.
        refused: bool,
    },
    /// The time returned by [`Lifecycle::deadline`] has come.
    Elapsed,
    /// The provider is shut down.
    Shutdown,
}

/// What to do with the cache, before the events are sent: a program that
/// evaluates a flag when it receives the event must get the new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CacheAction {
    /// Nothing.
    Keep,
    /// Removes the results of these flags.
    Drop(ChangedFlags),
}

/// What the supervisor must do after an input, in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) cache: CacheAction,
    /// The events to emit, the first one first.
    pub(crate) events: Vec<ProviderEvent>,
}

impl Outcome {
    /// No change for anyone.
    fn nothing() -> Self {
        Self { cache: CacheAction::Keep, events: Vec::new() }
    }

    /// Clears the cache and emits these events.
    pub(crate) fn clear(events: Vec<ProviderEvent>) -> Self {
        Self { cache: CacheAction::Drop(ChangedFlags::All), events }
    }
}

/// The state together with the data that only this state has.
///
/// A timer that outlives its state, or a message in READY, cannot be
/// represented. Providers have been seen in which the timer of STALE fired after
/// the recovery.
#[derive(Clone, Debug)]
enum Phase {
    /// Initialization fails at the deadline; there is none after a shutdown.
    NotReady {
        deadline: Option<Instant>,
        message: Arc<str>,
    },
    Ready,
    /// The grace period ends at the deadline. There is none while the source is
    /// available but its definition is invalid: no time makes that worse.
    Stale {
        deadline: Option<Instant>,
        message: Arc<str>,
    },
    /// The message is that of the latest failure.
    Error {
        message: Arc<str>,
    },
    Fatal {
        message: Arc<str>,
    },
}

/// The state machine of one initialization; the next one begins with a new
/// machine.
#[derive(Clone, Debug)]
pub(crate) struct Lifecycle {
    phase: Phase,
    limits: Limits,
    /// Whether the state was ever READY. After that, nothing is fatal.
    was_ready: bool,
}

impl Lifecycle {
    /// Begins an initialization, which fails with `message` if the state is
    /// still NOT_READY at `deadline`.
    pub(crate) fn initializing(limits: Limits, deadline: Instant, message: String) -> Self {
        let phase = Phase::NotReady { deadline: Some(deadline), message: message.into() };
        Self { phase, limits, was_ready: false }
    }

    /// Whether the state was ever READY.
    pub(crate) fn was_ready(&self) -> bool {
        self.was_ready
    }

    /// The current state, without its data.
    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::NotReady { .. } => State::NotReady,
            Phase::Ready => State::Ready,
            Phase::Stale { .. } => State::Stale,
            Phase::Error { .. } => State::Error,
            Phase::Fatal { .. } => State::Fatal,
        }
    }

    /// The latest failure; before the first attempt, what the provider waits
    /// for. `None` in READY.
    pub(crate) fn message(&self) -> Option<Arc<str>> {
        match &self.phase {
            Phase::NotReady { message, .. }
            | Phase::Stale { message, .. }
            | Phase::Error { message }
            | Phase::Fatal { message } => Some(message.clone()),
            Phase::Ready => None,
        }
    }

    /// When [`Input::Elapsed`] is due. `None` in a state without a timer.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::NotReady { deadline, .. } | Phase::Stale { deadline, .. } => deadline,
            Phase::Ready | Phase::Error { .. } | Phase::Fatal { .. } => None,
        }
    }

    /// Applies one row of the tables under "Transitions" in
    /// `docs/lifecycle.md`.
    ///
    /// A pair of state and input that is not in the tables changes nothing,
    /// such as a change in STALE, which cannot arrive while no stream is open.
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

    /// Enters READY. "Ready" is emitted only on a change of the state, and
    /// "changed" after it.
    fn ready(&mut self, from: State, changed: Option<ChangedFlags>) -> Outcome {
        self.phase = Phase::Ready;
        self.was_ready = true;
        // Nothing was evaluated before initialization, so nothing has changed.
        let changed = changed.filter(|_| from != State::NotReady);
        let cache = changed.clone().map_or(CacheAction::Keep, CacheAction::Drop);
        let ready = (from != State::Ready).then_some(ProviderEvent::Ready);
        let changed = changed.map(ProviderEvent::ConfigurationChanged);
        Outcome { cache, events: ready.into_iter().chain(changed).collect() }
    }

    /// Rejects a definition: the last valid configuration stays in use, and
    /// there is no grace period, since the source itself is available.
    ///
    /// An event is emitted only if the message differs from the one before,
    /// because the same invalid definition may arrive many times.
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

    /// Handles a lost stream or a failed attempt: READY becomes STALE, and
    /// STALE becomes ERROR once the attempts are used up.
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

    /// Enters ERROR. The cache is cleared, because results must not outlive the
    /// grace period.
    fn error(&mut self, message: &str) -> Outcome {
        self.phase = Phase::Error { message: message.into() };
        Outcome::clear(vec![ProviderEvent::Error { message: message.to_owned(), fatal: false }])
    }

    /// Enters FATAL.
    fn fatal(&mut self, message: &str) -> Outcome {
        self.phase = Phase::Fatal { message: message.into() };
        Outcome::clear(vec![ProviderEvent::Error { message: message.to_owned(), fatal: true }])
    }
}

#[cfg(test)]
mod tests;
