//! [`FlagdProvider`], a handle to what its clones and its background task share.
//!
//! ```text
//! FlagdProvider (clones) -> Handle -> Running: stops the task
//!                             |  |
//!                             |  +--> Local: rules and source (not with `rpc`)
//!                             v
//!                           Shared: options, cache, circuit breaker, state, events, connection
//!                             ^
//!                             |
//!              the one task: supervisor -> Driver -> Lifecycle
//! ```
//!
//! * The program and the SDK hold handles. An evaluation reads `Shared` or
//!   `Local` and never waits for the task.
//! * The task holds `Shared`, but never the handle. Dropping the last handle
//!   drops the sender of [`Running`], which ends the task, so nobody has to call
//!   `shutdown`.
//! * Only the task changes the state while it runs. [`lifecycle`] decides what
//!   the state is, [`driver`] publishes it, and a supervisor supplies the
//!   inputs: [`supervisor`] for `rpc`, `local::supervisor` for the others.
//! * [`evaluate`] is the path of an evaluation, [`call`] that of a single call to
//!   flagd, and [`sdk`] the trait of the SDK.

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

/// An OpenFeature provider that evaluates flags in flagd, or in this process
/// with the flag definitions of flagd, of a file, or of
/// [your own source](crate::source).
///
/// Where flags are evaluated is the option
/// [`resolver`](crate::flagd::FlagdOptionsBuilder::resolver). The methods, states
/// and events are the same with each of them.
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
/// # Handles
///
/// A provider is a handle: clones share one connection, one cache and one
/// background task. Pass one to the SDK, and keep another to read
/// [`state`](Self::state) and [`stats`](Self::stats) or to
/// [`shutdown`](Self::shutdown). When the last one is dropped, the task and the
/// connection end.
///
/// # Lifecycle
///
/// [`new`](Self::new) only keeps the options. The SDK initializes the provider
/// when it is set, which takes at most `deadlineMs`, whether flagd is reachable
/// or not. The provider reconnects automatically, so a flagd that starts later
/// is found without a restart of the program. "States" in `docs/lifecycle.md`
/// lists the states and what an evaluation does in each of them.
///
/// The task runs on the Tokio runtime on which the provider is initialized. If
/// that runtime ends, the state becomes [`Error`](State::Error).
///
/// # Objects
///
/// A flag that is an object is a `StructValue` of the SDK, which has no null: a
/// field that is null is left out, and an array that contains null is an error.
/// [`resolve_json`](Self::resolve_json) returns the object with its nulls.
/// Numbers inside an object are floats.
#[derive(Clone)]
pub struct FlagdProvider {
    handle: Arc<Handle>,
}

/// What the clones of a provider share. The task never holds it, so that dropping the
/// last clone ends the task.
struct Handle {
    shared: Arc<Shared>,
    /// Evaluation in this process; `None` with the resolver `rpc`.
    #[cfg(feature = "in-process")]
    local: Option<Arc<Local>>,
    /// The task, if it was started. Dropping it with the handle ends the task.
    ///
    /// A shutdown holds the lock until the task has ended, so that the end of one
    /// task does not undo the beginning of the next.
    running: Mutex<Option<Running>>,
}

/// A background task that was started. It may have ended by itself.
struct Running {
    /// Dropping it ends the task. `None` once a shutdown has done so.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Counters and state of a provider, from [`FlagdProvider::stats`].
///
/// The counters start at zero with the provider, only grow, and are not reset
/// by a shutdown; [`cache_entries`](Self::cache_entries) is a gauge. With the
/// resolvers `in-process` and `file` there is no cache, and its figures are 0.
///
/// ```
/// use flagstaff::{FlagdOptions, FlagdProvider, State};
///
/// let options = FlagdOptions::builder().without_env().build()?;
/// let stats = FlagdProvider::new(options).stats();
/// assert_eq!((stats.cache_hits, stats.reconnections), (0, 0));
/// assert_eq!(stats.state, State::NotReady);
/// # Ok::<(), flagstaff::FlagdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Evaluations whose result came from the cache.
    pub cache_hits: u64,
    /// Evaluations whose result was not in the cache. If the cache is off, none
    /// are counted.
    pub cache_misses: u64,
    /// Results that are in the cache now.
    pub cache_entries: usize,
    /// Results that were removed because a flag changed or the connection was
    /// lost. Results that a full cache evicted are not counted.
    pub cache_invalidations: u64,
    /// How often a lost event stream was opened again, or a source of flag
    /// definitions delivered again after a failure. Reconnections before the
    /// provider was first ready are not counted.
    pub reconnections: u64,
    /// The state of the provider.
    pub state: State,
    /// When the provider entered that state.
    pub state_since: SystemTime,
}

impl FlagdProvider {
    /// Creates a provider that is not initialized yet.
    ///
    /// It does no I/O, starts no task and needs no runtime, so it can be called
    /// anywhere.
    ///
    /// ```
    /// use flagstaff::{FlagdOptions, FlagdProvider};
    ///
    /// let options = FlagdOptions::builder().without_env().host("flags.internal").build()?;
    /// let provider = FlagdProvider::new(options);
    /// assert_eq!(provider.options().host(), "flags.internal");
    /// # Ok::<(), flagstaff::FlagdError>(())
    /// ```
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

    /// Creates a provider that evaluates in this process with the flag
    /// definitions of your own source, such as a database or an HTTP endpoint.
    ///
    /// The options about flagd and about files have no effect, and
    /// [`resolver`](FlagdOptions::resolver) becomes `in-process`.
    ///
    /// One task pulls definitions from the source, from initialization to
    /// shutdown. If the provider is initialized again, it continues with the same
    /// source and with the last definition, unless the source has failed.
    ///
    /// ```no_run
    /// use flagstaff::{
    ///     FlagdOptions, FlagdProvider, async_trait,
    ///     source::{Definition, FlagSource, SourceError},
    /// };
    ///
    /// /// Flags that never change.
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

    /// Adds a source of fields for the evaluation context.
    ///
    /// Call it before the provider is cloned or initialized: the provider that
    /// it returns starts with a cache, a state and events of its own, which it
    /// does not share with earlier clones.
    ///
    /// The source is called for each evaluation whose result is not cached. When
    /// its fields change, the provider emits
    /// [`ConfigurationChanged`](crate::ProviderEvent::ConfigurationChanged): with
    /// the resolver `rpc` for all flags, otherwise for those whose rules read one of
    /// the fields. Cached results stay, because they do not depend on the context.
    ///
    /// See [`ContextSource`] for an example.
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

    /// Creates a provider whose options come from the environment: `FLAGD_HOST`,
    /// `FLAGD_PORT` and the other variables of [`FlagdOptions::TABLE`].
    ///
    /// # Errors
    ///
    /// [`FlagdError::InvalidOption`] names the variable whose value is invalid.
    pub fn from_env() -> Result<Self, FlagdError> {
        Ok(Self::new(FlagdOptions::builder().build()?))
    }

    /// The options that the provider was created with.
    #[must_use]
    pub fn options(&self) -> &FlagdOptions {
        &self.shared().options
    }

    /// Subscribes to the events of the provider.
    ///
    /// The subscription begins with the event that matches the current state
    /// (none before initialization). There can be any number of subscribers,
    /// before and after the provider is passed to the SDK, and they do not keep
    /// the provider alive. A slow subscriber receives
    /// [`Lagged`](crate::ProviderEvent::Lagged) with the number of events that it
    /// missed. See [`Events`] for an example.
    pub fn events(&self) -> Events {
        self.shared().events()
    }

    /// The current state.
    ///
    /// Unlike the status of the SDK, it distinguishes [`State::Fatal`] from
    /// [`State::Error`]. It does no I/O and is made for a readiness probe.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared().snapshot().state
    }

    /// Whether the provider has given up: the options cannot be used, or flagd
    /// responded with one of `fatalStatusCodes` before it was ever ready.
    ///
    /// This is `PROVIDER_FATAL` of the OpenFeature specification
    /// ([requirement 1.7.5]). It does not recover: fix the cause, and
    /// [`shutdown`](Self::shutdown) and initialize the provider, or restart the
    /// program.
    ///
    /// [requirement 1.7.5]: https://openfeature.dev/specification/sections/flag-evaluation#requirement-175
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.state() == State::Fatal
    }

    /// Counters and state, for a metrics scraper.
    ///
    /// It does no I/O, and no lock that it takes is held for long.
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

    /// Waits until the provider is ready.
    ///
    /// It does not initialize the provider; the SDK does, or
    /// [`start`](Self::start). Use it to wait longer than initialization, which
    /// is over after `deadlineMs`, for example before a program reports that it
    /// has started. It is cancel-safe.
    ///
    /// # Errors
    ///
    /// * [`FlagdError::Fatal`], as soon as the provider has given up.
    /// * [`FlagdError::NotReady`] with the latest cause, when `timeout` has
    ///   passed. The provider keeps trying.
    ///
    /// ```no_run
    /// # async fn example(provider: flagstaff::FlagdProvider) -> Result<(), flagstaff::FlagdError> {
    /// use std::time::Duration;
    ///
    /// provider.start().await;
    /// provider.wait_ready(Duration::from_secs(30)).await?;
    /// # Ok(()) }
    /// ```
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

    /// Evaluates a flag that is an object, and returns it as JSON with its nulls.
    ///
    /// The SDK's values have no null: `resolve_struct_value` leaves out a field
    /// that is null, and returns `PARSE_ERROR` if an array contains null, because
    /// leaving the item out would shift the items after it. This method returns
    /// the object unchanged, with every resolver. Its results are not cached, and
    /// with the resolver `rpc` every number is a float. See "Null" in
    /// `docs/resolvers.md`.
    ///
    /// # Errors
    ///
    /// Those of `resolve_struct_value`, except for an array that contains null.
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

    /// Initializes the provider, in programs that do not use the registry of the
    /// SDK. `OpenFeature::set_provider` does the same.
    ///
    /// It returns when the provider is ready, when the first attempt has failed,
    /// or when the deadline has passed; read [`state`](Self::state) to know
    /// which. The provider then continues in the background, and starting it
    /// again changes nothing. After a shutdown it starts again.
    ///
    /// Without a Tokio runtime the state becomes [`Error`](State::Error).
    ///
    /// It is cancel-safe: if its future is dropped before it returns, the
    /// provider may or may not be started, and can be started again.
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
        // The task ends initialization at the deadline, and so does a shutdown. The sender is in
        // this handle, so the wait cannot fail.
        let _ = watch.wait_for(|snapshot| !snapshot.initializing).await;
    }

    /// Ends the event stream, the task and the subscriptions, and waits until
    /// they have ended.
    ///
    /// The state is `NOT_READY` afterwards, and the provider can be initialized
    /// again (OpenFeature specification, [requirement 2.5.2]). It may be called
    /// more than once, and on any clone.
    ///
    /// If its future is dropped before it returns, the task still ends, and the
    /// next [`start`](Self::start) or shutdown completes the rest.
    ///
    /// [requirement 2.5.2]: https://openfeature.dev/specification/sections/providers#requirement-252
    pub async fn shutdown(&self) {
        let mut running = self.handle.running.lock().await;
        self.finish(&mut running).await;
    }

    /// Ends the task and resets what is shared. If it is cancelled, `running`
    /// stays set without its sender, and whoever locks it next calls this again.
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

    /// Removes the rules, which are in force until the provider is shut down or
    /// initialized again.
    #[cfg_attr(not(feature = "in-process"), expect(clippy::unused_self))]
    fn clear(&self) {
        #[cfg(feature = "in-process")]
        if let Some(local) = &self.handle.local {
            local.clear();
        }
    }

    /// What the handles and the task share.
    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Starts the task, unless it is running or has given up.
    ///
    /// A task that ended with its runtime is replaced. The lock makes concurrent
    /// calls start one task.
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

    /// Spawns the supervisor of the resolver.
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

/// Shows the options and the state. The values of headers may be secrets and are
/// not shown.
impl fmt::Debug for FlagdProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlagdProvider")
            .field("options", self.options())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
