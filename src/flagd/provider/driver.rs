//! What the task of a provider does with every resolver: runs the lifecycle,
//! publishes its outcomes, and reports if it ends unexpectedly.
//!
//! A supervisor awaits everything through [`Driver::drive`], which also watches
//! the deadline of the lifecycle. The grace period thus ends on time, whatever the
//! supervisor waits for at that moment, and there is no second task for a timer.

use std::{future::Future, sync::Arc};

use tokio::time::Instant;

use super::{
    lifecycle::{Input, Lifecycle, Limits, State},
    shared::Shared,
    telemetry,
};
use crate::{
    backoff::Backoff,
    flagd::client::{plan, stream::at},
};

/// The message after the runtime has ended. A task cannot move to another
/// runtime, so only the program can fix it.
const RUNTIME_ENDED: &str = "the runtime on which the provider was initialized has ended: \
                             initialize it on one that lives as long as it does";

/// The message after a panic in the task, which is never expected.
const PANICKED: &str = "the provider's task has panicked, which is a bug in flagstaff or in the \
                        runtime's configuration (it needs time and I/O)";

/// A lifecycle, together with those who must learn of its outcomes.
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lifecycle: Lifecycle,
    /// The delays between attempts, and the number of failures in a row.
    pub(crate) backoff: Backoff,
    /// Whether the last failure means that unary calls get no response either.
    ///
    /// If so, the circuit breaker lets one call at a time through as soon as the
    /// state becomes ERROR. A stream that is rejected with a status such as
    /// `PERMISSION_DENIED` does not mean it: flagd responds.
    pub(crate) unreachable: bool,
}

impl Driver {
    /// Begins an initialization now. `awaited` is what must be ready in time, as
    /// the subject of the message if it is not.
    pub(crate) fn new(shared: Arc<Shared>, retries: Option<u32>, awaited: &str) -> Self {
        let options = &shared.options;
        let allowed = plan::initialization(options);
        let limits = Limits { grace: options.retry_grace_period(), retries };
        let message = format!("{awaited} was not ready within {allowed:?} (option `deadlineMs`)");
        let lifecycle = Lifecycle::initializing(limits, Instant::now() + allowed, message);
        let backoff = Backoff::new(options.retry_backoff(), options.retry_backoff_max());
        Self { shared, lifecycle, backoff, unreachable: true }
    }

    /// Notes that the event stream is open or the source of flags available. Call
    /// it before the step to READY.
    pub(crate) fn connected(&mut self) {
        self.backoff.ready(Instant::now());
        if self.lifecycle.was_ready() {
            self.shared.count_reconnection();
        }
    }

    /// Handles a lost connection or a failed attempt. `refused` says that it is
    /// fatal, unless the provider was ready before.
    ///
    /// The failure must have been counted by the backoff already.
    pub(crate) fn lose(&mut self, message: String, refused: bool) {
        tracing::debug!(error = message, "disconnected");
        let failures = self.backoff.failures();
        self.step(Input::Lost { message, failures, refused });
    }

    /// Passes an input to the lifecycle, and applies and logs its outcome.
    pub(crate) fn step(&mut self, input: Input) {
        let outcome = self.lifecycle.step(input, Instant::now());
        let (events, former) = (outcome.events.clone(), self.shared.snapshot().state);
        if self.unreachable && former != State::Error && self.lifecycle.state() == State::Error {
            self.shared.breaker.set_unreachable();
        }
        self.shared.publish(self.lifecycle.state(), self.lifecycle.message(), outcome);
        for event in &events {
            telemetry::happened(event, self.lifecycle.state());
        }
    }

    /// Runs a future to its end, and steps the lifecycle when its deadline comes
    /// in the meantime.
    ///
    /// A future that is ready at the same time as the deadline wins, so that a
    /// stream that opens just in time counts.
    pub(crate) async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return output,
                () = at(self.lifecycle.deadline()) => self.step(Input::Elapsed),
            }
        }
    }
}

/// A guard that publishes an error if the task is dropped before its end.
///
/// A task ends so if its runtime is shut down or if it panics. No other code of
/// the provider runs then, and without the guard the last state would be shown
/// forever. It is not logged as an error, because programs end in this way too.
pub(crate) struct Abandoned(Option<Arc<Shared>>);

impl Abandoned {
    /// Watches until [`over`](Self::over) is called.
    pub(crate) fn unless_over(shared: Arc<Shared>) -> Self {
        Self(Some(shared))
    }

    /// Disarms the guard: the task ends as intended.
    pub(crate) fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        shared.fail(if std::thread::panicking() { PANICKED } else { RUNTIME_ENDED });
    }
}
