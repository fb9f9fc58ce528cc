//! The only task of a provider: opens event streams, feeds the lifecycle, publishes what follows.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};
use tonic::Code;

use super::{
    driver::{Abandoned, Driver},
    lifecycle::{Input, State},
    shared::Shared,
};
use crate::{
    excerpt::{chain, excerpt},
    flagd::{
        client::{
            channel::Connection,
            event_stream::EventStream,
            plan::{self, Plan},
            rotation::{Rotation, Turn},
            stream::{Cause, Failure, at},
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
            Err(error) => return self.driver.lose(chain(&error), true),
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
            let backoff = self.driver.backoff.failed(Instant::now());
            let delay = match failure.cause {
                Cause::Shutdown => Duration::ZERO,
                // At once: how long the next stream takes shows whether flagd hangs, or its calls only.
                Cause::Unanswered if self.driver.backoff.failures() <= 1 => Duration::ZERO,
                Cause::Status(_) | Cause::Options | Cause::Stream | Cause::Unanswered => backoff,
            };
            // Who learns of the loss finds the new connection in place.
            if let Err(error) = self.renew_connection(&plan) {
                tracing::debug!(error = chain(&error), "cannot set up a new connection yet");
            }
            let target = plan.target.to_string();
            self.driver
                .lose(format!("flagd at {}: {}", excerpt(&target), failure.message), refused);
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

    /// Passes on the changes of streams in rotation, until one fails or the circuit breaker opens.
    async fn connect_and_follow(&mut self, plan: &Plan) -> Failure {
        let connection = match self.connection(plan) {
            Ok(connection) => connection,
            Err(error) => return Failure { message: chain(&error), cause: Cause::Options },
        };
        let shared = self.shared().clone();
        let mut rotation = Rotation::new(plan::rotation(&shared.options, self.patience));
        let mut opened = false;
        let mut tripped = std::pin::pin!(shared.tripped.notified());
        loop {
            let open = || {
                self.attempted = Instant::now();
                let (connection, idle) = (connection.clone(), shared.options.stream_idle());
                async move { Ok((EventStream::open(&connection, idle).await?, ())) }
            };
            let turn = tokio::select! {
                turn = self.driver.drive(rotation.next(open)) => turn,
                () = &mut tripped, if opened => {
                    let calls = shared.options.max_unanswered_calls();
                    let message = format!("{calls} calls in a row got no response");
                    return Failure { message, cause: Cause::Unanswered };
                }
            };
            match turn {
                Ok(Turn::Opened(())) => {
                    self.driver.connected();
                    if self.was_away() {
                        // Whoever learns that the state is READY finds the circuit closed.
                        self.shared().breaker.reset();
                    }
                    self.driver.step(Input::Ready(Some(ChangedFlags::All)));
                    opened = true;
                    // Also when it rings while a change is passed on.
                    tripped.set(shared.tripped.notified());
                    tripped.as_mut().enable();
                }
                Ok(Turn::Replaced(())) => {}
                Ok(Turn::Item(flags)) => self.driver.step(Input::Changed(flags)),
                Err(failure) => return failure,
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
        let earliest = due.min(self.attempted + self.driver.backoff.first());
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
