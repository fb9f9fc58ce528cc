//! gRPC: messages in HTTP/2 bodies, and the status in trailers.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version,
    header::CONTENT_TYPE,
};
use hyper::body::{Bytes, Frame, Incoming};
use prost::Message;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::{
    body::{self, ReadError, Reply},
    envelope::{self, Framing},
    respond,
};

const CONTENT: &str = "application/grpc";
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

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
    let message = async {
        envelope::not_encoded(&parts.headers, &ENCODING)?;
        let bytes = body::read(body, limit.saturating_add(envelope::PREFIX)).await;
        let bytes = bytes.map_err(|error| unread(&error, limit))?;
        M::decode(envelope::message(bytes, Framing::Grpc)?).map_err(|error| malformed(&error))
    };
    match message.await {
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

/// What to say of a message that is none of its kind.
pub(crate) fn malformed(error: &dyn std::fmt::Display) -> Status {
    Status::invalid_argument(format!("unmarshal message: {error}"))
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
    response(Reply::stream(messages, |status| Frame::trailers(body::trailers(status))))
}

/// The answer to a call that failed.
pub(crate) fn failed(status: &Status) -> Response<Reply> {
    let mut response = response(Reply::empty());
    if status.add_header(response.headers_mut()).is_err() {
        let unknown = Status::new(Code::Unknown, "");
        let _ = unknown.add_header(response.headers_mut());
    }
    if status.code() == Code::Unimplemented {
        let identity = HeaderValue::from_static(envelope::IDENTITY);
        response.headers_mut().insert("grpc-accept-encoding", identity);
    }
    response
}
