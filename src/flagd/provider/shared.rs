//! What the handles of a provider and its one task share.
//!
//! Evaluations read from here and the task writes here. There is no channel
//! between them: the task is woken by two [`Notify`], and evaluations never wait
//! for it.
//!
//! State and events change together under one lock, so that a new subscriber
//! never misses an event between the state that it starts with and the events
//! that follow. The order of a change is fixed (see [`Shared::publish`]): cache,
//! state, events. Whoever receives an event therefore finds the state and the
//! cache that belong to it.
//!
//! Locks are held for a few assignments and never across an await. A poisoned
//! one is used all the same, because no assignment leaves a broken state.

use std::{
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Notify, broadcast, watch},
    time::Instant,
};

use super::{
    cache::Cache,
    events::{BACKLOG, Events},
    lifecycle::{CacheAction, Outcome, SHUT_DOWN, State},
    snapshot::Snapshot,
};
use crate::{
    context_change::{ChangedFields, ContextChange},
    context_source::ContextSource,
    excerpt::excerpt,
    flagd::{
        client::{
            channel::Connection,
            circuit_breaker::{CallOutcome, CircuitBreaker},
            retry::Outlook,
        },
        event::{ChangedFlags, ProviderEvent},
        options::table::FlagdOptions,
    },
};

/// How long after the loss of the event stream a call still waits for a new
/// connection: about as long as a restart of flagd takes, or its replacement by
/// a replica.
const RESTART: Duration = Duration::from_secs(1);

/// The shared part of a provider. It outlives the task, which may be started
/// again after a shutdown.
pub(crate) struct Shared {
    /// The options that the provider was created with. They never change.
    pub(crate) options: FlagdOptions,
    /// The source of additional context fields, if the program has set one.
    pub(crate) context_source: Option<Arc<dyn ContextSource>>,
    /// Results of the resolver `rpc`; unused with the others.
    pub(crate) cache: Cache,
    /// Decides which calls are made while flagd does not respond.
    pub(crate) breaker: CircuitBreaker,
    /// Notified when the circuit breaker opens, so that the task opens the event
    /// stream again.
    pub(crate) tripped: Notify,
    /// Notified when flagd has responded to a call in ERROR, so that the task
    /// does not wait for its whole delay before the next attempt.
    pub(crate) reachable: Notify,
    /// How often the event stream or the source was lost and came back.
    pub(crate) reconnections: AtomicU64,
    /// The state that evaluations, probes and subscribers see.
    snapshot: watch::Sender<Snapshot>,
    /// The subscribers. Locked while state and events change together. A shutdown
    /// replaces the sender, which ends the subscriptions.
    events: Mutex<broadcast::Sender<ProviderEvent>>,
    /// The connection that the next call uses; `None` before the first attempt,
    /// after a shutdown, and with the other resolvers.
    connection: RwLock<Option<Arc<Connection>>>,
}

/// A call in progress, whose outcome the circuit breaker must learn.
///
/// It is reported by [`end`](Self::end), or on drop if the caller drops the call
/// before it ends. Otherwise a program that puts a timeout shorter than
/// `deadlineMs` around its evaluations would hide that flagd hangs.
pub(crate) struct Underway<'a> {
    shared: &'a Shared,
    begun: Instant,
    /// Whether the outcome was reported.
    ended: bool,
}

impl<'a> Underway<'a> {
    /// Begins a call now.
    pub(crate) fn begin(shared: &'a Shared) -> Self {
        Self { shared, begun: Instant::now(), ended: false }
    }

    /// Reports the outcome of a call that has ended.
    pub(crate) fn end(mut self, outcome: CallOutcome) {
        self.ended = true;
        self.shared.note_call(outcome, self.begun);
    }
}

impl Drop for Underway<'_> {
    /// Counts a call that was dropped as one without a response, if it has waited
    /// long enough to say anything about flagd.
    fn drop(&mut self) {
        if !self.ended && self.shared.breaker.is_long(self.begun.elapsed()) {
            self.shared.note_call(CallOutcome::Unanswered, self.begun);
        }
    }
}

impl Shared {
    /// The state of a provider that is not initialized.
    pub(crate) fn new(
        options: FlagdOptions,
        context_source: Option<Arc<dyn ContextSource>>,
    ) -> Self {
        let snapshot = Snapshot {
            state: State::NotReady,
            since: SystemTime::now(),
            message: Some("the provider is not initialized".into()),
            initializing: false,
        };
        Self {
            cache: Cache::new(options.cache_capacity()),
            breaker: CircuitBreaker::new(options.max_unanswered_calls(), options.deadline()),
            tripped: Notify::new(),
            options,
            context_source,
            reachable: Notify::new(),
            reconnections: AtomicU64::new(0),
            snapshot: watch::Sender::new(snapshot),
            events: Mutex::new(broadcast::Sender::new(BACKLOG)),
            connection: RwLock::default(),
        }
    }

    /// The state at this moment. The message is shared rather than copied.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot.borrow().clone()
    }

    /// Follows the state, for those who wait for one.
    pub(crate) fn watch(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.subscribe()
    }

    /// The connection in use. A call keeps the one that it started with, even if
    /// it is replaced in the meantime.
    pub(crate) fn connection(&self) -> Option<Arc<Connection>> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the connection for later calls.
    pub(crate) fn set_connection(&self, connection: Option<Arc<Connection>>) {
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// How likely it is that a repeated call succeeds; see "Lost calls and
    /// connections" in `docs/lifecycle.md`.
    pub(crate) fn outlook(&self) -> Outlook {
        let snapshot = self.snapshot.borrow();
        let is_recent = || snapshot.since.elapsed().is_ok_and(|elapsed| elapsed < RESTART);
        match snapshot.state {
            State::Ready => Outlook::Good,
            State::Stale if is_recent() => Outlook::Good,
            State::Stale => Outlook::Doubtful,
            State::Error if !self.breaker.is_unreachable() => Outlook::Doubtful,
            State::NotReady | State::Error | State::Fatal => Outlook::Bad,
        }
    }

    /// Subscribes, beginning with the event that matches the current state. The
    /// lock makes the state and the position in the events belong together.
    pub(crate) fn events(&self) -> Events {
        let sender = self.lock_events();
        Events::new(self.snapshot.subscribe(), sender.subscribe())
    }

    /// Begins an initialization, possibly after a shutdown. The next
    /// [`publish`](Self::publish) ends it, and so lets [`start`] return.
    ///
    /// [`start`]: super::FlagdProvider::start
    pub(crate) fn begin(&self) {
        let message = Some("the provider is being initialized".into());
        self.publish(State::NotReady, message, Outcome::clear(Vec::new()));
        self.breaker.reset();
        self.snapshot.send_modify(|snapshot| snapshot.initializing = true);
    }

    /// Applies an outcome: the cache first, then the state, then the events.
    ///
    /// The cache comes first so that a program that evaluates a flag when it
    /// receives the event gets the new value.
    pub(crate) fn publish(&self, state: State, message: Option<Arc<str>>, outcome: Outcome) {
        let dropped = match &outcome.cache {
            CacheAction::Keep => None,
            CacheAction::Drop(flags) => Some(flags),
        };
        self.cache.update(dropped, state == State::Ready);
        let sender = self.lock_events();
        self.snapshot.send_modify(|snapshot| {
            if snapshot.state != state {
                snapshot.since = SystemTime::now();
            }
            snapshot.state = state;
            snapshot.message = message;
            snapshot.initializing = false;
        });
        for event in outcome.events {
            let _ = sender.send(event); // fails if there are no subscribers
        }
    }

    /// Emits an event whenever fields of the context source change, for the flags that
    /// `readers` returns. It never returns; the task runs it beside its supervisor.
    ///
    /// It does so in every state in which flags are evaluated. A change before the
    /// first evaluation changes nothing for anybody.
    pub(crate) async fn follow_context<F: Future<Output = ChangedFlags>>(
        &self,
        readers: impl Fn(ChangedFields) -> F,
    ) {
        let Some(source) = &self.context_source else { return pending().await };
        let mut seen = 0;
        loop {
            let ContextChange { version, fields } = source.changed(seen).await;
            seen = version;
            let flags = readers(fields).await;
            let sender = self.lock_events();
            let evaluates = !matches!(self.snapshot.borrow().state, State::NotReady | State::Fatal);
            if evaluates && !flags.is_empty() {
                let name = &*excerpt(source.name());
                tracing::debug!(source = name, "fields of a context source changed");
                // The cache stays: what is in it does not depend on the context.
                let _ = sender.send(ProviderEvent::ConfigurationChanged(flags));
            }
        }
    }

    /// Enters ERROR without the lifecycle, because there is no task to run it.
    /// The provider does not recover by itself, but can be initialized again.
    pub(crate) fn fail(&self, message: &str) {
        tracing::debug!(error.message = message);
        self.set_connection(None);
        let event = ProviderEvent::Error { message: message.to_owned(), fatal: false };
        self.publish(State::Error, Some(message.into()), Outcome::clear(vec![event]));
    }

    /// Reports the outcome of a call that began at `begun` to the circuit
    /// breaker, and wakes the task if that changes what it should do.
    fn note_call(&self, outcome: CallOutcome, begun: Instant) {
        if self.breaker.note(outcome, begun, Instant::now) {
            self.tripped.notify_waiters();
        }
        if outcome == CallOutcome::Answered && self.snapshot.borrow().state == State::Error {
            self.reachable.notify_waiters();
        }
    }

    /// Publishes the shutdown and ends all subscriptions; later ones belong to
    /// the next initialization.
    ///
    /// The task has usually published the state already, but not if it had ended
    /// before, because it was fatal or because its runtime ended.
    pub(crate) fn end(&self) {
        self.publish(State::NotReady, Some(SHUT_DOWN.into()), Outcome::clear(Vec::new()));
        *self.lock_events() = broadcast::Sender::new(BACKLOG);
    }

    /// Counts a reconnection, for [`Stats`](super::Stats).
    pub(crate) fn count_reconnection(&self) {
        self.reconnections.fetch_add(1, Ordering::Relaxed);
    }

    /// Locks state and events against other changes.
    fn lock_events(&self) -> MutexGuard<'_, broadcast::Sender<ProviderEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
