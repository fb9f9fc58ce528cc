//! Streams in rotation: the next one is opened before the time of the current one is over, so that
//! no change is missed between them. What the messages mean is the caller's business.

use std::{future::Future, pin::Pin, time::Duration};

use tokio::time::{Instant, timeout};
use tonic::Code;

use super::stream::{Cause, End, Failure, at};

/// A stream that takes its turn.
pub(crate) trait Rotated: Send + 'static {
    /// What opening it brings along.
    type First: Send;
    type Item;
    /// Whether a stream that was replaced is read until its end, for what it alone still tells.
    const LINGERS: bool;
    /// What it failed to do when it does not open in time.
    const NOT_OPENED: &str;

    /// The next item. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Result<Self::Item, End>> + Send;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long one stream is used; zero is without end.
    pub(crate) lifetime: Duration,
    /// How long opening one may take.
    pub(crate) patience: Duration,
    /// A stream that ends sooner, for whatever reason, has failed.
    pub(crate) shortest: Duration,
}

/// What happens next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<First, Item> {
    /// A stream opened where there was none: changes may have been missed.
    Opened(First),
    /// The next stream took over in time.
    Replaced(First),
    Item(Item),
}

/// The current stream, the next and the last. After a failure, begin with a new rotation.
pub(crate) struct Rotation<S: Rotated> {
    limits: Limits,
    current: Option<Running<S>>,
    opening: Option<Opening<S>>,
    retiring: Option<Running<S>>,
}

type Opened<S> = Result<(S, <S as Rotated>::First), Failure>;
type Opening<S> = Pin<Box<dyn Future<Output = Opened<S>> + Send>>;

struct Running<S> {
    stream: S,
    opened: Instant,
    over: Option<Instant>,
    successor_due: Option<Instant>,
}

impl<S: Rotated> Rotation<S> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, current: None, opening: None, retiring: None }
    }

    /// Waits for the next turn; `open` is called for each stream that is needed meanwhile.
    /// Cancel-safe: what is being opened stays so.
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
                // A stream that opens is worth more than the end of the one before it.
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

/// Unless a stream has merely served its time. A server that ends streams at once, whatever it says,
/// must not be called at once.
fn failure(end: End, early: bool) -> Option<Failure> {
    match end {
        End::Planned => early.then(|| Failure::stream("it ends its streams at once")),
        End::Failed(Failure { message, cause: Cause::Shutdown }) if early => {
            Some(Failure { message, cause: Cause::Stream })
        }
        End::Failed(failure) => Some(failure),
    }
}

async fn in_time<S: Rotated>(
    patience: Duration,
    opening: impl Future<Output = Opened<S>>,
) -> Opened<S> {
    timeout(patience, opening).await.unwrap_or_else(|_| {
        let message = format!("{} within {patience:?}", S::NOT_OPENED);
        Err(Failure { message, cause: Cause::Status(Code::DeadlineExceeded) })
    })
}

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

async fn pending_unless<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
