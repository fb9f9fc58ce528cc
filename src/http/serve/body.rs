//! The body of a request, read within limits.

use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep, timeout},
};

/// How much of a body that no handler reads is discarded to keep the connection, and for how long.
const MOST_DISCARDED: usize = 64 << 10;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client may go on sending after the response, before the connection is closed.
const LINGER: Duration = Duration::from_secs(2);

/// The body of a request: at most as long as the server allows, and received within its timeout.
///
/// It implements [`http_body::Body`](hyper::body::Body), so that frameworks take it: an
/// `axum::Router` does, and its extractors respond with 413 to a body that is too long.
///
/// Dropping a body that was not read to its end is fine: the connection discards a short rest and
/// serves the next request, or tells the client that it closes.
#[derive(Debug)]
pub struct Body {
    /// Taken when this is dropped.
    incoming: Option<Incoming>,
    /// How many more bytes may be read.
    left: usize,
    timeout: Duration,
    /// Ends the wait for the client, from when the first part was waited for.
    late: Option<Pin<Box<Sleep>>>,
    /// Whether the client waits for `100 Continue` before it sends the body.
    is_held_back: bool,
    /// Where the connection finds what was not read. HTTP/2 does not need it.
    unread: Option<Unread>,
}

/// Why the body of a request was not read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("the body of the request is too long")]
    TooLong,
    /// The client took too long to send it.
    #[error("the body of the request did not arrive in time")]
    TimedOut,
    /// The connection was lost, or the body is malformed.
    #[error("the body of the request did not arrive as a whole")]
    Incomplete(#[source] hyper::Error),
}

impl BodyError {
    /// In the form in which frameworks know an error of this kind.
    fn into_known(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::TooLong => length_limit_error(),
            other => Box::new(other),
        }
    }
}

/// The error of `http_body_util` that frameworks respond to with 413. It has no constructor, so a body
/// that breaks its limit makes it.
fn length_limit_error() -> Box<dyn Error + Send + Sync> {
    let mut limited = Limited::new(Full::new(Bytes::from_static(b"x")), 0);
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(&mut limited).poll_frame(&mut context) {
        Poll::Ready(Some(Err(error))) => error,
        _ => Box::new(BodyError::TooLong),
    }
}

impl Body {
    pub(crate) fn new(
        incoming: Incoming,
        is_held_back: bool,
        limit: usize,
        timeout: Duration,
        unread: Option<Unread>,
    ) -> Self {
        Self { incoming: Some(incoming), left: limit, timeout, late: None, is_held_back, unread }
    }

    /// Sets how many more bytes may be read, in place of the server's limit.
    pub fn set_limit(&mut self, bytes: usize) {
        self.left = bytes;
    }

    /// Reads to the end.
    ///
    /// # Errors
    ///
    /// When the body is too long, late or incomplete.
    pub async fn bytes(&mut self) -> Result<Bytes, BodyError> {
        let Some(first) = self.data().await? else { return Ok(Bytes::new()) };
        if self.is_end_stream() {
            return Ok(first);
        }
        // Most bodies come in one part, which needs no copy.
        let Some(second) = self.data().await? else { return Ok(first) };
        let mut whole = Vec::with_capacity(first.len() + second.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(part) = self.data().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole.into())
    }

    /// The next part; none at the end.
    async fn data(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            let frame = std::future::poll_fn(|context| self.poll_next(context)).await;
            match frame.transpose()?.map(Frame::into_data) {
                None => return Ok(None),
                Some(Ok(data)) if !data.is_empty() => return Ok(Some(data)),
                // Trailers, or an empty frame.
                Some(_) => {}
            }
        }
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        // Before it is asked for: a client that waits for leave then does not send it.
        let is_too_long = usize::try_from(incoming.size_hint().lower())
            .map_or(true, |announced| announced > self.left);
        if is_too_long {
            return Poll::Ready(Some(Err(BodyError::TooLong)));
        }
        self.is_held_back = false;
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(context) else {
            let timeout = self.timeout;
            let late = self.late.get_or_insert_with(|| Box::pin(sleep(timeout)));
            ready!(late.as_mut().poll(context));
            return Poll::Ready(Some(Err(BodyError::TimedOut)));
        };
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(BodyError::Incomplete)?;
            let length = frame.data_ref().map_or(0, Bytes::len);
            let left = self.left.checked_sub(length);
            // Once it is too long, it stays so.
            self.left = left.unwrap_or_default();
            left.map(|_| frame).ok_or(BodyError::TooLong)
        }))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(self.get_mut().poll_next(context));
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::into_known)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let (Some(unread), Some(incoming)) = (&self.unread, self.incoming.take())
            && !incoming.is_end_stream()
        {
            unread.leave(Rest { incoming, is_held_back: self.is_held_back });
        }
    }
}

/// Where a body over HTTP/1 leaves what no handler has read. There the next request follows the last
/// byte of the body, so the connection must know whether all of it was read, and whether it will be.
///
/// A connection has one of them: over HTTP/1 its requests come one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unread(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    /// There is no response yet.
    #[default]
    Responding,
    /// The body was dropped before there was a response.
    Left(Rest),
    /// There is a response, and a body that is dropped now was read for it meanwhile.
    Responded,
}

#[derive(Debug)]
struct Rest {
    incoming: Incoming,
    is_held_back: bool,
}

impl Unread {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins.
    pub(crate) fn begin(&self) {
        *self.state() = State::Responding;
    }

    fn leave(&self, mut rest: Rest) {
        let mut state = self.state();
        if matches!(*state, State::Responding) {
            *state = State::Left(rest);
        } else if let Ok(runtime) = Handle::try_current() {
            // As below, but the client was not told that the connection closes.
            runtime.spawn(async move { timeout(LINGER, rest.discard(usize::MAX)).await });
        }
    }

    /// Discards what the handler has not read, if it is short and arrives soon. Returns whether the
    /// connection can serve another request; if not, a task discards the rest for a while, because a
    /// client that still sends when the connection is closed may lose the response.
    pub(crate) async fn discard(&self) -> bool {
        let state = std::mem::replace(&mut *self.state(), State::Responded);
        let State::Left(mut rest) = state else { return true };
        // A client that was held back may send the body after the error, or not. hyper writes the
        // response before it reads on, so the task below does not make it send `100 Continue`.
        if !rest.is_held_back
            && rest.incoming.size_hint().lower() <= MOST_DISCARDED as u64
            && timeout(DISCARD_TIMEOUT, rest.discard(MOST_DISCARDED)).await == Ok(true)
        {
            return true;
        }
        tokio::spawn(async move { timeout(LINGER, rest.discard(usize::MAX)).await });
        false
    }
}

impl Rest {
    /// Reads to the end, but at most about `limit` bytes; returns whether the end was reached.
    async fn discard(&mut self, mut limit: usize) -> bool {
        while let Some(frame) = self.incoming.frame().await {
            let Ok(frame) = frame else { return false };
            match limit.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => limit = rest,
                None => return false,
            }
        }
        true
    }
}
