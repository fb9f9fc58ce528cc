//! The only task of a provider: opens event streams, feeds the lifecycle, publishes what follows.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};
use tonic::Code;

use super::{
    driver::{Abandoned, Driver},
    lifecycle::{Input, State},
    shared::Shared,
};
use crate::{
    backoff::Backoff,
    excerpt::{chain, excerpt},
    flagd::{
        client::{
            channel::Connection,
            event_stream::{EventStream, StreamLimits},
            plan::{self, Plan},
            stream::{Cause, End, Failure, at},
        },
        error::FlagdError,
        event::ChangedFlags,
        options::{
            kind::Resolver,
            table::{FlagdOptions, row},
        },
    },
};

/// Runs until the other end of `stopped` is dropped, or the provider is fatal.
pub(crate) async fn run(shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let abandoned = Abandoned::unless_over(shared.clone());
    let mut supervisor = Supervisor::new(&shared);
    tokio::select! {
        biased;
        _ = stopped => supervisor.driver.step(Input::Shutdown),
        () = supervisor.serve() => {}
        () = shared.follow_context() => {}
    }
    supervisor.shared().set_connection(None);
    abandoned.over();
}

struct Supervisor {
    driver: Driver,
    backoff: Backoff,
    /// How long one attempt to open a stream may take.
    patience: Duration,
    attempted: Instant,
    /// Whether the circuit breaker, and nothing else, has ended the last stream.
    tripped: bool,
}

impl Supervisor {
    fn new(shared: &Arc<Shared>) -> Self {
        let options = &shared.options;
        Self {
            backoff: Backoff::new(options.retry_backoff(), options.retry_backoff_max()),
            patience: plan::first_attempt(options),
            attempted: Instant::now(),
            tripped: false,
            driver: Driver::new(shared.clone(), options.max_event_stream_retries(), "flagd"),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.driver.shared
    }

    async fn serve(&mut self) {
        let plan = match plan_of(&self.shared().options) {
            Ok(plan) => plan,
            Err(error) => return self.lose(chain(&error), true),
        };
        loop {
            let failure = self.connect_and_follow(&plan).await;
            let refused = match failure.cause {
                Cause::Status(code) => plan.fatal.contains(&code),
                // Later, a file may be half way through being replaced.
                Cause::Options => self.driver.lifecycle.state() == State::NotReady,
                Cause::Stream | Cause::Shutdown | Cause::Unanswered => false,
            };
            self.tripped = matches!(failure.cause, Cause::Unanswered);
            self.driver.unreachable = match failure.cause {
                Cause::Status(code) => matches!(code, Code::Unavailable | Code::DeadlineExceeded),
                Cause::Options | Cause::Stream | Cause::Shutdown | Cause::Unanswered => true,
            };
            let backoff = self.backoff.failed(Instant::now());
            let delay = match failure.cause {
                Cause::Shutdown => Duration::ZERO,
                // At once: how long the next stream takes shows whether flagd hangs, or its calls only.
                Cause::Unanswered if self.backoff.failures() <= 1 => Duration::ZERO,
                Cause::Status(_) | Cause::Options | Cause::Stream | Cause::Unanswered => backoff,
            };
            // Who learns of the loss finds the new connection in place.
            if let Err(error) = self.renew_connection(&plan) {
                tracing::debug!(error = chain(&error), "no new connection for now");
            }
            let target = plan.target.to_string();
            self.lose(format!("flagd at {}: {}", excerpt(&target), failure.message), refused);
            if self.driver.lifecycle.state() == State::Fatal {
                return;
            }
            self.pause(delay).await;
            self.patience = plan::later_attempt(&self.shared().options);
            if self.shared().options.tls() {
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
            let stream = match self
                .driver
                .drive(open(connection.clone(), self.limits(), self.patience))
                .await
            {
                Ok(stream) => stream,
                Err(failure) => return failure,
            };
            self.backoff.ready(Instant::now());
            if self.driver.lifecycle.was_ready() {
                self.shared().count_reconnection();
            }
            if self.was_away() {
                // Whoever learns that the state is READY finds the circuit closed.
                self.shared().breaker.reset();
            }
            self.driver.step(Input::Ready(Some(ChangedFlags::All)));
            match self.follow(stream, connection).await {
                // A server that ends streams at once, whatever it says, must not be called at once.
                (End::Planned, age) if age >= self.backoff.first() => {}
                (End::Planned, _) => {
                    return Failure::stream("flagd ends its event streams at once");
                }
                (End::Failed(Failure { message, cause: Cause::Shutdown }), age)
                    if age < self.backoff.first() =>
                {
                    return Failure { message, cause: Cause::Stream };
                }
                (End::Failed(failure), _) => return failure,
            }
        }
    }

    /// Passes on the changes of a stream, and of those that replace it in time, until one ends, or
    /// the circuit breaker opens.
    async fn follow(
        &mut self,
        mut stream: EventStream,
        connection: Arc<Connection>,
    ) -> (End, Duration) {
        let shared = self.shared().clone();
        let mut tripped = std::pin::pin!(shared.tripped.notified());
        // Also when it rings while a change is passed on.
        tripped.as_mut().enable();
        let mut due = stream.successor_due(self.patience);
        let mut opening: Option<Opening> = None;
        let mut retiring: Option<EventStream> = None;
        loop {
            tokio::select! {
                next = stream.next() => match next {
                    Ok(flags) => self.driver.step(Input::Changed(flags)),
                    Err(end) => return (end, stream.age()),
                },
                () = &mut tripped => {
                    let calls = shared.options.max_unanswered_calls();
                    let message = format!("{calls} calls in a row got no answer");
                    let failure = Failure { message, cause: Cause::Unanswered };
                    return (End::Failed(failure), stream.age());
                }
                // Until its end the old stream may tell what the new one does not.
                next = pull(&mut retiring) => match next {
                    Ok(flags) => self.driver.step(Input::Changed(flags)),
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

    /// Whether the stream that has opened shows that flagd is back, and calls may be made again. It
    /// does not where streams were well all along and only calls hang: an answer must show it then.
    fn was_away(&self) -> bool {
        !self.tripped || self.attempted.elapsed() >= self.shared().options.deadline()
    }

    /// Waits before the next attempt. A call that flagd answers meanwhile shortens the wait.
    async fn pause(&mut self, delay: Duration) {
        let shared = self.shared().clone();
        let due = Instant::now() + delay;
        let earliest = due.min(self.attempted + self.backoff.first());
        self.driver
            .drive(async {
                tokio::select! {
                    () = at(Some(due)) => {}
                    () = shared.reachable.notified() => at(Some(earliest)).await,
                }
            })
            .await;
    }

    /// The connection in use, or a new one.
    fn connection(&self, plan: &Plan) -> Result<Arc<Connection>, FlagdError> {
        match self.shared().connection() {
            Some(connection) => Ok(connection),
            None => self.renew_connection(plan),
        }
    }

    /// A new connection, in the place of the old one without a gap between them: one that went
    /// silent is not mended.
    fn renew_connection(&self, plan: &Plan) -> Result<Arc<Connection>, FlagdError> {
        let connection = Connection::new(&self.shared().options, &plan.target, self.patience);
        let connection = connection.map(Arc::new);
        self.shared().set_connection(connection.as_ref().ok().cloned());
        connection
    }

    fn limits(&self) -> StreamLimits {
        let options = &self.shared().options;
        StreamLimits { lifetime: options.stream_deadline(), idle: options.stream_idle() }
    }

    fn lose(&mut self, message: String, refused: bool) {
        tracing::debug!(error = message, "no event stream");
        self.driver.step(Input::Lost { message, failures: self.backoff.failures(), refused });
    }
}

/// Another resolver comes here where it is not part of the build.
fn plan_of(options: &FlagdOptions) -> Result<Plan, FlagdError> {
    if options.resolver() != Resolver::Rpc {
        let reason = format!(
            "`{}` is not part of this build; add the feature `in-process`",
            options.resolver()
        );
        return Err(row::resolver().error(reason));
    }
    Plan::new(options)
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
