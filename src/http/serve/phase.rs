//! How far a shutdown is, and how handlers learn of it.

use tokio::sync::watch;

/// How far a shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Requests are served.
    Serve,
    /// Requests that have begun are finished; nothing else is accepted.
    Drain,
    /// What is left is dropped.
    Abort,
}

/// Returns once a shutdown has reached this phase, or the server was dropped.
pub(crate) async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// The signal that the server shuts down, an extension of each request (in axum:
/// `Extension<Draining>`).
///
/// A request that has begun is finished in a shutdown, so one whose response never ends by itself,
/// such as an event stream, must end it now; else the shutdown waits for its whole timeout, and cuts
/// the stream. See the [module](crate::http) for an example.
#[derive(Clone, Debug)]
pub struct Draining(pub(crate) watch::Receiver<Phase>);

impl Draining {
    /// Whether the server shuts down.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() >= Phase::Drain || self.0.has_changed().is_err()
    }

    /// Returns once the server shuts down, or was dropped. It is cancel-safe.
    pub async fn begun(mut self) {
        reached(&mut self.0, Phase::Drain).await;
    }
}
