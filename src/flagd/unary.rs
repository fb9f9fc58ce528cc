//! A unary call of gRPC: one message there, one back, by HTTP/2's frames.
//!
//! tonic's client makes streams of both, which costs a call more than all else that it does.

use std::{future::poll_fn, time::Duration};

use http::{
    HeaderName, HeaderValue, Method, Request, Response, Uri, Version,
    header::{CONTENT_TYPE, TE},
    uri::PathAndQuery,
};
use http_body_util::{BodyExt, Full};
use prost::bytes::{Bytes, BytesMut};
use tonic::{Code, Status, body::Body};
use tower_service::Service;

use super::transport::{Transport, TransportError, code_of};

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

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
    let mut transport = transport.clone();
    poll_fn(|cx| transport.poll_ready(cx)).await.map_err(local)?;
    let mut request = Request::new(Body::new(Full::new(frame)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(path);
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(timeout) = timeout {
        headers.insert(TIMEOUT, encoded(timeout));
    }
    read(transport.call(request).await.map_err(local)?, limit).await
}

/// The status of what went wrong on this side, which stays its source.
fn local(error: TransportError) -> Status {
    Status::from_error(error.into())
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

async fn read(response: Response<Body>, limit: usize) -> Result<Bytes, Status> {
    if let Some(status) = Status::from_header_map(response.headers()) {
        return Err(match status.code() {
            Code::Ok => missing(),
            _ => status,
        });
    }
    let http = response.status();
    let mut body = response.into_body();
    let mut message = Message::default();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => message.add(data, limit)?,
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let status = trailers.as_ref().and_then(Status::from_header_map);
    match status {
        Some(status) if status.code() == Code::Ok => message.whole(),
        Some(status) => Err(status),
        None => {
            Err(Status::new(code_of(http), format!("the answer is HTTP {http}, without a status")))
        }
    }
}

fn missing() -> Status {
    Status::internal("the answer holds no message")
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
                "the answer has {len} bytes, and {limit} are the limit"
            ))),
            Some(len) if self.0.len() > HEAD + len => {
                Err(Status::internal("the answer holds more than one message"))
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
                "the answer is compressed, which was not offered (its first byte is {compressed})"
            )));
        }
        usize::try_from(u32::from_be_bytes(len))
            .map(Some)
            .map_err(|_| Status::out_of_range("the answer is too long"))
    }

    fn whole(self) -> Result<Bytes, Status> {
        match self.len()? {
            None if self.0.is_empty() => Err(missing()),
            Some(len) if self.0.len() == HEAD + len => Ok(self.0.slice(HEAD..)),
            _ => Err(Status::internal("the answer ends in the middle of its message")),
        }
    }
}
