//! The lifecycle of the provider as a pure state machine: an input in, what follows from it out.
//!
//! No I/O, no clock, no task: the supervisor feeds it, and acts on what it returns.

use std::{sync::Arc, time::Duration};

use open_feature::provider::ProviderStatus;
use tokio::time::Instant;

use super::events::{ChangedFlags, ProviderEvent};

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
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);
    const LIMITS: Limits = Limits { grace: GRACE, retries: Some(5) };

    fn machine(limits: Limits, now: Instant) -> Lifecycle {
        Lifecycle::initializing(limits, now + Duration::from_millis(500), "too late".to_owned())
    }

    fn lost(failures: u32) -> Input {
        Input::Lost { message: "gone".to_owned(), failures, refused: false }
    }

    fn refused() -> Input {
        Input::Lost { message: "denied".to_owned(), failures: 1, refused: true }
    }

    /// As of the RPC resolver: changes made while it was away are never told.
    fn ready() -> Input {
        Input::Ready(Some(ChangedFlags::All))
    }

    fn invalid(message: &str) -> Input {
        Input::Invalid { message: message.to_owned() }
    }

    fn changed() -> Input {
        Input::Changed(keys())
    }

    fn keys() -> ChangedFlags {
        ChangedFlags::Keys(["a".to_owned()].into())
    }

    fn error(message: &str, fatal: bool) -> ProviderEvent {
        ProviderEvent::Error { message: message.to_owned(), fatal }
    }

    const ALL_CHANGED: ProviderEvent = ProviderEvent::ConfigurationChanged(ChangedFlags::All);

    /// The ways into each state.
    fn path(state: &str) -> Vec<Input> {
        match state {
            "NOT_READY" => vec![],
            "READY" => vec![ready()],
            "STALE" => vec![ready(), lost(0)],
            "ERROR" => vec![ready(), lost(0), Input::Elapsed],
            "ERROR, never ready" => vec![lost(1)],
            "FATAL" => vec![refused()],
            "STALE, not valid" => vec![ready(), invalid("bad")],
            "ERROR, not valid" => vec![invalid("bad")],
            other => panic!("no way to {other}"),
        }
    }

    /// The table of the flagd contract, section 4, row by row: from, input, to, events, cache.
    #[tokio::test]
    async fn each_row_of_the_table() {
        use CacheAction::{Drop, Keep};
        use ProviderEvent::{Ready, Stale};
        let all = || Drop(ChangedFlags::All);
        let now = Instant::now();
        for (from, input, to, events, cache) in [
            ("NOT_READY", ready(), State::Ready, vec![Ready], Keep),
            ("NOT_READY", Input::Elapsed, State::Error, vec![error("too late", false)], all()),
            ("NOT_READY", lost(1), State::Error, vec![error("gone", false)], all()),
            ("NOT_READY", refused(), State::Fatal, vec![error("denied", true)], all()),
            ("NOT_READY", changed(), State::NotReady, vec![], Keep),
            ("ERROR, never ready", refused(), State::Fatal, vec![error("denied", true)], all()),
            ("ERROR, never ready", ready(), State::Ready, vec![Ready, ALL_CHANGED], all()),
            ("ERROR, never ready", lost(9), State::Error, vec![], Keep),
            (
                "READY",
                changed(),
                State::Ready,
                vec![ProviderEvent::ConfigurationChanged(keys())],
                Drop(keys()),
            ),
            ("READY", Input::Changed(ChangedFlags::All), State::Ready, vec![ALL_CHANGED], all()),
            ("READY", lost(0), State::Stale, vec![Stale], Keep),
            ("READY", lost(5), State::Stale, vec![Stale], Keep),
            ("READY", refused(), State::Stale, vec![Stale], Keep),
            // One stream has followed another with a gap between them.
            ("READY", ready(), State::Ready, vec![ALL_CHANGED], all()),
            ("READY", Input::Elapsed, State::Ready, vec![], Keep),
            ("STALE", Input::Elapsed, State::Error, vec![error("gone", false)], all()),
            ("STALE", ready(), State::Ready, vec![Ready, ALL_CHANGED], all()),
            ("STALE", lost(4), State::Stale, vec![], Keep),
            ("STALE", lost(5), State::Error, vec![error("gone", false)], all()),
            ("STALE", refused(), State::Stale, vec![], Keep),
            ("STALE", changed(), State::Stale, vec![], Keep),
            ("ERROR", ready(), State::Ready, vec![Ready, ALL_CHANGED], all()),
            ("ERROR", lost(6), State::Error, vec![], Keep),
            ("ERROR", refused(), State::Error, vec![], Keep),
            ("ERROR", Input::Elapsed, State::Error, vec![], Keep),
            ("ERROR", changed(), State::Error, vec![], Keep),
            ("FATAL", ready(), State::Fatal, vec![], Keep),
            ("FATAL", lost(1), State::Fatal, vec![], Keep),
            ("FATAL", changed(), State::Fatal, vec![], Keep),
            ("NOT_READY", Input::Shutdown, State::NotReady, vec![], all()),
            ("READY", Input::Shutdown, State::NotReady, vec![], all()),
            ("STALE", Input::Shutdown, State::NotReady, vec![], all()),
            ("ERROR", Input::Shutdown, State::NotReady, vec![], all()),
            ("FATAL", Input::Shutdown, State::NotReady, vec![], all()),
        ] {
            let mut lifecycle = machine(LIMITS, now);
            for step in path(from) {
                lifecycle.step(step, now);
            }
            let row = format!("{from} + {input:?}");
            assert_eq!(lifecycle.step(input, now), Outcome { cache, events }, "{row}");
            assert_eq!(lifecycle.state(), to, "{row}");
        }
    }

    /// What is different for flag definitions: section 8 of the contract, and a definition that is
    /// not valid.
    #[tokio::test]
    async fn each_row_of_flag_definitions() {
        use ProviderEvent::{Ready, Stale};
        let now = Instant::now();
        let told = || ProviderEvent::ConfigurationChanged(keys());
        let bad = || error("bad", false);
        for (from, input, to, events) in [
            ("NOT_READY", Input::Ready(Some(keys())), State::Ready, vec![Ready]),
            ("NOT_READY", Input::Ready(None), State::Ready, vec![Ready]),
            ("NOT_READY", invalid("bad"), State::Error, vec![bad()]),
            ("READY", Input::Ready(Some(keys())), State::Ready, vec![told()]),
            ("READY", Input::Ready(None), State::Ready, vec![]),
            ("READY", invalid("bad"), State::Stale, vec![bad(), Stale]),
            ("STALE", Input::Ready(None), State::Ready, vec![Ready]),
            ("STALE", Input::Ready(Some(keys())), State::Ready, vec![Ready, told()]),
            ("STALE", invalid("bad"), State::Stale, vec![bad()]),
            ("STALE, not valid", Input::Ready(Some(keys())), State::Ready, vec![Ready, told()]),
            ("STALE, not valid", invalid("bad"), State::Stale, vec![]),
            ("STALE, not valid", invalid("worse"), State::Stale, vec![error("worse", false)]),
            ("STALE, not valid", lost(0), State::Stale, vec![]),
            ("STALE, not valid", lost(5), State::Error, vec![error("gone", false)]),
            ("ERROR", Input::Ready(None), State::Ready, vec![Ready]),
            ("ERROR", Input::Ready(Some(keys())), State::Ready, vec![Ready, told()]),
            ("ERROR", invalid("bad"), State::Error, vec![bad()]),
            ("ERROR, not valid", invalid("bad"), State::Error, vec![]),
            ("ERROR, not valid", lost(1), State::Error, vec![]),
            ("ERROR, not valid", Input::Ready(Some(keys())), State::Ready, vec![Ready, told()]),
            ("FATAL", invalid("bad"), State::Fatal, vec![]),
        ] {
            let mut lifecycle = machine(LIMITS, now);
            for step in path(from) {
                lifecycle.step(step, now);
            }
            let row = format!("{from} + {input:?}");
            assert_eq!(lifecycle.step(input, now).events, events, "{row}");
            assert_eq!(lifecycle.state(), to, "{row}");
        }
    }

    #[tokio::test]
    async fn no_grace_period_runs_out_while_the_source_is_there() {
        let now = Instant::now();
        let mut lifecycle = machine(LIMITS, now);
        lifecycle.step(ready(), now);
        lifecycle.step(invalid("bad"), now);
        assert_eq!(lifecycle.deadline(), None);
        let later = now + Duration::from_secs(60);
        lifecycle.step(lost(0), later);
        assert_eq!(lifecycle.deadline(), Some(later + GRACE), "it is gone now");
        lifecycle.step(invalid("bad"), later);
        assert_eq!(lifecycle.deadline(), None, "it is back, and no better");
        assert_eq!(lifecycle.message().as_deref(), Some("bad"));
    }

    #[tokio::test]
    async fn without_a_grace_period_the_loss_of_the_stream_is_an_error() {
        let now = Instant::now();
        let mut lifecycle = machine(Limits { grace: Duration::ZERO, ..LIMITS }, now);
        lifecycle.step(ready(), now);
        let outcome = lifecycle.step(lost(0), now);
        assert_eq!(outcome, Outcome::clear(vec![error("gone", false)]));
        assert_eq!(lifecycle.state(), State::Error);
    }

    #[tokio::test]
    async fn without_a_limit_of_retries_only_the_grace_period_ends_stale() {
        let now = Instant::now();
        let mut lifecycle = machine(Limits { retries: None, ..LIMITS }, now);
        lifecycle.step(ready(), now);
        for failures in [0, 1, 100, u32::MAX] {
            lifecycle.step(lost(failures), now);
            assert_eq!(lifecycle.state(), State::Stale);
        }
    }

    #[tokio::test]
    async fn without_retries_the_first_failed_attempt_is_an_error() {
        let now = Instant::now();
        let mut lifecycle = machine(Limits { retries: Some(0), ..LIMITS }, now);
        lifecycle.step(ready(), now);
        lifecycle.step(lost(0), now);
        assert_eq!(lifecycle.state(), State::Stale);
        lifecycle.step(lost(1), now);
        assert_eq!(lifecycle.state(), State::Error);
    }

    #[tokio::test]
    async fn the_deadline_is_that_of_the_state() {
        let now = Instant::now();
        let mut lifecycle = machine(LIMITS, now);
        assert_eq!(lifecycle.deadline(), Some(now + Duration::from_millis(500)));
        lifecycle.step(ready(), now);
        assert_eq!(lifecycle.deadline(), None);
        lifecycle.step(lost(0), now);
        assert_eq!(lifecycle.deadline(), Some(now + GRACE));
        let later = now + Duration::from_secs(1);
        lifecycle.step(lost(1), later);
        assert_eq!(lifecycle.deadline(), Some(now + GRACE), "a failed attempt gains no time");
        // Providers have been seen in which ERROR came after the recovery.
        lifecycle.step(ready(), later);
        assert_eq!(lifecycle.deadline(), None, "no timer outlives STALE");
        lifecycle.step(lost(0), later);
        assert_eq!(lifecycle.deadline(), Some(later + GRACE), "each loss has its own grace");
        lifecycle.step(Input::Elapsed, later + GRACE);
        assert_eq!(lifecycle.deadline(), None);
    }

    #[tokio::test]
    async fn the_message_is_of_the_latest_failure() {
        let now = Instant::now();
        let mut lifecycle = machine(LIMITS, now);
        assert_eq!(lifecycle.message().as_deref(), Some("too late"));
        lifecycle.step(lost(1), now);
        assert_eq!(lifecycle.message().as_deref(), Some("gone"));
        let other = Input::Lost { message: "other".to_owned(), failures: 2, refused: false };
        lifecycle.step(other, now);
        assert_eq!(lifecycle.message().as_deref(), Some("other"));
        lifecycle.step(ready(), now);
        assert_eq!(lifecycle.message(), None);
        lifecycle.step(lost(0), now);
        assert_eq!(lifecycle.message().as_deref(), Some("gone"));
        let later = Input::Lost { message: "later".to_owned(), failures: 1, refused: false };
        lifecycle.step(later, now);
        assert_eq!(lifecycle.message().as_deref(), Some("later"));
        assert_eq!(lifecycle.step(Input::Elapsed, now).events, [error("later", false)]);
        lifecycle.step(Input::Shutdown, now);
        assert_eq!(lifecycle.message().as_deref(), Some(SHUT_DOWN));
    }

    /// OpenFeature specification 1.7.1 to 1.7.5; the SDK knows no fatal.
    #[test]
    fn the_status_of_the_sdk() {
        for (state, status) in [
            (State::NotReady, ProviderStatus::NotReady),
            (State::Ready, ProviderStatus::Ready),
            (State::Stale, ProviderStatus::STALE),
            (State::Error, ProviderStatus::Error),
            (State::Fatal, ProviderStatus::Error),
        ] {
            assert_eq!(ProviderStatus::from(state), status);
        }
    }
}
