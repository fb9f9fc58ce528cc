//! Time that advances only when a test says so, while servers and sockets run in real time.

use std::{
    fmt::Debug,
    future::{Future, poll_fn},
    pin::Pin,
    sync::mpsc,
    task::Poll,
    time::Duration,
};

use tokio::{sync::oneshot, time};

use super::wait::PATIENCE;

/// Tokio's clock, stopped. A paused clock alone would advance to the next timer whenever the
/// runtime waits for a socket, and each deadline would pass before its response could arrive.
#[derive(Debug)]
pub struct Clock {
    _held: mpsc::Sender<()>,
}

impl Clock {
    /// Must come first in a test with `start_paused`.
    pub fn stopped() -> Self {
        let (held, released) = mpsc::channel::<()>();
        // A paused clock does not advance while a blocking task runs.
        tokio::task::spawn_blocking(move || released.recv());
        Self { _held: held }
    }

    /// The future's output, which takes no time: no timer fires before it is available, however
    /// slow the machine. Panics, naming `what`, when it takes longer than [`PATIENCE`] in real
    /// time.
    pub async fn in_no_time<F: Future>(what: &str, future: F) -> F::Output {
        time::pause();
        let output = Self::stopped().still(what, future).await;
        time::resume();
        output
    }

    /// Lets every task of this runtime run until it waits for something, so that whatever was sent
    /// to it has been read.
    pub async fn settle() {
        time::pause();
        // A paused clock advances as soon as every task waits.
        time::sleep(Duration::from_millis(1)).await;
        time::resume();
    }

    /// Panics, naming `what` it waits for, if the future completes: after whatever is on its way
    /// between the sockets of this runtime has arrived.
    pub async fn still_waits<F: Future<Output: Debug>>(what: &str, mut future: Pin<&mut F>) {
        // Enough rounds to get through a client and a server and back.
        for _ in 0..10 {
            Self::settle().await;
            let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
            assert!(polled.is_pending(), "{polled:?} did not wait for {what}");
        }
    }

    /// Advances the clock by this much at once in a test whose clock otherwise runs; all timers
    /// that are due fire.
    pub async fn skip(duration: Duration) {
        time::pause();
        time::advance(duration).await;
        time::resume();
    }

    /// Like [`settle`](Self::settle), with this clock, which advances by a millisecond.
    pub async fn settled(self) -> Self {
        drop(self);
        time::sleep(Duration::from_millis(1)).await;
        Self::stopped()
    }

    /// Polls until `condition` holds; panics, naming `what`, when that takes longer than
    /// [`PATIENCE`] in real time. No time passes meanwhile.
    pub async fn becomes_true(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let holds = async {
            while !condition().await {
                tokio::task::yield_now().await;
            }
        };
        self.still(what, holds).await;
    }

    /// Advances the clock by this much; all timers that are due fire.
    pub async fn pass(&self, duration: Duration) {
        time::advance(duration).await;
    }

    /// The future's output; panics, naming `what`, when it takes longer than [`PATIENCE`] in real
    /// time. No time passes meanwhile.
    pub async fn still<F: Future>(&self, what: &str, future: F) -> F::Output {
        let (done, real_time) = mpsc::channel::<()>();
        let (late, too_late) = oneshot::channel::<()>();
        tokio::task::spawn_blocking(move || {
            if real_time.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = late.send(()); // nobody waits any more
            }
        });
        let output = tokio::select! {
            output = future => output,
            Ok(()) = too_late => panic!("waited {PATIENCE:?} for {what}"),
        };
        drop(done);
        output
    }
}
