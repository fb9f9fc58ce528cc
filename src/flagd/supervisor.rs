//! The only task of a provider: opens event streams, feeds the lifecycle, publishes what follows.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};
use tonic::Code;

use super::{
    backoff::Backoff,
    channel::Connection,
    error::{FlagdError, chain, code_named},
    event_stream::{Cause, End, EventStream, Failure, StreamLimits, at},
    events::ChangedFlags,
    lifecycle::{Input, Lifecycle, Limits, State},
    options::{FlagdOptions, Resolver},
    shared::Shared,
    target::Target,
    telemetry,
};

/// How long initialization may take when the deadline is off.
const INITIALIZATION: Duration = Duration::from_millis(500);

/// An attempt may take as long as the longest delay between attempts, but not longer than this.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(20);

/// So long may each attempt after the first take, at least, where the deadline is longer.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The remedy is in the program: the task cannot be moved.
const RUNTIME_ENDED: &str = "the runtime on which the provider was initialized has ended: \
                             initialize it on one that lives as long as it does";

const PANICKED: &str = "the provider's task has panicked, which is a mistake in flagstaff or in the \
                        runtime's configuration (it needs time and I/O)";

/// What the task needs of the options, checked.
struct Plan {
    target: Target,
    fatal: Vec<Code>,
}

impl Plan {
    fn new(options: &FlagdOptions) -> Result<Self, FlagdError> {
        if options.resolver() != Resolver::Rpc {
            let reason = format!("`{}` is not part of this build", options.resolver());
            return Err(FlagdOptions::error("resolver", reason));
        }
        let code = |name: &String| {
            code_named(name).ok_or_else(|| {
                let reason = format!("`{name}` is no gRPC status, such as PERMISSION_DENIED");
                FlagdOptions::error("fatalStatusCodes", reason)
            })
        };
        if !options.tls() && (options.cert_path().is_some() || options.client_cert_path().is_some())
        {
            tracing::warn!("certificates are configured and `tls` is not: nothing is encrypted");
        }
        let fatal = options.fatal_status_codes().iter().map(code).collect::<Result<_, _>>()?;
        Ok(Self { target: Target::new(options)?, fatal })
    }
}

/// Runs until the other end of `stopped` is dropped, or the provider is fatal.
pub(crate) async fn run(shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let mut abandoned = Abandoned(Some(shared.clone()));
    let mut supervisor = Supervisor::new(shared);
    tokio::select! {
        biased;
        _ = stopped => supervisor.step(Input::Shutdown),
        () = supervisor.serve() => {}
    }
    supervisor.shared.set_connection(None);
    abandoned.0 = None;
}

/// Says so when the task ends because its runtime does: nothing else could. That is how programs
/// end, too, and nothing to log as an error.
struct Abandoned(Option<Arc<Shared>>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        shared.fail(if std::thread::panicking() { PANICKED } else { RUNTIME_ENDED });
    }
}

struct Supervisor {
    shared: Arc<Shared>,
    lifecycle: Lifecycle,
    backoff: Backoff,
    /// How long one attempt to open a stream may take.
    patience: Duration,
    attempted: Instant,
    /// Whether flagd gave no answer at all when a stream was last asked of it.
    unreachable: bool,
}

impl Supervisor {
    fn new(shared: Arc<Shared>) -> Self {
        let options = &shared.options;
        let limits = Limits {
            grace: options.retry_grace_period(),
            retries: options.max_event_stream_retries(),
        };
        let allowed = match options.deadline() {
            Duration::ZERO => INITIALIZATION,
            deadline => deadline,
        };
        let message = format!("flagd was not ready within {allowed:?} (option `deadlineMs`)");
        let now = Instant::now();
        Self {
            lifecycle: Lifecycle::initializing(limits, now + allowed, message),
            backoff: Backoff::new(options.retry_backoff(), options.retry_backoff_max()),
            patience: allowed.max(options.retry_backoff_max().min(LONGEST_ATTEMPT)),
            attempted: now,
            unreachable: true,
            shared,
        }
    }

    async fn serve(&mut self) {
        let plan = match Plan::new(&self.shared.options) {
            Ok(plan) => plan,
            Err(error) => return self.lose(chain(&error), true),
        };
        loop {
            let failure = self.connect_and_follow(&plan).await;
            let refused = match failure.cause {
                Cause::Status(code) => plan.fatal.contains(&code),
                // Later, a file may be half way through being replaced.
                Cause::Options => self.lifecycle.state() == State::NotReady,
                Cause::Stream => false,
            };
            self.unreachable = match failure.cause {
                Cause::Status(code) => matches!(code, Code::Unavailable | Code::DeadlineExceeded),
                Cause::Options | Cause::Stream => true,
            };
            let delay = self.backoff.failed(Instant::now());
            // Who learns of the loss finds the new connection in place.
            if let Err(error) = self.renew_connection(&plan) {
                tracing::debug!(error = chain(&error), "no new connection for now");
            }
            self.lose(format!("flagd at {}: {}", plan.target, failure.message), refused);
            if self.lifecycle.state() == State::Fatal {
                return;
            }
            self.pause(delay).await;
            // A deadline of minutes is for initialization; an attempt that hangs must not be the last.
            self.patience = self.patience.min(ATTEMPT.max(self.backoff.longest()));
            if self.shared.options.tls() {
                // Certificates may have been renewed meanwhile. An error comes again with the attempt.
                let _ = self.renew_connection(&plan);
            }
        }
    }

    /// Opens streams, the next when the time of one is over, until one fails.
    async fn connect_and_follow(&mut self, plan: &Plan) -> Failure {
        loop {
            let connection = match self.connection(plan) {
                Ok(connection) => connection,
                Err(error) => return Failure { message: chain(&error), cause: Cause::Options },
            };
            self.attempted = Instant::now();
            let stream =
                match self.drive(open(connection.clone(), self.limits(), self.patience)).await {
                    Ok(stream) => stream,
                    Err(failure) => return failure,
                };
            self.backoff.ready(Instant::now());
            if self.lifecycle.was_ready() {
                self.shared.count_reconnection();
            }
            self.step(Input::Ready);
            match self.follow(stream, connection).await {
                // A server that ends streams at once, whatever it says, must not be asked at once.
                (End::Planned, age) if age >= self.backoff.first() => {}
                (End::Planned, _) => {
                    let message = "flagd ends its event streams at once".to_owned();
                    return Failure { message, cause: Cause::Stream };
                }
                (End::Failed(failure), _) => return failure,
            }
        }
    }

    /// Passes on the changes of a stream, and of those that replace it in time, until one ends.
    async fn follow(
        &mut self,
        mut stream: EventStream,
        connection: Arc<Connection>,
    ) -> (End, Duration) {
        let mut due = stream.successor_due(self.patience);
        let mut opening: Option<Opening> = None;
        let mut retiring: Option<EventStream> = None;
        loop {
            tokio::select! {
                next = stream.next() => match next {
                    Ok(flags) => self.step(Input::Changed(flags)),
                    Err(end) => return (end, stream.age()),
                },
                // Until its end the old stream may tell what the new one does not.
                next = pull(&mut retiring) => match next {
                    Ok(flags) => self.step(Input::Changed(flags)),
                    Err(_) => retiring = None,
                },
                () = at(due) => {
                    due = None;
                    opening = Some(Box::pin(open(connection.clone(), self.limits(), self.patience)));
                }
                opened = resolve(&mut opening) => {
                    opening = None;
                    match opened {
                        Ok(next) => {
                            due = next.successor_due(self.patience);
                            retiring = Some(std::mem::replace(&mut stream, next));
                        }
                        Err(failure) => {
                            tracing::debug!(error = failure.message, "the next event stream did not open");
                        }
                    }
                }
            }
        }
    }

    /// Waits before the next attempt. A call that flagd answers meanwhile shortens the wait.
    async fn pause(&mut self, delay: Duration) {
        let shared = self.shared.clone();
        let due = Instant::now() + delay;
        let earliest = due.min(self.attempted + self.backoff.first());
        self.drive(async {
            tokio::select! {
                () = at(Some(due)) => {}
                () = shared.reachable.notified() => at(Some(earliest)).await,
            }
        })
        .await;
    }

    /// Runs a future, and the lifecycle's deadline beside it.
    async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return output,
                () = at(self.lifecycle.deadline()) => self.step(Input::Elapsed),
            }
        }
    }

    /// The connection in use, or a new one.
    fn connection(&self, plan: &Plan) -> Result<Arc<Connection>, FlagdError> {
        match self.shared.connection() {
            Some(connection) => Ok(connection),
            None => self.renew_connection(plan),
        }
    }

    /// A new connection, in the place of the old one without a gap between them: one that went
    /// silent is not mended.
    fn renew_connection(&self, plan: &Plan) -> Result<Arc<Connection>, FlagdError> {
        let connection = Connection::new(&self.shared.options, &plan.target, self.patience);
        let connection = connection.map(Arc::new);
        self.shared.set_connection(connection.as_ref().ok().cloned());
        connection
    }

    fn limits(&self) -> StreamLimits {
        let options = &self.shared.options;
        StreamLimits { lifetime: options.stream_deadline(), idle: options.stream_idle() }
    }

    fn lose(&mut self, message: String, refused: bool) {
        tracing::debug!(error = message, "no event stream");
        self.step(Input::Lost { message, failures: self.backoff.failures(), refused });
    }

    fn step(&mut self, input: Input) {
        let outcome = self.lifecycle.step(input, Instant::now());
        let (events, former) = (outcome.events.clone(), self.shared.snapshot().state);
        if self.unreachable && former != State::Error && self.lifecycle.state() == State::Error {
            self.shared.gate.set_closed(true);
        }
        self.shared.publish(self.lifecycle.state(), self.lifecycle.message(), outcome);
        events.iter().for_each(telemetry::happened);
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<EventStream, Failure>> + Send>>;

async fn open(
    connection: Arc<Connection>,
    limits: StreamLimits,
    patience: Duration,
) -> Result<EventStream, Failure> {
    match tokio::time::timeout(patience, EventStream::open(&connection, limits)).await {
        Ok(opened) => opened,
        Err(_) => Err(Failure {
            message: format!("it opened no event stream within {patience:?}"),
            cause: Cause::Status(Code::DeadlineExceeded),
        }),
    }
}

async fn pull(stream: &mut Option<EventStream>) -> Result<ChangedFlags, End> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

async fn resolve(opening: &mut Option<Opening>) -> Result<EventStream, Failure> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}
