//! Bodies of requests, read within a limit, and of responses.
//!
//! There is one type for all bodies of responses, [`ResponseBody`], so that the
//! service of a connection needs no boxed body. Its variants are what the protocols need:
//!
//! ```text
//! Whole     DATA                         OFREP, Connect, probes
//! Message   DATA, trailers grpc-status 0 a gRPC call that succeeded
//! Failure         trailers grpc-status n a gRPC call that failed
//! Stream    DATA ... DATA, an ending     event and sync streams
//! ```
//!
//! Each variant keeps what is still to be sent, so a body is also its own state.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use http::HeaderMap;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;
use tonic::{Code, Status};

pub(crate) use crate::http::Body as Received;
use crate::http::BodyError;

/// Why the body of a request was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// It is longer than allowed.
    TooLarge,
    /// It did not arrive as a whole: the client stopped, or was too slow.
    Incomplete,
}

/// Reads a body of at most `limit` bytes. How long the client may take is a limit
/// of the listener.
pub(crate) async fn read(received: &mut Received, limit: usize) -> Result<Bytes, ReadError> {
    received.set_limit(limit);
    received.bytes().await.map_err(|error| match error {
        BodyError::TooLong => ReadError::TooLarge,
        BodyError::TimedOut | BodyError::Incomplete(_) => ReadError::Incomplete,
    })
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// These bytes, unless there are none or they were sent.
    Whole(Option<Bytes>),
    /// The message of a gRPC call that succeeded, until it is sent; and whether the
    /// trailers were sent too.
    Message(Option<Bytes>, bool),
    /// The status of a gRPC call that failed, for the trailers, until it is sent.
    Failure(Option<Status>),
    /// Messages as they come, and how the protocol ends a stream, until it is
    /// ended. An error in the channel is the last item and the status of the end.
    Stream(mpsc::Receiver<Result<Bytes, Status>>, Option<Ending>),
}

/// Makes the last frame of a stream from its status: trailers in gRPC, an envelope
/// in Connect.
pub(crate) type Ending = fn(&Status) -> Frame<Bytes>;

impl ResponseBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self::Whole(None)
    }

    /// A whole body. Empty bytes are no body, so that no empty frame is sent.
    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty()))
    }

    /// A stream of messages. It ends with status `Ok` if the sender is dropped, or
    /// with the error that it sends.
    pub(crate) fn stream(messages: mpsc::Receiver<Result<Bytes, Status>>, end: Ending) -> Self {
        Self::Stream(messages, Some(end))
    }

    /// Keeps something alive until the bytes are sent or dropped, wherever hyper
    /// puts them meanwhile. Bodies without bytes, and streams, keep nothing.
    pub(crate) fn holding(self, kept: impl Send + 'static) -> Self {
        let hold = |bytes| Bytes::from_owner(Holding { bytes, _kept: kept });
        match self {
            Self::Whole(bytes) => Self::Whole(bytes.map(hold)),
            Self::Message(bytes, ended) => Self::Message(bytes.map(hold), ended),
            other @ (Self::Failure(_) | Self::Stream(..)) => other,
        }
    }
}

/// Bytes, and what is dropped together with the last reference to them.
struct Holding<K> {
    bytes: Bytes,
    _kept: K,
}

impl<K> AsRef<[u8]> for Holding<K> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The trailers of a gRPC call that succeeded.
fn success() -> HeaderMap {
    HeaderMap::from_iter([(Status::GRPC_STATUS, http::HeaderValue::from_static("0"))])
}

/// The trailers of a gRPC call with this status. A message that cannot be a header
/// is left out, and the code is then `UNKNOWN` (2).
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        return HeaderMap::from_iter([(Status::GRPC_STATUS, http::HeaderValue::from_static("2"))]);
    }
    trailers
}

impl Body for ResponseBody {
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

    /// Exact for whole bodies, which hyper then sends with `content-length`.
    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            _ => SizeHint::default(),
        }
    }
}
