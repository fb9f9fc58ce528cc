//! The framing of gRPC: messages in HTTP/2 bodies, and the status in trailers.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header::CONTENT_TYPE};
use hyper::body::{Bytes, Incoming};
use prost::{
    Message,
    bytes::{Buf, BufMut, BytesMut},
};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::{
    body::{self, ReadError, Reply},
    respond,
};

const CONTENT: &str = "application/grpc";

/// A flag, and the length of the message.
const PREFIX: usize = 5;

/// Whether a request is one of gRPC with protobuf.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == CONTENT || kind == "application/grpc+proto")
}

/// Reads the one message of a request.
pub(crate) async fn receive<M: Message + Default>(
    request: Request<Incoming>,
    limit: usize,
) -> Result<(HeaderMap, M), Response<Reply>> {
    if request.version() != Version::HTTP_2 {
        return Err(respond::status(StatusCode::HTTP_VERSION_NOT_SUPPORTED));
    }
    let (parts, body) = request.into_parts();
    let bytes = match body::read(body, limit.saturating_add(PREFIX)).await {
        Ok(bytes) => bytes,
        Err(error) => return Err(failed(&unread(&error, limit))),
    };
    match decode(bytes) {
        Ok(message) => Ok((parts.headers, message)),
        Err(status) => Err(failed(&status)),
    }
}

/// What to say of a request that could not be read.
pub(crate) fn unread(error: &ReadError, limit: usize) -> Status {
    match error {
        ReadError::TooLarge => {
            Status::resource_exhausted(format!("the request is longer than {limit} bytes"))
        }
        ReadError::Incomplete => Status::cancelled("the request did not arrive as a whole"),
    }
}

fn decode<M: Message + Default>(mut bytes: Bytes) -> Result<M, Status> {
    if bytes.len() < PREFIX {
        return Err(Status::invalid_argument("the request holds no message"));
    }
    let compressed = bytes.get_u8() != 0;
    let length = bytes.get_u32();
    if compressed {
        return Err(Status::unimplemented("compressed messages are not supported"));
    }
    if usize::try_from(length) != Ok(bytes.len()) {
        return Err(Status::invalid_argument("the request does not hold exactly one message"));
    }
    M::decode(bytes)
        .map_err(|error| Status::invalid_argument(format!("unmarshal message: {error}")))
}

/// A message in its frame.
pub(crate) fn frame(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::with_capacity(128);
    bytes.put_bytes(0, PREFIX);
    write(&mut bytes);
    let length = u32::try_from(bytes.len() - PREFIX).unwrap_or(u32::MAX);
    bytes[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    bytes.freeze()
}

fn response(reply: Reply) -> Response<Reply> {
    let mut response = Response::new(reply);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
    response
}

/// The answer to a unary call.
pub(crate) fn answer(framed: Bytes) -> Response<Reply> {
    response(Reply::Message(Some(framed), false))
}

/// The answer to a call with a stream of messages.
pub(crate) fn stream(messages: mpsc::Receiver<Result<Bytes, Status>>) -> Response<Reply> {
    response(Reply::Stream(messages, false))
}

/// The answer to a call that failed.
pub(crate) fn failed(status: &Status) -> Response<Reply> {
    let mut response = response(Reply::empty());
    if status.add_header(response.headers_mut()).is_err() {
        let unknown = Status::new(Code::Unknown, "");
        let _ = unknown.add_header(response.headers_mut());
    }
    if status.code() == Code::Unimplemented {
        let identity = HeaderValue::from_static("identity");
        response.headers_mut().insert("grpc-accept-encoding", identity);
    }
    response
}

#[cfg(test)]
mod tests {
    use prost_types::Value;

    use super::*;

    #[test]
    fn one_message_and_nothing_else() {
        let value = Value::from("x");
        let bytes = frame(|out| value.encode(out).unwrap());
        assert_eq!(decode::<Value>(bytes.clone()).unwrap(), value);
        for (bytes, code) in [
            (Bytes::new(), Code::InvalidArgument),
            (bytes.slice(..4), Code::InvalidArgument),
            (bytes.slice(..bytes.len() - 1), Code::InvalidArgument),
            ([&*bytes, &*bytes].concat().into(), Code::InvalidArgument),
            ([&[1], &bytes[1..]].concat().into(), Code::Unimplemented),
            (frame(|out| out.put_bytes(0xff, 3)), Code::InvalidArgument),
        ] {
            assert_eq!(decode::<Value>(bytes).unwrap_err().code(), code);
        }
    }
}
