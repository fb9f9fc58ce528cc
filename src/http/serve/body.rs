//! The body of a request: its limits, and what becomes of a body that no handler
//! reads.
//!
//! # Reading
//!
//! [`Body`] counts bytes and time while a handler reads. A `content-length` above
//! the limit is rejected before anything is read, so a client that sent
//! `Expect: 100-continue` is never asked to send such a body.
//!
//! # Bodies that are not read
//!
//! A handler may respond without reading the body, for example to reject a request.
//! Over HTTP/1.1 the rest of the body is still on the connection, and would be taken
//! for the next request. Closing the connection immediately would be wrong too: the
//! client is still sending, so the close resets the connection, and its system may
//! discard the response with it. Hence:
//!
//! ```text
//! the rest is short and arrives within 1 s   discard it, keep the connection
//! the client waits for 100 Continue          respond with `connection: close`,
//! the rest is long or slow                     discard for 2 s more, then close
//! ```
//!
//! HTTP/2 has a stream for each request and needs none of this.

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

/// How much of a body that no handler reads is discarded to keep the connection, in
/// bytes.
const MOST_DISCARDED: usize = 64 << 10;

/// How long that may take, during which the response waits.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client may continue to send after the response, before the connection
/// is closed.
const LINGER: Duration = Duration::from_secs(2);

/// The body of a request, at most as long as the server allows, and received within
/// its timeout.
///
/// It implements [`http_body::Body`](hyper::body::Body), so frameworks accept it. An
/// `axum::Router` does, and its extractors respond with 413 to a body that is too
/// long.
///
/// A handler may drop a body without reading it to its end. The connection then
/// discards a short rest and serves the next request, or tells the client that it
/// closes.
///
/// ```
/// use std::convert::Infallible;
///
/// use flagstaff::http::{Body, Peer, Server};
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use hyper::body::Bytes;
///
/// /// Responds with the body of the request, if it has at most 100 bytes.
/// async fn echo(mut request: Request<Body>) -> Result<Response<Full<Bytes>>, Infallible> {
///     let body = request.body_mut();
///     body.set_limit(100);
///     let response = match body.bytes().await {
///         Ok(bytes) => Response::new(Full::new(bytes)),
///         Err(error) => Response::new(Full::from(error.to_string())),
///     };
///     Ok(response)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bound = Server::builder().listen(([127, 0, 0, 1], 0)).bind().await?;
/// let server = bound.serve(|_: &Peer| tower::service_fn(echo));
/// server.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Body {
    /// The body as hyper receives it. Taken when this is dropped.
    incoming: Option<Incoming>,
    /// How many more bytes may be read.
    left: usize,
    /// The timeout for the whole body, from the first time that a read has to wait.
    timeout: Duration,
    /// The timer, once a read had to wait. Most bodies arrive with the head and need
    /// none.
    late: Option<Pin<Box<Sleep>>>,
    /// Whether the client waits for `100 Continue` before it sends the body. hyper
    /// sends that when the body is first read.
    is_held_back: bool,
    /// Where to leave an unread rest for the connection; `None` over HTTP/2.
    unread: Option<Unread>,
}

/// Why the body of a request could not be read to its end.
///
/// The status codes that suit them are 413 (content too large), 408 (request
/// timeout) and 400 (bad request).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is longer than allowed.
    #[error("the body of the request is too long")]
    TooLong,
    /// The client took too long to send the body.
    #[error("the body of the request did not arrive in time")]
    TimedOut,
    /// The connection was lost, or the body is malformed.
    #[error("the body of the request did not arrive as a whole")]
    Incomplete(#[source] hyper::Error),
}

impl BodyError {
    /// The error in the form that frameworks recognize.
    fn into_known(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::TooLong => length_limit_error(),
            other => Box::new(other),
        }
    }
}

/// The error of `http_body_util` to which frameworks respond with 413.
///
/// It has no constructor, so it is taken from a body of one byte with a limit of
/// zero.
fn length_limit_error() -> Box<dyn Error + Send + Sync> {
    let mut limited = Limited::new(Full::new(Bytes::from_static(b"x")), 0);
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(&mut limited).poll_frame(&mut context) {
        Poll::Ready(Some(Err(error))) => error,
        _ => Box::new(BodyError::TooLong),
    }
}

impl Body {
    /// A body of which at most `limit` bytes may be read.
    pub(crate) fn new(
        incoming: Incoming,
        is_held_back: bool,
        limit: usize,
        timeout: Duration,
        unread: Option<Unread>,
    ) -> Self {
        Self { incoming: Some(incoming), left: limit, timeout, late: None, is_held_back, unread }
    }

    /// Sets how many more bytes may be read, in place of the server's
    /// [limit](super::ServerBuilder::max_body). It may be higher or lower.
    pub fn set_limit(&mut self, bytes: usize) {
        self.left = bytes;
    }

    /// Reads the body to its end. Trailers are ignored.
    ///
    /// If its future is dropped, the parts that were read are lost.
    ///
    /// # Errors
    ///
    /// If the body is too long, late or incomplete.
    pub async fn bytes(&mut self) -> Result<Bytes, BodyError> {
        let Some(first) = self.data().await? else { return Ok(Bytes::new()) };
        if self.is_end_stream() {
            return Ok(first);
        }
        // Most bodies arrive in one part, which need not be copied.
        let Some(second) = self.data().await? else { return Ok(first) };
        let mut whole = Vec::with_capacity(first.len() + second.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(part) = self.data().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole.into())
    }

    /// The next part of the body, never an empty one; `None` at the end.
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

    /// The next frame, within the limits.
    ///
    /// The timer starts with the first read that has to wait and is not reset by
    /// later parts: a client that sends a byte now and then does not gain time.
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        // Before the first read: a client that waits for `100 Continue` then never sends the body.
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
            // A body that is too long stays so if it is read again.
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

/// Leaves what was not read to the connection.
impl Drop for Body {
    fn drop(&mut self) {
        if let (Some(unread), Some(incoming)) = (&self.unread, self.incoming.take())
            && !incoming.is_end_stream()
        {
            unread.leave(Rest { incoming, is_held_back: self.is_held_back });
        }
    }
}

/// Where a body over HTTP/1.1 leaves what no handler has read.
///
/// The next request follows the last byte of the body, so the connection must know
/// whether all of it was read. Each connection has one of these, because its
/// requests come one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unread(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    /// The service has not returned the response yet.
    #[default]
    Responding,
    /// The body was dropped before its end, and before the response.
    Left(Rest),
    /// The service has returned the response. If the body is dropped now, the
    /// response was streamed while the body was read.
    Responded,
}

/// The rest of a body.
#[derive(Debug)]
struct Rest {
    incoming: Incoming,
    is_held_back: bool,
}

impl Unread {
    /// Locks the state, for as long as it takes to replace it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request.
    pub(crate) fn begin(&self) {
        *self.state() = State::Responding;
    }

    /// Takes the rest of a body that was dropped.
    fn leave(&self, mut rest: Rest) {
        let mut state = self.state();
        if matches!(*state, State::Responding) {
            *state = State::Left(rest);
        } else if let Ok(runtime) = Handle::try_current() {
            // As in `discard`, but it is too late for a header that says the connection closes.
            runtime.spawn(async move { timeout(LINGER, rest.discard(usize::MAX)).await });
        }
    }

    /// Discards what the handler has not read, if it is short and arrives soon.
    ///
    /// Returns whether the connection can serve another request. If not, a task
    /// discards the rest for a while, because a client that is still sending when the
    /// connection is closed may lose the response.
    pub(crate) async fn discard(&self) -> bool {
        let state = std::mem::replace(&mut *self.state(), State::Responded);
        let State::Left(mut rest) = state else { return true };
        // A client that waits for `100 Continue` may or may not send the body after an error. hyper
        // writes the response before it reads on, so the task below does not cause that status.
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
    /// Reads to the end, but not much more than `limit` bytes. Returns whether the end
    /// was reached.
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
