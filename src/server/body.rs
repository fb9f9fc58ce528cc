//! Bodies of requests, read within a limit, and of responses.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, Request, header::EXPECT, request::Parts};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use prost::bytes::BytesMut;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Status};

/// How long a client may take to send a request that was begun.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of a body that no handler reads is discarded to keep the connection, and for how long.
const MOST_DISCARDED: usize = 64 << 10;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client may go on sending after the response, before the connection is closed.
const LINGER: Duration = Duration::from_secs(2);

/// Why the body of a request was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// It is longer than allowed.
    TooLarge,
    /// It did not arrive as a whole.
    Incomplete,
}

/// The body of a request, which its connection keeps while a handler reads it: over HTTP/1 the next
/// request follows its last byte, so the connection must know whether the handler has read all of it.
#[derive(Debug)]
pub(crate) struct Received {
    body: Incoming,
    /// Whether the client waits for `100 Continue` before it sends the body.
    is_held_back: bool,
}

impl Received {
    /// Splits a request from its body.
    pub(crate) fn split(request: Request<Incoming>) -> (Parts, Self) {
        let (parts, body) = request.into_parts();
        let is_held_back = parts.headers.contains_key(EXPECT);
        (parts, Self { body, is_held_back })
    }

    /// Discards what the handler has not read, if it is short and arrives soon. Returns whether the
    /// connection can serve another request; if not, a task discards the rest for a while, because a
    /// client that still sends when the connection is closed may lose the response.
    pub(crate) async fn discard(mut self) -> bool {
        if self.body.is_end_stream() {
            return true;
        }
        // A client that was held back may send the body after the error, or not. hyper writes the response
        // before it reads on, so that the task below does not make it send `100 Continue`.
        if !self.is_held_back && self.body.size_hint().lower() <= MOST_DISCARDED as u64 {
            let rest = discard(&mut self.body, MOST_DISCARDED);
            if timeout(DISCARD_TIMEOUT, rest).await == Ok(true) {
                return true;
            }
        }
        tokio::spawn(timeout(LINGER, async move { discard(&mut self.body, usize::MAX).await }));
        false
    }
}

/// Reads to the end, but at most about `limit` bytes; returns whether the end was reached.
async fn discard(body: &mut Incoming, mut limit: usize) -> bool {
    while let Ok(next) = next(body).await {
        let Some(bytes) = next else { return true };
        match limit.checked_sub(bytes.len()) {
            Some(rest) => limit = rest,
            None => return false,
        }
    }
    false
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(received: &mut Received, limit: usize) -> Result<Bytes, ReadError> {
    let body = &mut received.body;
    if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > limit) {
        return Err(ReadError::TooLarge);
    }
    received.is_held_back = false;
    timeout(READ_TIMEOUT, async {
        let Some(first) = next(body).await? else { return Ok(Bytes::new()) };
        if first.len() > limit {
            return Err(ReadError::TooLarge);
        }
        if body.is_end_stream() {
            return Ok(first);
        }
        let Some(second) = next(body).await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity(first.len() + second.len());
        whole.extend_from_slice(&first);
        let mut part = Some(second);
        while let Some(bytes) = part {
            if whole.len() + bytes.len() > limit {
                return Err(ReadError::TooLarge);
            }
            whole.extend_from_slice(&bytes);
            part = next(body).await?;
        }
        Ok(whole.freeze())
    })
    .await
    .unwrap_or(Err(ReadError::Incomplete))
}

/// The next data; none at the end.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, ReadError> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(ReadError::Incomplete),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum Reply {
    /// These bytes, if any.
    Whole(Option<Bytes>),
    /// The message of a gRPC call that went well, unless it was sent; and whether its trailers were.
    Message(Option<Bytes>, bool),
    /// The end of a gRPC call that failed, in trailers, until it was sent.
    Failure(Option<Status>),
    /// Messages as they come, and how their end is told, until it was.
    Stream(mpsc::Receiver<Result<Bytes, Status>>, Option<Ending>),
}

/// What a protocol ends a stream with.
pub(crate) type Ending = fn(&Status) -> Frame<Bytes>;

impl Reply {
    pub(crate) fn empty() -> Self {
        Self::Whole(None)
    }

    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty()))
    }

    /// A stream of messages.
    pub(crate) fn stream(messages: mpsc::Receiver<Result<Bytes, Status>>, end: Ending) -> Self {
        Self::Stream(messages, Some(end))
    }

    /// Keeps something until the bytes were sent, or given up.
    pub(crate) fn holding(self, kept: impl Send + 'static) -> Self {
        let hold = |bytes| Bytes::from_owner(Holding { bytes, _kept: kept });
        match self {
            Self::Whole(bytes) => Self::Whole(bytes.map(hold)),
            Self::Message(bytes, ended) => Self::Message(bytes.map(hold), ended),
            other @ (Self::Failure(_) | Self::Stream(..)) => other,
        }
    }
}

/// Bytes, and what is dropped with the last of them.
struct Holding<K> {
    bytes: Bytes,
    _kept: K,
}

impl<K> AsRef<[u8]> for Holding<K> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The trailers of a gRPC call that went well.
fn success() -> HeaderMap {
    HeaderMap::from_iter([(Status::GRPC_STATUS, http::HeaderValue::from_static("0"))])
}

/// The trailers of a gRPC call that ended so.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        return HeaderMap::from_iter([(Status::GRPC_STATUS, http::HeaderValue::from_static("2"))]);
    }
    trailers
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.get_mut() {
            Self::Whole(bytes) => bytes.take().map(Frame::data),
            Self::Message(bytes, ended) => match bytes.take() {
                Some(bytes) => Some(Frame::data(bytes)),
                None if std::mem::replace(ended, true) => None,
                None => Some(Frame::trailers(success())),
            },
            Self::Failure(status) => status.take().map(|status| Frame::trailers(trailers(&status))),
            Self::Stream(_, None) => None,
            Self::Stream(messages, end @ Some(_)) => {
                match std::task::ready!(messages.poll_recv(context)) {
                    Some(Ok(bytes)) => Some(Frame::data(bytes)),
                    Some(Err(status)) => end.take().map(|end| end(&status)),
                    None => end.take().map(|end| end(&Status::new(Code::Ok, ""))),
                }
            }
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Message(_, ended) => *ended,
            Self::Failure(status) => status.is_none(),
            Self::Stream(_, end) => end.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            _ => SizeHint::default(),
        }
    }
}
