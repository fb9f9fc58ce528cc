//! A unary gRPC call over HTTP/2: one message there, one back.
//!
//! tonic's client treats both as streams, which costs more than everything else
//! that a call does. This module does the same with one buffer each way, after the
//! [specification]. On the wire:
//!
//! ```text
//! HEADERS  :method POST, :path /flagd.evaluation.v2.Service/ResolveBoolean,
//!          te trailers, content-type application/grpc, grpc-timeout 500000u
//! DATA     00 | 00 00 00 08 | 0a 04 'f' 'l' 'a' 'g' 12 00
//!          │    │             └ the message
//!          │    └ its length, big-endian
//!          └ not compressed
//!
//! HEADERS  :status 200, content-type application/grpc
//! DATA     00 | 00 00 00 0a | 08 01 12 06 'S' 'T' 'A' 'T' 'I' 'C'
//! HEADERS  grpc-status 0
//! ```
//!
//! An error usually has no DATA; its `grpc-status` and `grpc-message` are in the
//! trailers, or in the only headers. The status decides: a message before an error status is
//! ignored, and a message without a status is an error.
//!
//! [specification]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_TYPE, TE},
    uri::PathAndQuery,
};
use http_body_util::{BodyExt, Full};
use prost::bytes::{Bytes, BytesMut};
use tonic::{Status, body::Body};

use super::transport::{DETAILS, Transport, TransportError, code_of, other_protocol};

/// The time that is left for the call, for the server; see [`encoded`].
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The status code of a response, as a decimal number.
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How many headers a call has, including the `user-agent` of the channel and not
/// including those of the options.
const HEADERS: usize = 4;

/// The number of bytes before a message: one says whether it is compressed, and four
/// are its length.
const HEAD: usize = 5;

/// Makes a call. `frame` is the request with its head, and the result is the message
/// of the response without one.
///
/// `timeout` is sent to the server and enforced by the channel up to the headers of
/// the response; without it, the call is unbounded. Cancel-safe: if the future is
/// dropped, the server is told to stop (`RST_STREAM`).
///
/// # Errors
///
/// - The status of the server.
/// - A status with a [`TransportError`] as its source, if it was made on this side.
/// - `OUT_OF_RANGE` if the message is longer than `limit` bytes. It is not read to
///   its end, and no memory is reserved for it.
/// - `INTERNAL` if there is not exactly one message, or it is compressed.
/// - By the HTTP status, if the response is not gRPC or has no gRPC status.
pub(crate) async fn call(
    transport: &Transport,
    path: PathAndQuery,
    frame: Bytes,
    timeout: Option<Duration>,
    limit: usize,
) -> Result<Bytes, Status> {
    let channel = transport.ready().await?;
    let sent = transport.send(channel, request(transport, path, frame, timeout));
    let response = sent.await.map_err(|error| TransportError::new(&error))?;
    let (http, body) = begin(response)?;
    read(http, body, limit).await
}

/// The request of a call.
// What is moved into an async function takes room in its future until the end, and each evaluation
// allocates that room. This is therefore left to functions that are not async.
fn request(
    transport: &Transport,
    path: PathAndQuery,
    frame: Bytes,
    timeout: Option<Duration>,
) -> Request<Body> {
    let mut headers = HeaderMap::with_capacity(HEADERS + transport.extra_headers());
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(timeout) = timeout {
        headers.insert(TIMEOUT, encoded(timeout));
    }
    let mut request = Request::new(Body::new(Full::new(frame)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(path);
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    request
}

/// The HTTP status and the body to read, if the headers do not already end the
/// response.
fn begin(response: Response<Body>) -> Result<(StatusCode, Body), Status> {
    if let Some(other) = other_protocol(&response) {
        return Err(other.into());
    }
    let (parts, body) = response.into_parts();
    if parts.headers.contains_key(STATUS) {
        return Err(failure(parts.headers).unwrap_or_else(missing));
    }
    Ok((parts.status, body))
}

/// The value of `grpc-timeout`: at most eight digits in the finest unit that has room
/// for them, such as `500000u` for 500 ms and `100000S` for 100,000 s.
///
/// It is rounded up, never down, so that the server does not give up before this
/// side. Rounding to a tenth of a millisecond makes the header of most calls the
/// same, and HTTP/2 then sends an index of one or two bytes in its place.
fn encoded(timeout: Duration) -> HeaderValue {
    const MAX: u128 = 99_999_999;
    let micros = timeout.as_micros().div_ceil(100) * 100;
    let units = [(1, 'u'), (1_000, 'm'), (1_000_000, 'S'), (60_000_000, 'M'), (3_600_000_000, 'H')];
    let fitting = units.iter().find(|(unit, _)| micros.div_ceil(*unit) <= MAX);
    let (unit, letter) = fitting.unwrap_or(&units[4]);
    let text = format!("{}{letter}", micros.div_ceil(*unit).min(MAX));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("99999999H"))
}

/// Reads the message and the trailers, in which the status is.
async fn read(http: StatusCode, mut body: Body, limit: usize) -> Result<Bytes, Status> {
    let mut message = Message::default();
    let mut end = None;
    while let Some(frame) = body.frame().await {
        match frame.map_err(|status| TransportError::new(&status))?.into_data() {
            Ok(data) => message.add(data, limit)?,
            Err(frame) => {
                let trailers = frame.into_trailers().ok();
                end = trailers.filter(|trailers| trailers.contains_key(STATUS)).map(failure);
            }
        }
    }
    match end {
        Some(None) => message.whole(),
        Some(Some(status)) => Err(status),
        None => {
            let text = format!("the response is HTTP {http}, without a gRPC status");
            Err(Status::new(code_of(http), text))
        }
    }
}

/// The status; `None` if it is OK, or if there is none.
fn failure(mut headers: HeaderMap) -> Option<Status> {
    // The usual case. A `Status` would copy the headers.
    if headers.get(STATUS)? == "0" {
        return None;
    }
    headers.remove(DETAILS);
    Status::from_header_map(&headers)
}

/// The status is OK, but there is no message.
fn missing() -> Status {
    Status::internal("the response contains no message")
}

/// The bytes that were received so far, including the head.
#[derive(Default)]
struct Message(Bytes);

impl Message {
    /// Adds the data of a frame. Most messages are in one frame, which is kept as it
    /// is; more of them are copied together.
    ///
    /// # Errors
    ///
    /// The head says that the message is longer than `limit` or compressed.
    fn add(&mut self, data: Bytes, limit: usize) -> Result<(), Status> {
        if self.0.is_empty() {
            self.0 = data;
        } else if !data.is_empty() {
            let former = std::mem::take(&mut self.0);
            let mut joined = BytesMut::from(former);
            joined.extend_from_slice(&data);
            self.0 = joined.freeze();
        }
        match self.len()? {
            Some(len) if len > limit => Err(Status::out_of_range(format!(
                "the response has {len} bytes, but the limit is {limit}"
            ))),
            Some(len) if self.0.len() > HEAD + len => {
                Err(Status::internal("the response contains more than one message"))
            }
            _ => Ok(()),
        }
    }

    /// The length of the message without its head; `None` until the head is
    /// complete.
    fn len(&self) -> Result<Option<usize>, Status> {
        let Some((&[compressed, len @ ..], _)) = self.0.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        if compressed != 0 {
            return Err(Status::internal(format!(
                "the response is compressed, although the request accepts no compression (its first \
                 byte is {compressed})"
            )));
        }
        usize::try_from(u32::from_be_bytes(len))
            .map(Some)
            .map_err(|_| Status::out_of_range("the response is too long"))
    }

    /// The message without its head, once the response has ended.
    ///
    /// # Errors
    ///
    /// There is no message, less than one, or more than one.
    fn whole(self) -> Result<Bytes, Status> {
        match self.len()? {
            None if self.0.is_empty() => Err(missing()),
            Some(len) if self.0.len() == HEAD + len => Ok(self.0.slice(HEAD..)),
            _ => Err(Status::internal("the response ends in the middle of its message")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use prost::bytes::BufMut;
    use tokio_stream::iter;
    use tonic::Code;

    use super::*;

    #[test]
    fn a_timeout_has_eight_digits_at_most_and_is_never_too_short() {
        let micros = Duration::from_micros;
        for (timeout, header) in [
            (Duration::ZERO, "0u"),
            (micros(1), "100u"),
            (micros(499_901), "500000u"),
            (Duration::from_millis(500), "500000u"),
            (micros(99_999_900), "99999900u"),
            (micros(99_999_901), "100000m"),
            (Duration::from_secs(99_999), "99999000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(100_000_000), "1666667M"),
            (Duration::from_secs(6_000_000_000), "1666667H"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(encoded(timeout), header, "{timeout:?}");
        }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut framed = vec![0];
        framed.put_u32(message.len().try_into().unwrap());
        framed.put_slice(message);
        framed
    }

    const OK: &[(&str, &str)] = &[("grpc-status", "0")];

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields.iter();
        let fields = fields
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        fields.collect()
    }

    /// What is read from frames of data and from trailers.
    async fn received(
        data: impl IntoIterator<Item = &[u8]>,
        trailers: &[(&'static str, &'static str)],
    ) -> Result<Bytes, Status> {
        let data = data.into_iter().map(|data| Frame::data(Bytes::copy_from_slice(data)));
        let frames = data.chain([Frame::trailers(headers(trailers))]).map(Ok::<_, Status>);
        let body = StreamBody::new(iter(frames.collect::<Vec<_>>()));
        read(StatusCode::OK, Body::new(body), 1000).await
    }

    fn code(received: Result<Bytes, Status>) -> Code {
        received.unwrap_err().code()
    }

    #[tokio::test]
    async fn a_message_in_any_number_of_frames_is_one() {
        let message: Vec<u8> = (0..=255).collect();
        let whole = framed(&message);
        for size in [1, 2, 3, 4, 5, 6, 7, 100, 260, 261] {
            let received = received(whole.chunks(size), OK).await.unwrap();
            assert_eq!(received, message, "frames of {size}");
        }
        let empty = received([&framed(&[])[..], &[]], OK).await.unwrap();
        assert!(empty.is_empty());
    }

    #[tokio::test]
    async fn what_is_not_one_message_is_an_error() {
        let one = framed(b"one");
        let two = [one.clone(), one.clone()].concat();
        for data in [&[][..], &one[..4], &one[..7], &two, b"\x01\0\0\0\0", b"<html>"] {
            assert_eq!(code(received([data], OK).await), Code::Internal, "{data:?}");
        }
        assert_eq!(code(received([&one[..], &one[..5]], OK).await), Code::Internal);
        // The rest of the message is not awaited.
        assert_eq!(code(received([&framed(&[0; 1001])[..5]], OK).await), Code::OutOfRange);
        assert_eq!(received([&framed(&[0; 1000])[..]], OK).await.unwrap().len(), 1000);
    }

    #[tokio::test]
    async fn the_status_decides() {
        let one = framed(b"one");
        let failed = &[("grpc-status", "5"), ("grpc-message", "no%20flag")];
        for data in [&[][..], &one] {
            let status = received([data], failed).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::NotFound, "no flag"));
            assert_eq!(code(received([data], &[("grpc-status", "x")]).await), Code::Unknown);
            assert_eq!(code(received([data], &[]).await), Code::Unknown);
        }
        // tonic panics when it decodes these details.
        let details = &[("grpc-status", "5"), ("grpc-status-details-bin", "not base64!")];
        assert_eq!(code(received([&[][..]], details).await), Code::NotFound);
    }

    #[test]
    fn a_status_in_the_headers_is_the_end() {
        for (fields, code) in [
            (OK, Code::Internal),
            (&[("grpc-status", "3")], Code::InvalidArgument),
            (&[("grpc-status", "3"), ("grpc-status-details-bin", "!")], Code::InvalidArgument),
        ] {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = headers(fields);
            assert_eq!(begin(response).unwrap_err().code(), code);
        }
    }

    /// The table of `http-grpc-status-mapping.md`, for gRPC that ends without a status.
    #[tokio::test]
    async fn without_a_status_that_of_http_counts() {
        for (http, code) in
            [(200, Code::Unknown), (404, Code::Unimplemented), (503, Code::Unavailable)]
        {
            let http = StatusCode::from_u16(http).unwrap();
            assert_eq!(super::tests::code(read(http, Body::empty(), 1000).await), code);
        }
    }
}
