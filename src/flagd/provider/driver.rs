//! What the task of a provider does, whatever it evaluates with: keeps the lifecycle, tells of it,
//! and ends in order.

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

/// The remedy is in the program: the task cannot be moved.
const RUNTIME_ENDED: &str = "the runtime on which the provider was initialized has ended: \
                             initialize it on one that lives as long as it does";

const PANICKED: &str = "the provider's task has panicked, which is a bug in flagstaff or in the \
                        runtime's configuration (it needs time and I/O)";

/// A lifecycle, and those who are told of it.
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) backoff: Backoff,
    /// Whether calls, too, are known to get no answer: when the state becomes ERROR, they are made
    /// one at a time.
    pub(crate) unreachable: bool,
}

impl Driver {
    /// Initialization begins now. `awaited` is what must be ready in time.
    pub(crate) fn new(shared: Arc<Shared>, retries: Option<u32>, awaited: &str) -> Self {
        let options = &shared.options;
        let allowed = plan::initialization(options);
        let limits = Limits { grace: options.retry_grace_period(), retries };
        let message = format!("{awaited} was not ready within {allowed:?} (option `deadlineMs`)");
        let lifecycle = Lifecycle::initializing(limits, Instant::now() + allowed, message);
        let backoff = Backoff::new(options.retry_backoff(), options.retry_backoff_max());
        Self { shared, lifecycle, backoff, unreachable: true }
    }

    /// The connection to flagd, or the source of flags, is there.
    pub(crate) fn connected(&mut self) {
        self.backoff.ready(Instant::now());
        if self.lifecycle.was_ready() {
            self.shared.count_reconnection();
        }
    }

    /// The connection was lost, or none was made; `refused` if no further attempt can mend that.
    pub(crate) fn lose(&mut self, message: String, refused: bool) {
        tracing::debug!(error = message, "disconnected");
        let failures = self.backoff.failures();
        self.step(Input::Lost { message, failures, refused });
    }

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

    /// Runs a future, and the lifecycle's deadline beside it.
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

/// Says so when the task ends because its runtime does: nothing else could. That is how programs
/// end, too, and nothing to log as an error.
pub(crate) struct Abandoned(Option<Arc<Shared>>);

impl Abandoned {
    pub(crate) fn unless_over(shared: Arc<Shared>) -> Self {
        Self(Some(shared))
    }

    /// The task ends in order.
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
