//! Looks facts up: in the mirror, in the cache, or with a request that all evaluations
//! of an identity share.
//!
//! A request runs in a task of its own, so it goes on when the evaluation that needed it
//! has reached its deadline: the next one finds the result. An evaluation waits only for
//! an identity of which nothing is known, and at most for the option `wait`.
//!
//! | known | the last read | an evaluation |
//! |---|---|---|
//! | fresh, or live by the stream | | uses it |
//! | stale | succeeded | uses it, and begins a read |
//! | stale | failed | as in an outage, and a read begins once a pause is over |
//! | nothing | underway, or none | waits for it |
//! | nothing | failed | as in an outage |
//!
//! In an outage, an evaluation uses the last known facts or none, or fails.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    cache::{Begun, Cache, Found},
    fields::{Fields, Typing},
    mirror::Mirror,
};
use crate::{
    context_change::FieldVersions,
    excerpt::chain,
    flagops::{
        client::{ChangesHandle, FactsClient},
        error::FactsError,
    },
};

/// How often an identity is read again because it may have changed before its changes
/// were in the stream. Then its age decides.
const MAX_READS: usize = 3;

/// What an evaluation does while the facts cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outage {
    /// It uses the last known facts, however old, or none.
    #[default]
    LastKnown,
    /// It fails, once the facts are older than [`age`](super::FactsBuilder::age).
    Fail,
}

/// How facts are looked up.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) age: Duration,
    pub(super) wait: Duration,
    pub(super) outage: Outage,
    pub(super) follow: Follow,
    pub(super) typing: Typing,
}

/// What the change stream is used for.
#[derive(Clone, Debug)]
pub(super) enum Follow {
    Nothing,
    Cached,
    /// All identities with this prefix.
    Mirror(String),
}

/// All that is known, and how more is read.
///
/// It is shared by the clones of a source and by the requests that are underway. The task
/// that follows the change stream holds a weak reference.
pub(super) struct Store {
    pub(super) client: FactsClient,
    pub(super) options: Options,
    cache: Mutex<Cache>,
    pub(super) mirror: Mirror,
    /// The state of the mirror, if there is one.
    pub(super) phase: watch::Sender<Phase>,
    pub(super) versions: FieldVersions,
    /// The identities that the change stream follows, if it follows those in the cache.
    pub(super) set: OnceLock<ChangesHandle>,
    /// Why the last request has failed.
    error: Mutex<Option<Arc<FactsError>>>,
    /// Whether the last request has failed, so that one failure is logged and not each.
    is_failing: AtomicBool,
}

/// The state of a mirror.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// It does not have all facts yet. If an attempt has failed, evaluations do not wait.
    Loading { has_failed: bool },
    /// It has all facts, as they were when the stream was lost, if it is.
    Loaded { lost: Option<Instant> },
    /// There is no mirror, or the store has no change stream.
    None,
}

impl Store {
    pub(super) fn new(client: FactsClient, cache: Cache, options: Options) -> Self {
        let phase = match options.follow {
            Follow::Mirror(_) => Phase::Loading { has_failed: false },
            Follow::Nothing | Follow::Cached => Phase::None,
        };
        Self {
            client,
            options,
            cache: Mutex::new(cache),
            mirror: Mirror::default(),
            phase: watch::Sender::new(phase),
            versions: FieldVersions::default(),
            set: OnceLock::new(),
            error: Mutex::new(None),
            is_failing: AtomicBool::new(false),
        }
    }

    /// Until when an evaluation that begins now waits for facts.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.options.wait
    }

    /// Begins to read an identity, which must be valid, if it has to be waited for.
    pub(super) fn begin(self: &Arc<Self>, identity: &str) {
        let is_mirrored = matches!(self.options.follow, Follow::Mirror(_))
            && !matches!(*self.phase.borrow(), Phase::None);
        let is_unknown =
            || matches!(self.cache().look_up(identity, Instant::now()), Found::Nothing);
        if !is_mirrored && is_unknown() {
            self.read(identity);
        }
    }

    /// The fields of an identity, which must be valid. It waits for them no longer than `until`,
    /// if that is given.
    pub(super) async fn fields(
        self: &Arc<Self>,
        identity: &str,
        until: Option<Instant>,
    ) -> Result<Arc<Fields>, Arc<FactsError>> {
        if matches!(self.options.follow, Follow::Mirror(_)) {
            let phase = self.phase.borrow().clone();
            let phase = match phase {
                Phase::Loading { has_failed: false } => self.loaded_in_time(until).await,
                phase => phase,
            };
            match phase {
                Phase::Loading { .. } => return self.outage(None),
                Phase::Loaded { lost } => {
                    let fields = self.mirror.get(identity);
                    let is_old = lost.is_some_and(|since| since.elapsed() >= self.options.age);
                    return if is_old { self.outage(Some(fields)) } else { Ok(fields) };
                }
                Phase::None => {}
            }
        }
        self.cached(identity, until).await
    }

    /// The fields of an identity from the cache, or as soon as they are in it.
    async fn cached(
        self: &Arc<Self>,
        identity: &str,
        until: Option<Instant>,
    ) -> Result<Arc<Fields>, Arc<FactsError>> {
        let mut now = Instant::now();
        let until = until.unwrap_or(now + self.options.wait);
        let may_fail = self.options.outage == Outage::Fail;
        loop {
            let found = self.cache().look_up(identity, now);
            let last_known = match found {
                Found::Fresh(fields) => return Ok(fields),
                Found::Failed(fields) => return self.outage(fields),
                Found::Stale { fields, has_failed } if !(may_fail && has_failed) => {
                    self.read(identity);
                    return Ok(fields);
                }
                Found::Stale { fields, .. } => Some(fields),
                Found::Nothing => None,
            };
            // The sender is dropped when the read has ended.
            let mut ended = self.read(identity);
            if timeout_at(until, ended.changed()).await.is_err() {
                self.cache().missed(identity);
                self.failed(&Arc::new(FactsError::Late(self.options.wait)));
                return self.outage(last_known);
            }
            now = Instant::now();
        }
    }

    /// What an evaluation uses while facts cannot be read.
    fn outage(&self, last_known: Option<Arc<Fields>>) -> Result<Arc<Fields>, Arc<FactsError>> {
        if self.options.outage == Outage::LastKnown {
            return Ok(last_known.unwrap_or_default());
        }
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(error.unwrap_or_else(|| Arc::new(FactsError::Late(self.options.wait))))
    }

    /// Begins to read an identity, unless that is underway, and returns what is closed
    /// when it has ended.
    pub(super) fn read(self: &Arc<Self>, identity: &str) -> watch::Receiver<()> {
        let Begun { ended, is_new, evicted } = self.cache().begin(identity);
        let set = self.set.get();
        if let (Some(set), Some(evicted)) = (set, &evicted) {
            set.remove(evicted);
        }
        if is_new {
            // The identity was checked before.
            let _ = set.map(|set| set.add(identity));
            let (store, identity) = (Arc::clone(self), identity.to_owned());
            let reading = Reading { store, identity, is_underway: true };
            // Without a runtime the read has failed at once.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(reading.run());
            }
        }
        ended
    }

    /// Waits for the mirror, as long as an evaluation may wait.
    async fn loaded_in_time(&self, until: Option<Instant>) -> Phase {
        let until = until.unwrap_or_else(|| self.until());
        // The sender lives as long as this future.
        let _ = timeout_at(until, self.ready()).await;
        self.phase.borrow().clone()
    }

    /// Waits until the mirror has all facts.
    pub(super) async fn ready(&self) {
        let mut phase = self.phase.subscribe();
        let _ = phase.wait_for(|phase| !matches!(phase, Phase::Loading { .. })).await;
    }

    /// Notes the failure of a request, and logs the first of them.
    pub(super) fn failed(&self, error: &Arc<FactsError>) {
        let error_text = chain(&**error);
        let store = self.client.name();
        if self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::debug!(store, error = error_text, "facts are unavailable");
        } else {
            tracing::warn!(store, error = error_text, "facts are unavailable");
        }
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(error));
    }

    /// Notes that a request has succeeded.
    pub(super) fn succeeded(&self) {
        if self.is_failing.load(Ordering::Relaxed) && self.is_failing.swap(false, Ordering::Relaxed)
        {
            tracing::info!(store = self.client.name(), "facts are available again");
        }
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The read of one identity. It ends in the cache, also if its task is aborted.
struct Reading {
    store: Arc<Store>,
    identity: String,
    /// Whether the cache waits for its end.
    is_underway: bool,
}

impl Reading {
    async fn run(mut self) {
        for attempt in 1..=MAX_READS {
            let read = self.store.client.facts(&self.identity).await;
            let now = Instant::now();
            self.is_underway = false;
            let found = match read {
                Ok(found) => found,
                Err(error) => {
                    let is_down = error.is_temporary()
                        || matches!(error, FactsError::Unauthorized(_) | FactsError::Setup(_));
                    self.store.failed(&Arc::new(error));
                    self.store.cache().fail(&self.identity, is_down, now);
                    return;
                }
            };
            self.store.succeeded();
            let finished =
                self.store.cache().finish(&self.identity, &found.facts, found.sequence, now);
            self.store.versions.changed(finished.changed);
            let again = finished.again && attempt < MAX_READS;
            if !again || !self.store.cache().begin(&self.identity).is_new {
                return;
            }
            self.is_underway = true;
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.is_underway {
            self.store.cache().fail(&self.identity, false, Instant::now());
        }
    }
}
