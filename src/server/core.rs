//! What all requests share: the store, the options, and whether the flags are
//! loaded.
//!
//! A request passes through the modules of the server in one direction:
//!
//! ```text
//! connection -> evaluation | sync | ofrep | management
//!            -> core      wait for the flags, find the selector, add context fields
//!            -> store     a snapshot of the flags
//!            -> protocol  gRPC, Connect or JSON
//! ```
//!
//! An update goes the other way: a feed, or the program itself, puts flags into
//! the store, the store publishes a snapshot and wakes the streams, and each
//! stream works out what its client has to receive.
//!
//! # Opening
//!
//! A server that has just started has no flags, and must not say so: a client
//! would take its flags for deleted. So every request waits until the server
//! *opens*, which happens once and is never undone:
//!
//! ```text
//! start ---- every source has delivered a definition, or 5 s have passed
//!       |    and a source has flags, or all say that they have none
//!       '--> open: requests are evaluated at once, whatever happens later
//! ```
//!
//! Being open is less than being ready (`/readyz`), for which every source must
//! have delivered a *valid* definition. docs/server.md says so under "Startup
//! and shutdown".

use std::{
    fmt,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use serde_json::{Map, Value};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tonic::Status;

use super::{
    context::{Merged, StaticContext},
    cors::Cors,
    metrics::Metrics,
    observer::{Observer, Subscription},
    store::Store,
};
use crate::{
    context_source::{ContextSource, Subject},
    excerpt::chain,
    server::store::selector::{self, InvalidSelector, Selector},
};

/// How long a context source may take for a request.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long clients wait at the start for sources that deliver nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The sources that have not delivered a definition yet, valid or not.
#[derive(Debug)]
pub(crate) struct Awaited {
    /// The places in the store of the sources that are still awaited.
    sources: watch::Sender<Vec<usize>>,
    /// When nobody waits for them any longer.
    until: Instant,
}

impl Awaited {
    /// Starts to wait for this number of sources, for [`PATIENCE`] from now on.
    pub(crate) fn new(sources: usize) -> Self {
        let sources = watch::Sender::new((0..sources).collect());
        Self { sources, until: Instant::now() + PATIENCE }
    }

    /// Notes that a source has delivered a definition. Later ones change nothing.
    pub(crate) fn given(&self, source: usize) {
        self.sources.send_if_modified(|awaited| {
            let before = awaited.len();
            awaited.retain(|other| *other != source);
            awaited.len() < before
        });
    }

    /// Returns when every source has delivered a definition, or the wait has
    /// taken long enough: a broken source must not keep the flags of the others
    /// from clients.
    pub(crate) async fn over(&self) {
        let mut sources = self.sources.subscribe();
        let _ = timeout_at(self.until, sources.wait_for(Vec::is_empty)).await;
    }
}

/// The state of a server, and the options that requests need.
///
/// It is shared by every connection, stream and feed. It holds no listener and
/// no task, so that none of its users keeps the server running.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) awaited: Awaited,
    /// Whether the server has opened, as the module describes. Never reset.
    pub(crate) opened: AtomicBool,
    pub(crate) metrics: Metrics,
    /// The context fields from options and headers.
    pub(crate) static_context: StaticContext,
    /// Called for each request that evaluates flags.
    pub(crate) context_source: Option<Arc<dyn ContextSource>>,
    /// Is notified of evaluations and streams.
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) cors: Cors,
    /// What a client without a selector sees.
    pub(crate) default_selector: Selector,
    /// Whether the id of a flag set in a selector is read in lower case.
    pub(crate) lowercase_flag_sets: bool,
    /// The largest body of a request, in bytes.
    pub(crate) max_body: usize,
    /// How long streams live; none without a limit.
    pub(crate) stream_deadline: Option<Duration>,
    /// Whether the sync service has `GetMetadata`.
    pub(crate) sync_metadata: bool,
    /// Whether the server is shutting down. Once true, it stays true.
    pub(crate) stopping: watch::Sender<bool>,
}

/// Shows the store alone: what a context source holds may be secret.
impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Core {
    /// Whether every source has delivered valid flags and the server is not
    /// shutting down, which is what `/readyz` and gRPC health report.
    pub(crate) fn is_ready(&self) -> bool {
        self.store.snapshot().is_loaded() && !*self.stopping.borrow()
    }

    /// Returns when a stream can send its first message: when the wait for the
    /// sources is over, and the server can open.
    ///
    /// This may take forever. A stream has time; without flags, its first
    /// message would look as if all flags were deleted.
    pub(crate) async fn flags_loaded(&self) {
        let mut versions = self.store.watch();
        self.awaited.over().await;
        // The sender lives as long as this future.
        let _ = versions.wait_for(|_| self.open()).await;
    }

    /// Returns when a unary request can be evaluated: immediately, if the server
    /// has opened.
    ///
    /// Until then it waits for the sources, but not longer than the client does.
    /// `client_timeout` is called only then, because it parses a header.
    ///
    /// # Errors
    ///
    /// Returns `UNAVAILABLE` if there are still no flags. A result would say that
    /// the flags do not exist.
    pub(crate) async fn ready_to_evaluate(
        &self,
        client_timeout: impl FnOnce() -> Option<Duration>,
    ) -> Result<(), Status> {
        // Acquire, with the Release in `open`: whoever sees the mark sees the flags too.
        if self.opened.load(Ordering::Acquire) {
            return Ok(());
        }
        // In a box, so that the futures of all later requests need no room for it.
        Box::pin(self.opening(client_timeout())).await
    }

    /// Waits for the first of three: the sources, a shutdown, the client's
    /// deadline.
    async fn opening(&self, client_timeout: Option<Duration>) -> Result<(), Status> {
        let client_timeout = async {
            match client_timeout {
                Some(timeout) => sleep(timeout).await,
                None => pending().await,
            }
        };
        let message = tokio::select! {
            // Biased, so that a request during a shutdown is still served if the flags are there.
            biased;
            () = self.awaited.over() => {
                if self.open() {
                    return Ok(());
                }
                "no source has provided flags yet: try again"
            }
            () = self.stopped() => "the server is shutting down",
            () = client_timeout => "the flags are not loaded yet: try again",
        };
        Err(Status::unavailable(message))
    }

    /// The selector of a request: that of its header, or without the header that
    /// of `text`, a field of the message in the sync protocol.
    ///
    /// An empty selector is replaced by the default one. An empty header counts,
    /// and hides `text`.
    ///
    /// # Errors
    ///
    /// Returns an error if the selector is by something other than flag set or
    /// source.
    pub(crate) fn selector(
        &self,
        headers: &HeaderMap,
        text: &str,
    ) -> Result<Selector, InvalidSelector> {
        let selector = match headers.get(selector::HEADER) {
            None => Selector::parse(text)?,
            Some(header) => Selector::parse(&String::from_utf8_lossy(header.as_bytes()))?,
        };
        Ok(match selector {
            Selector::All => self.default_selector.clone(),
            Selector::FlagSet(id) if self.lowercase_flag_sets => {
                Selector::FlagSet(id.map(|id| id.to_lowercase()))
            }
            selector => selector,
        })
    }

    /// Reports that a client follows the flags of a selector, until the result is dropped.
    pub(crate) fn subscribed<'s>(&self, selector: &'s Selector) -> Option<Subscription<'s>> {
        self.observer.clone().map(|observer| Subscription::new(observer, selector))
    }

    /// The fields of the context source for a request, if there is a source. It sees
    /// the client's fields and those that the server adds.
    ///
    /// # Errors
    ///
    /// Returns `UNAVAILABLE` if the source fails or takes too long: without its fields, a rule might
    /// choose another variant. The cause is logged and not sent, because it may
    /// hold what clients must not see.
    pub(crate) async fn fields(
        &self,
        context: &Merged<'_>,
    ) -> Result<Option<Arc<Map<String, Value>>>, Status> {
        let Some(source) = &self.context_source else { return Ok(None) };
        let failed = |error: String| {
            tracing::debug!(source = source.name(), error, "a context source failed");
            Status::unavailable("the fields of the evaluation context are unavailable: try again")
        };
        match timeout(SOURCE_TIMEOUT, source.fields(Subject::of_request(context))).await {
            Ok(fields) => fields.map(Some).map_err(|error| failed(chain(&*error))),
            Err(_) => Err(failed(format!("no response within {SOURCE_TIMEOUT:?}"))),
        }
    }

    /// Opens the server if there are flags, and returns whether it is open. It
    /// stays open when all flags are deleted later.
    fn open(&self) -> bool {
        let opens = self.opened.load(Ordering::Acquire) || self.store.snapshot().has_answers();
        if opens {
            self.opened.store(true, Ordering::Release);
        }
        opens
    }

    /// Returns once the server is shutting down; immediately, if it already is.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as this future.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}
