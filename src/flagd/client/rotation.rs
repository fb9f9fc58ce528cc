//! Streams in rotation: the next one is opened before the time of the current one
//! is over, so that no change is missed between them.
//!
//! Streams have a limited lifetime (`streamDeadlineMs`), so that a connection that
//! died silently is noticed in the end. With a lifetime of 10 minutes, and 5 s for
//! opening a stream:
//!
//! ```text
//! 0:00            9:55   9:56     10:00               19:51
//! |---- first ------------|~lingers~|
//!                   |open |----------- second ----- - - |open ...
//!                         Turn::Replaced
//! ```
//!
//! - The next stream begins to open `patience` before the end, but at most a tenth
//!   of the lifetime.
//! - If it opens, it takes over. The old one is dropped, or read to its end if it
//!   may still have what the new one does not ([`Rotated::LINGERS`]).
//! - If it fails, the current one is used to its end, and another is opened then.
//!   This is a gap: [`Turn::Opened`] instead of [`Turn::Replaced`].
//! - A server may end a stream by itself because its time is over
//!   ([`End::Planned`]), which opens the next one immediately. If that happens too
//!   soon, it is a failure: otherwise, this would be a busy loop.
//!
//! A rotation is pulled and spawns nothing. What the messages mean is left to the
//! stream and to the caller. Delays between attempts after a failure, too, are the
//! caller's.

use std::{future::Future, pin::Pin, time::Duration};

use tokio::time::{Instant, timeout};
use tonic::Code;

use super::stream::{Cause, End, Failure, at};

/// A stream that can be rotated.
pub(crate) trait Rotated: Send + 'static {
    /// What is received while the stream is opened, such as the first definition.
    type First: Send;
    /// What the stream yields.
    type Item;
    /// Whether a stream that was replaced is read to its end, because items may be
    /// in it that the next one does not have.
    const LINGERS: bool;
    /// The beginning of the message if it does not open in time, such as "it sent
    /// no flags".
    const NOT_OPENED: &str;

    /// The next item, or why there is none. Must be cancel-safe.
    fn next(&mut self) -> impl Future<Output = Result<Self::Item, End>> + Send;
}

/// The times of a rotation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long one stream is used; zero is unlimited.
    pub(crate) lifetime: Duration,
    /// How long opening one may take.
    pub(crate) patience: Duration,
    /// A stream that ends sooner than this counts as failed, whatever the reason.
    pub(crate) shortest: Duration,
}

/// What a rotation yields.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<First, Item> {
    /// A stream opened where there was none. Changes before it may have been missed.
    Opened(First),
    /// The next stream took over in time. Nothing was missed.
    Replaced(First),
    /// An item of the current stream, or of one that lingers.
    Item(Item),
}

/// The current stream, its successor and its predecessor, as far as there are any.
///
/// After a failure, begin with a new rotation: what is left in this one is of no
/// use.
pub(crate) struct Rotation<S: Rotated> {
    limits: Limits,
    /// The stream in use. None before the first one, and in a gap.
    current: Option<Running<S>>,
    /// The stream that is being opened, to become the current one.
    opening: Option<Opening<S>>,
    /// The stream that was replaced, if it lingers. Its end is not a failure.
    retiring: Option<Running<S>>,
}

/// What opening a stream results in.
type Opened<S> = Result<(S, <S as Rotated>::First), Failure>;
/// Kept in the rotation while it is not ready, which makes `next` cancel-safe.
type Opening<S> = Pin<Box<dyn Future<Output = Opened<S>> + Send>>;

/// A stream that is open.
struct Running<S> {
    stream: S,
    opened: Instant,
    /// When its time is over; none if it is unlimited.
    over: Option<Instant>,
    /// When its successor begins to open; none once that has begun, or if its time
    /// is unlimited.
    successor_due: Option<Instant>,
}

impl<S: Rotated> Rotation<S> {
    /// A rotation without a stream. The first call of [`next`](Self::next) opens one.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, current: None, opening: None, retiring: None }
    }

    /// Waits for the next item or the next stream. `open` is called for each stream
    /// that is needed meanwhile.
    ///
    /// Cancel-safe: a stream that is being opened is kept, and the next call
    /// continues with it. The branches are polled in a fixed order, so that a
    /// stream that has opened is used even if the current one ends at the same
    /// time, and an item of the old stream comes before one of the new stream.
    ///
    /// # Errors
    ///
    /// The current stream failed, or there is none and the next did not open.
    pub(crate) async fn next<F>(
        &mut self,
        mut open: impl FnMut() -> F,
    ) -> Result<Turn<S::First, S::Item>, Failure>
    where
        F: Future<Output = Opened<S>> + Send + 'static,
    {
        let patience = self.limits.patience;
        loop {
            if self.current.is_none() && self.opening.is_none() {
                self.opening = Some(Box::pin(in_time(patience, open())));
            }
            let due = self.current.as_ref().and_then(|current| current.successor_due);
            tokio::select! {
                // A stream that has opened counts more than the end of the one before it.
                biased;
                opened = pending_unless(self.opening.as_mut()) => {
                    self.opening = None;
                    match opened {
                        Ok((stream, first)) => return Ok(self.start(stream, first)),
                        Err(failure) if self.current.is_none() => return Err(failure),
                        Err(failure) => {
                            tracing::debug!(error = failure.message, "the next stream did not open");
                        }
                    }
                }
                () = at(due) => {
                    if let Some(current) = &mut self.current {
                        current.successor_due = None;
                    }
                    self.opening = Some(Box::pin(in_time(patience, open())));
                }
                item = pull(self.retiring.as_mut()) => match item {
                    Ok(item) => return Ok(Turn::Item(item)),
                    Err(_) => self.retiring = None,
                },
                item = pull(self.current.as_mut()) => match item {
                    Ok(item) => return Ok(Turn::Item(item)),
                    Err((end, age)) => {
                        self.current = None;
                        if let Some(failure) = failure(end, age < self.limits.shortest) {
                            return Err(failure);
                        }
                    }
                },
            }
        }
    }

    /// Makes a stream the current one.
    fn start(&mut self, stream: S, first: S::First) -> Turn<S::First, S::Item> {
        let Limits { lifetime, patience, .. } = self.limits;
        let opened = Instant::now();
        let over = (!lifetime.is_zero()).then(|| opened + lifetime);
        let successor_due = over.map(|over| over - patience.min(lifetime / 10));
        match self.current.replace(Running { stream, opened, over, successor_due }) {
            None => Turn::Opened(first),
            old => {
                self.retiring = old.filter(|_| S::LINGERS);
                Turn::Replaced(first)
            }
        }
    }
}

/// The failure that the end of a stream amounts to; `None` if its time was over.
///
/// `early` says that it ended too soon after it had opened. Then even an end that
/// would be planned is a failure, and an announced shutdown is one like any other:
/// both would be followed by the next attempt without a delay, again and again.
fn failure(end: End, early: bool) -> Option<Failure> {
    match end {
        End::Planned => early.then(|| Failure::stream("it ends its streams at once")),
        End::Failed(Failure { message, cause: Cause::Shutdown }) if early => {
            Some(Failure { message, cause: Cause::Stream })
        }
        End::Failed(failure) => Some(failure),
    }
}

/// Limits how long a stream may take to open. An attempt that takes longer counts as
/// `DEADLINE_EXCEEDED`, which a program can make fatal.
async fn in_time<S: Rotated>(
    patience: Duration,
    opening: impl Future<Output = Opened<S>>,
) -> Opened<S> {
    timeout(patience, opening).await.unwrap_or_else(|_| {
        let message = format!("{} within {patience:?}", S::NOT_OPENED);
        Err(Failure { message, cause: Cause::Status(Code::DeadlineExceeded) })
    })
}

/// The next item of a stream until its time is over, or its end with its age;
/// pending forever if there is no stream. Cancel-safe, as the stream is.
async fn pull<S: Rotated>(running: Option<&mut Running<S>>) -> Result<S::Item, (End, Duration)> {
    let Some(Running { stream, opened, over, .. }) = running else {
        return std::future::pending().await;
    };
    let item = tokio::select! {
        biased;
        item = stream.next() => item,
        () = at(*over) => Err(End::Planned),
    };
    item.map_err(|end| (end, opened.elapsed()))
}

/// The output of a future; pending forever if there is none.
async fn pending_unless<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
