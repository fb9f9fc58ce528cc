//! [`FlagdProvider`]: what the SDK and the program see; a cheap handle to what is shared.

pub(crate) mod cache;
mod call;
mod driver;
mod evaluate;
pub(crate) mod events;
pub(crate) mod lifecycle;
#[cfg(feature = "in-process")]
mod local;
mod sdk;
mod shared;
mod snapshot;
mod supervisor;
mod telemetry;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use open_feature::{EvaluationContext, EvaluationResult, provider::ResolutionDetails};
use serde_json::{Map, Value as Json};
use tokio::{
    sync::{Mutex, oneshot},
    task::JoinHandle,
};

#[cfg(feature = "in-process")]
use self::local::rules::Local;
use self::{events::Events, lifecycle::State, shared::Shared, snapshot::Snapshot};
use super::error::FlagdError;
#[cfg(feature = "in-process")]
use crate::flagd::options::kind::Resolver;
#[cfg(feature = "in-process")]
use crate::source::FlagSource;
use crate::{context_source::ContextSource, flagd::options::table::FlagdOptions};

/// An OpenFeature provider that evaluates flags in flagd, or in this process by the flag definitions
/// of flagd, of a file, or of a [source](crate::source) of one's own.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use flagstaff::{FlagdOptions, FlagdProvider};
/// use open_feature::OpenFeature;
///
/// let provider = FlagdProvider::new(FlagdOptions::builder().host("flags.internal").tls(true).build()?);
/// let mut events = provider.events();
/// OpenFeature::singleton_mut().await.set_provider(provider).await;
///
/// let client = OpenFeature::singleton().await.create_client();
/// let on = client.get_bool_value("new-checkout", None, None).await.unwrap_or(false);
/// # Ok(()) }
/// ```
///
/// It is a handle: clones share one connection, one cache and one background task. The SDK takes
/// one; keep another to read [`state`](Self::state) and [`stats`](Self::stats), or to
/// [`shutdown`](Self::shutdown). When the last is dropped, the task and the connection end.
///
/// A flag that is an object is a `StructValue` of the SDK, which has no null: a field that is null is
/// left out, a list that holds null is an error, and [`resolve_json`](Self::resolve_json) gives both
/// as they are. Numbers within an object are floats.
///
/// `new` does nothing but keep the options. The SDK initializes the provider when it is set; that
/// takes no longer than the option `deadlineMs`, whether flagd is there or not. A flagd that comes
/// up later is picked up without a restart.
#[derive(Clone)]
pub struct FlagdProvider {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    /// Evaluation in this process, in place of calls.
    #[cfg(feature = "in-process")]
    local: Option<Arc<Local>>,
    /// Dropped with the handle, which ends the task. Locked until a shutdown is over, lest the end
    /// of one task undo the beginning of the next.
    running: Mutex<Option<Running>>,
}

struct Running {
    /// None once the task was told to end.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// What the provider has done, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Evaluations that the cache answered.
    pub cache_hits: u64,
    /// Evaluations that it did not, while there is one.
    pub cache_misses: u64,
    /// Results in the cache.
    pub cache_entries: usize,
    /// Results dropped because a flag changed or the connection was lost; not those that gave way
    /// to others.
    pub cache_invalidations: u64,
    /// How often an event stream was opened anew because the former one was gone, or a source of flag
    /// definitions came back.
    pub reconnections: u64,
    /// The state of the provider.
    pub state: State,
    /// Since when it is in that state.
    pub state_since: SystemTime,
}

impl FlagdProvider {
    /// Keeps the options. No I/O, no task; no runtime is needed.
    #[must_use]
    pub fn new(options: FlagdOptions) -> Self {
        #[cfg(feature = "in-process")]
        let local = Local::of_options(&options);
        Self {
            handle: Arc::new(Handle {
                shared: Arc::new(Shared::new(options, None)),
                #[cfg(feature = "in-process")]
                local,
                running: Mutex::default(),
            }),
        }
    }

    /// A provider that evaluates in this process by the flag definitions of a source of one's own:
    /// a database, an HTTP endpoint. Of the options, those about flagd and about files have no
    /// effect, and [`resolver`](FlagdOptions::resolver) becomes `in-process`.
    ///
    /// The source is pulled from initialization to shutdown, by one task. Initialized anew, the
    /// provider goes on with the same source.
    ///
    /// ```no_run
    /// use flagstaff::{
    ///     FlagdOptions, FlagdProvider, async_trait,
    ///     source::{Definition, FlagSource, SourceError},
    /// };
    ///
    /// /// One definition, for ever.
    /// struct Fixed(Option<Definition>);
    ///
    /// #[async_trait]
    /// impl FlagSource for Fixed {
    ///     fn name(&self) -> &str {
    ///         "fixed"
    ///     }
    ///
    ///     async fn next(&mut self) -> Result<Definition, SourceError> {
    ///         match self.0.take() {
    ///             Some(definition) => Ok(definition),
    ///             None => std::future::pending().await,
    ///         }
    ///     }
    /// }
    ///
    /// let flags = Definition::json(r#"{"flags": {}}"#);
    /// let options = FlagdOptions::builder().build()?;
    /// let provider = FlagdProvider::with_source(options, Fixed(Some(flags)));
    /// # Ok::<(), flagstaff::FlagdError>(())
    /// ```
    #[cfg(feature = "in-process")]
    #[must_use]
    pub fn with_source(options: FlagdOptions, source: impl FlagSource) -> Self {
        let options = options.with_resolver(Resolver::InProcess);
        Self {
            handle: Arc::new(Handle {
                shared: Arc::new(Shared::new(options, None)),
                local: Some(Local::of_source(source)),
                running: Mutex::default(),
            }),
        }
    }

    /// The same provider, with a source of fields for the evaluation context. It shares nothing with
    /// clones that were made before.
    ///
    /// The source is asked for each evaluation that the cache does not answer. When its fields
    /// change, the provider emits [`ConfigurationChanged`](crate::ProviderEvent::ConfigurationChanged)
    /// for all flags; results in the cache do not depend on the context, and stay.
    #[must_use]
    pub fn with_context_source(self, source: impl ContextSource) -> Self {
        let options = self.options().clone();
        Self {
            handle: Arc::new(Handle {
                shared: Arc::new(Shared::new(options, Some(Arc::new(source)))),
                #[cfg(feature = "in-process")]
                local: self.handle.local.clone(),
                running: Mutex::default(),
            }),
        }
    }

    /// A provider with all options from the environment: `FLAGD_HOST`, `FLAGD_PORT` and the others
    /// of [`FlagdOptions::TABLE`].
    ///
    /// # Errors
    ///
    /// [`FlagdError::InvalidOption`] names the variable whose value is of no use.
    pub fn from_env() -> Result<Self, FlagdError> {
        Ok(Self::new(FlagdOptions::builder().build()?))
    }

    /// The options that the provider was made with.
    #[must_use]
    pub fn options(&self) -> &FlagdOptions {
        &self.shared().options
    }

    /// What happens to the provider from now on, beginning with the event that matches the current
    /// state (none before initialization). Any number of subscribers may listen, before and after
    /// the provider is handed to the SDK; they do not keep it alive. One that is slow is told how
    /// many events it has missed.
    pub fn events(&self) -> Events {
        self.shared().events()
    }

    /// The state, with [`State::Fatal`] told apart, which the SDK's status cannot.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared().snapshot().state
    }

    /// Whether the provider has given up: the options make no sense, or flagd answered with one of
    /// `fatalStatusCodes` and never was ready (`PROVIDER_FATAL`, OpenFeature specification 1.7.5).
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.state() == State::Fatal
    }

    /// Counters and state, for a metrics scraper: no I/O, and no lock that is held for long.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let (cache, snapshot) = (shared.cache.stats(), shared.snapshot());
        Stats {
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            cache_entries: cache.entries,
            cache_invalidations: cache.invalidations,
            reconnections: shared.reconnections.load(std::sync::atomic::Ordering::Relaxed),
            state: snapshot.state,
            state_since: snapshot.since,
        }
    }

    /// Waits until the provider is ready. It does not initialize it: the SDK does.
    ///
    /// # Errors
    ///
    /// [`FlagdError::Fatal`] as soon as the provider has given up, [`FlagdError::NotReady`] with the
    /// latest cause when `timeout` has passed. The provider goes on trying after the latter.
    pub async fn wait_ready(&self, timeout: Duration) -> Result<(), FlagdError> {
        let mut watch = self.shared().watch();
        let settled = |snapshot: &Snapshot| matches!(snapshot.state, State::Ready | State::Fatal);
        match tokio::time::timeout(timeout, watch.wait_for(settled)).await {
            Ok(Ok(snapshot)) if snapshot.state == State::Fatal => {
                Err(FlagdError::Fatal { message: snapshot.message() })
            }
            Ok(_) => Ok(()),
            Err(_) => {
                let message = self.shared().snapshot().message();
                Err(FlagdError::NotReady { waited: timeout, message })
            }
        }
    }

    /// Evaluates a flag that is an object, with its nulls, as JSON.
    ///
    /// The SDK's values have no null: `resolve_struct_value` leaves a field that is null out of its
    /// object, and is an error (`PARSE_ERROR`, naming the place) if a list holds one, since the items
    /// after it would move up. This method gives the object as it is, with every resolver. Its answers
    /// are not cached, and a number is a float where flagd evaluates.
    ///
    /// # Errors
    ///
    /// Those of `resolve_struct_value`, except for the one above.
    ///
    /// ```no_run
    /// # async fn example(provider: flagstaff::FlagdProvider) -> open_feature::EvaluationResult<()> {
    /// use open_feature::EvaluationContext;
    ///
    /// let context = EvaluationContext::default().with_targeting_key("user-1");
    /// let theme = provider.resolve_json("theme", &context).await?.value;
    /// assert!(theme["colors"][2].is_null());
    /// # Ok(()) }
    /// ```
    pub async fn resolve_json(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<Map<String, Json>>> {
        self.resolve(flag_key, context).await
    }

    /// Starts the provider, for programs without the registry of the SDK, which does the same when a
    /// provider is set (`initialize`).
    ///
    /// It returns when the provider is ready, when the first attempt has failed, or when the deadline
    /// has passed; [`state`](Self::state) tells which. A provider that was started goes on in the
    /// background, and starting it again changes nothing.
    ///
    /// Cancel-safe: dropped before it returns, it leaves the provider started.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use flagstaff::FlagdProvider;
    /// use open_feature::{EvaluationContext, provider::FeatureProvider};
    ///
    /// let provider = FlagdProvider::from_env()?;
    /// provider.start().await;
    /// let on = provider.resolve_bool_value("new-checkout", &EvaluationContext::default()).await;
    /// # Ok(()) }
    /// ```
    pub async fn start(&self) {
        let mut watch = self.shared().watch();
        self.begin().await;
        // The task ends it at the deadline, and so does a shutdown; the sender is in this handle.
        let _ = watch.wait_for(|snapshot| !snapshot.initializing).await;
    }

    /// Ends the event stream, the task and the subscriptions, and waits until they have ended. The
    /// provider is `NOT_READY` afterwards, and can be initialized again (OpenFeature specification
    /// 2.5.3).
    pub async fn shutdown(&self) {
        let mut running = self.handle.running.lock().await;
        self.finish(&mut running).await;
    }

    /// Ends the task. Given up half way, it leaves the rest to the next that locks.
    async fn finish(&self, running: &mut Option<Running>) {
        if let Some(Running { stop, task }) = running {
            drop(stop.take());
            // If the runtime was shut down, or the task panicked, it has ended too.
            let _ = task.await;
        }
        *running = None;
        self.shared().end();
        self.clear();
    }

    /// Rules answer from when they come until the provider is shut down, or initialized anew.
    #[cfg_attr(not(feature = "in-process"), expect(clippy::unused_self))]
    fn clear(&self) {
        #[cfg(feature = "in-process")]
        if let Some(local) = &self.handle.local {
            local.clear();
        }
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Starts the task, unless it runs already or has given up.
    async fn begin(&self) {
        let mut running = self.handle.running.lock().await;
        if running.as_ref().is_some_and(|running| running.stop.is_none()) {
            self.finish(&mut running).await;
        }
        let alive = running.as_ref().is_some_and(|running| !running.task.is_finished());
        if alive || self.is_fatal() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.shared().fail("the provider needs a Tokio runtime to be initialized on");
        };
        self.shared().begin();
        self.clear();
        let (stop, stopped) = oneshot::channel();
        let task = self.spawn(&runtime, stopped);
        *running = Some(Running { stop: Some(stop), task });
    }

    fn spawn(
        &self,
        runtime: &tokio::runtime::Handle,
        stopped: oneshot::Receiver<()>,
    ) -> JoinHandle<()> {
        let shared = self.handle.shared.clone();
        #[cfg(feature = "in-process")]
        if let Some(local) = &self.handle.local {
            return runtime.spawn(local::supervisor::run(local.clone(), shared, stopped));
        }
        runtime.spawn(supervisor::run(shared, stopped))
    }
}

/// The options and the state; what a header holds is a secret and stays hidden.
impl fmt::Debug for FlagdProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlagdProvider")
            .field("options", self.options())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
