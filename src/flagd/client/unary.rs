//! A unary call of gRPC: one message there, one back, by HTTP/2's frames.
//!
//! tonic's client makes streams of both, which costs a call more than all else that it does.

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

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The headers of a call, the channel's `user-agent` included.
const HEADERS: usize = 4;

/// The length of what precedes a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// Sends a message that is framed already, and gives the message that comes back, no longer than
/// `limit`.
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

// What is moved into an async function takes room in it until its end, and an evaluation allocates
// that room; so it is left to functions that are not.
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

/// What is to be read, unless the headers say that there is nothing.
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

/// The time in the finest unit that has room for it in eight digits. It is rounded up, to a tenth of a
/// millisecond: HTTP/2 does not send a header again that is the same in one call after the other.
fn encoded(timeout: Duration) -> HeaderValue {
    const MAX: u128 = 99_999_999;
    let micros = timeout.as_micros().div_ceil(100) * 100;
    let units = [(1, 'u'), (1_000, 'm'), (1_000_000, 'S'), (60_000_000, 'M'), (3_600_000_000, 'H')];
    let fitting = units.iter().find(|(unit, _)| micros.div_ceil(*unit) <= MAX);
    let (unit, letter) = fitting.unwrap_or(&units[4]);
    let text = format!("{}{letter}", micros.div_ceil(*unit).min(MAX));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("99999999H"))
}

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

/// The status, unless it is OK.
fn failure(mut headers: HeaderMap) -> Option<Status> {
    // The usual case, for which a `Status`, which holds a copy of the headers, would be a waste.
    if headers.get(STATUS)? == "0" {
        return None;
    }
    headers.remove(DETAILS);
    Status::from_header_map(&headers)
}

fn missing() -> Status {
    Status::internal("the response contains no message")
}

/// What has come of a message, what precedes it included.
#[derive(Default)]
struct Message(Bytes);

impl Message {
    /// Adds what has come; one message may be in several frames, if seldom.
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

    /// The length that it will have, once that is known.
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

    /// What comes of frames of data, and of trailers.
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
        // It is not waited for.
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
