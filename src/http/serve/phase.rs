//! The phase of a shutdown, and the signal of it for handlers.
//!
//! The phase only advances. It is the value of a watch channel rather than an event,
//! so a handler that starts to wait late still learns of it. If the server is
//! dropped, the channel closes, which counts as the last phase.

use tokio::sync::watch;

/// The phase of a shutdown, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Requests are served.
    Serve,
    /// Requests that have begun are finished; no connection and no request is
    /// accepted.
    Drain,
    /// The remaining connections are closed.
    Abort,
}

/// Waits until a shutdown has reached this phase or the server was dropped.
/// Cancel-safe.
pub(crate) async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// The signal that the server shuts down, which is an extension of each request (in
/// axum: `Extension<Draining>`).
///
/// In a shutdown, requests that have begun are finished. A response that does not end
/// by itself, such as an event stream, must therefore end on this signal. Otherwise the
/// shutdown waits for its whole timeout and then cuts the stream off. See the
/// [module](crate::http) for an example.
#[derive(Clone, Debug)]
pub struct Draining(pub(crate) watch::Receiver<Phase>);

impl Draining {
    /// Whether the server shuts down, or was dropped.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() >= Phase::Drain || self.0.has_changed().is_err()
    }

    /// Waits until the server shuts down or was dropped. It is cancel-safe.
    ///
    /// It consumes the signal; clone it to wait more than once.
    pub async fn begun(mut self) {
        reached(&mut self.0, Phase::Drain).await;
    }
}
