//! What the handles of a provider and its one task share.

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
    context_source::ContextSource,
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

/// How long a restart of flagd takes, or its replacement by a replica.
const RESTART: Duration = Duration::from_secs(1);

pub(crate) struct Shared {
    pub(crate) options: FlagdOptions,
    pub(crate) context_source: Option<Arc<dyn ContextSource>>,
    pub(crate) cache: Cache,
    pub(crate) breaker: CircuitBreaker,
    /// Rung when the circuit breaker opens: the event stream is to be opened anew.
    pub(crate) tripped: Notify,
    /// Rung when flagd has answered a call although there is no stream.
    pub(crate) reachable: Notify,
    pub(crate) reconnections: AtomicU64,
    snapshot: watch::Sender<Snapshot>,
    /// Locked while state and events change together.
    events: Mutex<broadcast::Sender<ProviderEvent>>,
    connection: RwLock<Option<Arc<Connection>>>,
}

/// A call that is being made: noted when it ends, and also when its caller gives it up before.
pub(crate) struct Underway<'a> {
    shared: &'a Shared,
    begun: Instant,
    ended: bool,
}

impl<'a> Underway<'a> {
    /// The call begins now.
    pub(crate) fn begin(shared: &'a Shared) -> Self {
        Self { shared, begun: Instant::now(), ended: false }
    }

    pub(crate) fn end(mut self, outcome: CallOutcome) {
        self.ended = true;
        self.shared.note_call(outcome, self.begun);
    }
}

impl Drop for Underway<'_> {
    /// A caller with a timeout shorter than the deadline must not hide that flagd hangs.
    fn drop(&mut self) {
        if !self.ended && self.shared.breaker.is_long(self.begun.elapsed()) {
            self.shared.note_call(CallOutcome::Unanswered, self.begun);
        }
    }
}

impl Shared {
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

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.subscribe()
    }

    pub(crate) fn connection(&self) -> Option<Arc<Connection>> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_connection(&self, connection: Option<Arc<Connection>>) {
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// What a call that found no connection, or lost it, may hope for.
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

    /// Subscribes, beginning with the event that matches the current state.
    pub(crate) fn events(&self) -> Events {
        let sender = self.lock_events();
        Events::new(self.snapshot.subscribe(), sender.subscribe())
    }

    /// Initialization begins, perhaps anew. The next [`publish`](Self::publish) ends it.
    pub(crate) fn begin(&self) {
        let message = Some("the provider is being initialized".into());
        self.publish(State::NotReady, message, Outcome::clear(Vec::new()));
        self.breaker.reset();
        self.snapshot.send_modify(|snapshot| snapshot.initializing = true);
    }

    /// Acts on what follows from an input: the cache first, then the state, then the events.
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
            let _ = sender.send(event); // nobody need listen
        }
    }

    /// Emits an event whenever the fields of the context source change. It never ends.
    pub(crate) async fn follow_context(&self) {
        let Some(source) = &self.context_source else { return pending().await };
        let mut seen = 0;
        loop {
            seen = source.changed(seen).await;
            let sender = self.lock_events();
            if matches!(self.snapshot.borrow().state, State::Ready | State::Stale) {
                tracing::debug!(source = source.name(), "the fields of a context source changed");
                // The cache stays: what is in it does not depend on the context.
                let _ = sender.send(ProviderEvent::ConfigurationChanged(ChangedFlags::All));
            }
        }
    }

    /// The provider cannot go on by itself, but initialization may be tried again.
    pub(crate) fn fail(&self, message: &str) {
        tracing::debug!(error.message = message);
        self.set_connection(None);
        let event = ProviderEvent::Error { message: message.to_owned(), fatal: false };
        self.publish(State::Error, Some(message.into()), Outcome::clear(vec![event]));
    }

    /// Notes what became of a call that began at `begun`.
    fn note_call(&self, outcome: CallOutcome, begun: Instant) {
        if self.breaker.note(outcome, begun, Instant::now) {
            self.tripped.notify_waiters();
        }
        if outcome == CallOutcome::Answered && self.snapshot.borrow().state == State::Error {
            self.reachable.notify_waiters();
        }
    }

    /// The provider is shut down. Its task may have ended before, fatal or with its runtime.
    /// Subscriptions end; later ones are of the next initialization.
    pub(crate) fn end(&self) {
        self.publish(State::NotReady, Some(SHUT_DOWN.into()), Outcome::clear(Vec::new()));
        *self.lock_events() = broadcast::Sender::new(BACKLOG);
    }

    pub(crate) fn count_reconnection(&self) {
        self.reconnections.fetch_add(1, Ordering::Relaxed);
    }

    fn lock_events(&self) -> MutexGuard<'_, broadcast::Sender<ProviderEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
