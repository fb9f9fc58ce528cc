//! What all requests share.

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
    time::{Instant, sleep, timeout_at},
};
use tonic::Status;

use super::{context::Additions, cors::Cors, metrics::Metrics, store::Store};
use crate::{
    context_source::{ContextSource, Subject},
    evaluator::Context,
    excerpt::chain,
    server::store::selector::{self, InvalidSelector, Selector},
};

/// How long clients wait for sources that give nothing at the start.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which sources have not given a definition yet, be it one that was refused.
#[derive(Debug)]
pub(crate) struct Awaited {
    sources: watch::Sender<Vec<usize>>,
    until: Instant,
}

impl Awaited {
    /// Waits for so many sources from now on.
    pub(crate) fn new(sources: usize) -> Self {
        let sources = watch::Sender::new((0..sources).collect());
        Self { sources, until: Instant::now() + PATIENCE }
    }

    /// A source has given a definition.
    pub(crate) fn given(&self, source: usize) {
        self.sources.send_if_modified(|awaited| {
            let before = awaited.len();
            awaited.retain(|other| *other != source);
            awaited.len() < before
        });
    }

    /// Returns when each source has given a definition, or was waited for long enough: one that is
    /// broken must not keep the flags of others from everybody.
    pub(crate) async fn over(&self) {
        let mut sources = self.sources.subscribe();
        let _ = timeout_at(self.until, sources.wait_for(Vec::is_empty)).await;
    }
}

/// The state of a server, and its options.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) awaited: Awaited,
    /// Whether the flags were loaded: from then on, requests are answered at once.
    pub(crate) opened: AtomicBool,
    pub(crate) metrics: Metrics,
    pub(crate) additions: Additions,
    pub(crate) context_source: Option<Arc<dyn ContextSource>>,
    pub(crate) cors: Cors,
    /// What a client without a selector sees.
    pub(crate) default_selector: Selector,
    /// How long the body of a request may be, in bytes.
    pub(crate) max_body: usize,
    /// How long streams live.
    pub(crate) stream_deadline: Option<Duration>,
    /// Whether `GetMetadata` of the sync protocol answers.
    pub(crate) sync_metadata: bool,
    /// Whether the server shuts down.
    pub(crate) stopping: watch::Sender<bool>,
}

/// What a context source holds may be secret and stays hidden.
impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Core {
    /// Whether the flags are loaded, and requests will be answered for a while yet.
    pub(crate) fn is_ready(&self) -> bool {
        self.store.snapshot().is_loaded() && !*self.stopping.borrow()
    }

    /// Returns when there are flags to tell clients of: when every source was waited for, and one at
    /// least has flags. To tell of none would look as if all were deleted.
    pub(crate) async fn flags_loaded(&self) {
        let mut versions = self.store.watch();
        self.awaited.over().await;
        // The sender lives as long as this future.
        let _ = versions.wait_for(|_| self.open()).await;
    }

    /// Returns when a unary request can be answered, at once where the flags are loaded. Before, it
    /// waits for the sources, and for no longer than `patience` says that the client waits.
    ///
    /// # Errors
    ///
    /// When there are no flags even so: an answer would say that they do not exist.
    pub(crate) async fn answerable(
        &self,
        patience: impl FnOnce() -> Option<Duration>,
    ) -> Result<(), Status> {
        // Seen by whoever sees the flags that it was set for.
        if self.opened.load(Ordering::Acquire) {
            return Ok(());
        }
        // In a box: the futures of all later requests need no room for it.
        Box::pin(self.opening(patience())).await
    }

    async fn opening(&self, patience: Option<Duration>) -> Result<(), Status> {
        let impatient = async {
            match patience {
                Some(patience) => sleep(patience).await,
                None => pending().await,
            }
        };
        let message = tokio::select! {
            // A request that was begun before a shutdown is answered where that takes no time.
            biased;
            () = self.awaited.over() => {
                if self.open() {
                    return Ok(());
                }
                "no source has provided flags yet: try again"
            }
            () = self.stopped() => "the server is shutting down",
            () = impatient => "the flags are not loaded yet: try again",
        };
        Err(Status::unavailable(message))
    }

    /// The selector of a request, by its header, or by `text` where there is none.
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
            selector => selector,
        })
    }

    /// The fields of the context source for a request, if there is a source.
    ///
    /// # Errors
    ///
    /// When the source fails: without its fields, a rule might choose another variant.
    pub(crate) async fn fields(
        &self,
        context: &(dyn Context + Sync),
    ) -> Result<Option<Arc<Map<String, Value>>>, Status> {
        let Some(source) = &self.context_source else { return Ok(None) };
        let fields = source.fields(Subject::of_request(context)).await;
        fields.map(Some).map_err(|error| {
            let (name, error) = (source.name(), chain(&*error));
            tracing::debug!(source = name, error, "a context source failed");
            Status::unavailable("the fields of the evaluation context are unavailable: try again")
        })
    }

    /// Opens the server to requests where there are flags. It stays open when they are deleted.
    fn open(&self) -> bool {
        let opens = self.opened.load(Ordering::Acquire) || self.store.snapshot().has_answers();
        if opens {
            self.opened.store(true, Ordering::Release);
        }
        opens
    }

    /// Returns once the server shuts down.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as this future.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}
