//! The task of the resolver `rpc`: opens event streams, feeds the lifecycle and
//! keeps the connection that evaluations use.
//!
//! ```text
//! connect_and_follow: open a stream -> READY -> changes, rotation -> failure
//!        ^                                                              |
//!        +----- pause (backoff) <----- lose: STALE, ERROR or FATAL <----+
//! ```
//!
//! The loop ends only in FATAL or at a shutdown. Reconnection depends neither on
//! traffic nor on the SDK.
//!
//! # Connections
//!
//! Stream and unary calls share one HTTP/2 connection. After each failure it is
//! replaced before the loss is published, so a call that learns of the loss finds
//! the new one. A connection that went silent does not recover by itself, and it
//! would cost each call its deadline to find that out.
//!
//! # The circuit breaker
//!
//! When the circuit breaker opens, unary calls get no response although the
//! stream may be well. The stream is then given up and opened again. If that
//! takes long, flagd or the network hangs, and a stream that opens later shows
//! that it is back, so the circuit is closed before READY is published. If the
//! stream opens quickly, only the calls hang, and the circuit stays open until
//! one of them gets a response. See "Lost calls and connections" in
//! `docs/lifecycle.md`.

use std::{future::ready, sync::Arc, time::Duration};

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

/// Runs until the other end of `stopped` is dropped or the provider is fatal.
///
/// A shutdown takes precedence over everything else that is ready.
pub(crate) async fn run(shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let abandoned = Abandoned::unless_over(shared.clone());
    let mut supervisor = Supervisor::new(&shared);
    tokio::select! {
        biased;
        _ = stopped => supervisor.driver.step(Input::Shutdown),
        () = supervisor.serve() => {}
        () = shared.follow_context(|_| ready(ChangedFlags::All)) => {}
    }
    supervisor.shared().set_connection(None);
    abandoned.over();
}

/// The state of the task between two streams.
struct Supervisor {
    driver: Driver,
    /// How long one attempt to open a stream may take, the connection included.
    /// The first one may take longer than the later ones; see [`plan`].
    patience: Duration,
    /// When the latest attempt began.
    attempted: Instant,
    /// Whether the circuit breaker, and nothing else, ended the last stream.
    tripped: bool,
}

impl Supervisor {
    /// Begins the initialization, with its deadline.
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

    /// Follows flagd until the provider is fatal.
    async fn serve(&mut self) {
        let plan = match plan_of(&self.shared().options) {
            Ok(plan) => plan,
            Err(error) => return self.driver.lose(chain(&error), true),
        };
        loop {
            let failure = self.connect_and_follow(&plan).await;
            let refused = match failure.cause {
                Cause::Status(code) => plan.fatal.contains(&code),
                // Later, a certificate file may be in the middle of being replaced.
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
                // How long the next stream takes to open shows whether flagd hangs or only its calls.
                Cause::Unanswered if self.driver.backoff.failures() <= 1 => Duration::ZERO,
                Cause::Status(_) | Cause::Options | Cause::Stream | Cause::Unanswered => backoff,
            };
            // Before the loss is published: a call that is repeated then finds the new connection.
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
                // Certificates may have been renewed meanwhile. The attempt reports an error again.
                let _ = self.renew_connection(&plan);
            }
        }
    }

    /// Opens a stream and passes on its changes, until it fails or the circuit
    /// breaker opens. Returns why.
    ///
    /// A stream whose time is over (`streamDeadlineMs`) is replaced by the
    /// [`Rotation`] without a gap, which is not a failure.
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
                        // Before READY is published: whoever evaluates then finds the circuit closed.
                        self.shared().breaker.reset();
                    }
                    self.driver.step(Input::Ready(Some(ChangedFlags::All)));
                    opened = true;
                    // Enabled now, so that a notification while a change is passed on is not lost.
                    tripped.set(shared.tripped.notified());
                    tripped.as_mut().enable();
                }
                Ok(Turn::Replaced(())) => {}
                Ok(Turn::Item(flags)) => self.driver.step(Input::Changed(flags)),
                Err(failure) => return failure,
            }
        }
    }

    /// Whether the stream that has just opened shows that flagd is back, so that
    /// calls may be made again.
    ///
    /// It does not if streams worked all along and only calls hang: a response
    /// must show it then. The sign of that is a stream that opens within the
    /// deadline after the circuit breaker ended the one before.
    fn was_away(&self) -> bool {
        !self.tripped || self.attempted.elapsed() >= self.shared().options.deadline()
    }

    /// Waits before the next attempt.
    ///
    /// A call that flagd responds to in the meantime shortens the wait, but not
    /// to less than the first delay of the backoff since the last attempt.
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

    /// The connection in use, or a new one if there is none.
    fn connection(&self, plan: &Plan) -> Result<Arc<Connection>, FlagdError> {
        match self.shared().connection() {
            Some(connection) => Ok(connection),
            None => self.renew_connection(plan),
        }
    }

    /// Replaces the connection by a new one, or by none if it cannot be set up.
    ///
    /// It reads certificates, but touches no network: the connection is made by
    /// the first call.
    fn renew_connection(&self, plan: &Plan) -> Result<Arc<Connection>, FlagdError> {
        let connection = Connection::new(&self.shared().options, &plan.target, self.patience);
        let connection = connection.map(Arc::new);
        self.shared().set_connection(connection.as_ref().ok().cloned());
        connection
    }
}

/// The checked options. Another resolver than `rpc` gets here only if the build
/// lacks the feature for it.
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
