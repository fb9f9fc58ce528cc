//! Responses that are computed and then withheld.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use crate::support::wait;

/// Withheld calls, and permits to release them.
#[derive(Debug)]
pub struct GateState {
    permits: Semaphore,
    waiting: watch::Sender<usize>,
}

impl GateState {
    pub(super) async fn pass(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _waiting = Waiting(&self.waiting);
        // An error means that the gate has opened for good.
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }
}

struct Waiting<'a>(&'a watch::Sender<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// The test's end of a gate; dropping it opens it.
#[derive(Debug)]
pub struct Gate(pub(super) Arc<GateState>);

impl Gate {
    pub(super) fn new() -> Self {
        Self(Arc::new(GateState { permits: Semaphore::new(0), waiting: watch::Sender::new(0) }))
    }

    /// Waits until this many responses are withheld.
    pub async fn wait_for(&self, calls: usize) {
        let what = format!("{calls} calls at the gate");
        wait::until(&self.0.waiting, &what, |waiting| *waiting == calls).await;
    }

    /// How many responses are withheld now.
    pub fn waiting(&self) -> usize {
        *self.0.waiting.borrow()
    }

    /// Releases the oldest response.
    pub fn release_one(&self) {
        self.0.permits.add_permits(1);
    }

    /// Releases all responses, and every later one.
    pub fn release(&self) {
        self.0.permits.close();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}
