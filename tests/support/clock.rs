//! Time that moves only when a test says so, while servers and sockets go on in real time.

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

/// Tokio's clock, standing still. A paused clock alone would leap to the next timer whenever the
/// runtime waits for a socket, and each deadline would be over before its answer could arrive.
#[derive(Debug)]
pub struct Clock {
    _held: mpsc::Sender<()>,
}

impl Clock {
    /// To be the first thing in a test with `start_paused`.
    pub fn stopped() -> Self {
        let (held, released) = mpsc::channel::<()>();
        // A paused clock stands still for as long as a blocking task runs.
        tokio::task::spawn_blocking(move || released.recv());
        Self { _held: held }
    }

    /// The future's output, which needs no time: no timer rings before it is there, however slow
    /// the machine. Panics, naming `what`, when it takes longer than [`PATIENCE`] in real time.
    pub async fn in_no_time<F: Future>(what: &str, future: F) -> F::Output {
        time::pause();
        let output = Self::stopped().still(what, future).await;
        time::resume();
        output
    }

    /// Lets every task of this runtime go on until it waits for something, so that whatever was
    /// sent to it has been read.
    pub async fn settle() {
        time::pause();
        // A paused clock goes on as soon as nobody has anything else to do.
        time::sleep(Duration::from_millis(1)).await;
        time::resume();
    }

    /// Panics, naming `what` it waits for, if the future completes: after whatever is on its way
    /// between the sockets of this runtime has arrived.
    pub async fn still_waits<F: Future<Output: Debug>>(what: &str, mut future: Pin<&mut F>) {
        // From socket to socket, through a client and a server and back.
        for _ in 0..10 {
            Self::settle().await;
            let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
            assert!(polled.is_pending(), "{polled:?} did not wait for {what}");
        }
    }

    /// So much time passes at once in a test whose clock otherwise runs; all timers that are due
    /// fire.
    pub async fn skip(duration: Duration) {
        time::pause();
        time::advance(duration).await;
        time::resume();
    }

    /// As [`settle`](Self::settle), with this clock, which goes on by a millisecond.
    pub async fn settled(self) -> Self {
        drop(self);
        time::sleep(Duration::from_millis(1)).await;
        Self::stopped()
    }

    /// Asks until `condition` holds; panics, naming `what`, when that takes longer than
    /// [`PATIENCE`] in real time. No time passes meanwhile.
    pub async fn becomes_true(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let holds = async {
            while !condition().await {
                tokio::task::yield_now().await;
            }
        };
        self.still(what, holds).await;
    }

    /// So much time passes, in which all timers that are due ring.
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
