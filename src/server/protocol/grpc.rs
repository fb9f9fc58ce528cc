//! gRPC: messages in HTTP/2 bodies, and the status in trailers
//! ([specification](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).
//!
//! ```text
//! a success        HEADERS 200   DATA envelope   HEADERS grpc-status: 0
//! an error         HEADERS 200                   HEADERS grpc-status: 5, grpc-message: ...
//! "Trailers-Only"  HEADERS 200, grpc-status: 12
//! ```
//!
//! Which of the last two an error takes differs between flagd's ports, and
//! clients can tell: see [`failed`].

use std::time::{Duration, Instant};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version,
    header::CONTENT_TYPE,
};
use hyper::body::{Bytes, Frame};
use prost::Message;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::{
    connect,
    envelope::{self, Framing},
    respond,
};
use crate::{
    excerpt::excerpt,
    server::body::{self, ReadError, Received, ResponseBody},
};

/// The content type of responses.
const CONTENT: &str = "application/grpc";
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Whether a request is gRPC with protobuf. gRPC-Web, and gRPC with JSON, are not.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == CONTENT || kind == "application/grpc+proto")
}

/// Reads the one message of a request.
///
/// # Errors
///
/// Returns the response of a call that fails: for a version of HTTP other than 2,
/// for a request that is malformed, compressed or longer than `limit` bytes, and
/// if the client's deadline has passed when the message is read.
pub(crate) async fn receive<M: Message + Default>(
    request: Request<&mut Received>,
    limit: usize,
) -> Result<(HeaderMap, M), Response<ResponseBody>> {
    if request.version() != Version::HTTP_2 {
        return Err(respond::status(StatusCode::HTTP_VERSION_NOT_SUPPORTED));
    }
    let (parts, body) = request.into_parts();
    let message = async {
        let (timeout, begun) = (timeout(&parts.headers)?, Instant::now());
        envelope::not_encoded(&parts.headers, &ENCODING)?;
        let bytes = body::read(body, limit.saturating_add(envelope::PREFIX)).await;
        let bytes = bytes.map_err(|error| unread(&error, limit))?;
        let message = envelope::message(bytes, Framing::Grpc)?;
        let message = M::decode(message).map_err(|error| malformed(&error))?;
        match timeout {
            Some(timeout) if begun.elapsed() >= timeout => {
                Err(Status::deadline_exceeded("context deadline exceeded"))
            }
            _ => Ok(message),
        }
    };
    match message.await {
        Ok(message) => Ok((parts.headers, message)),
        Err(status) => Err(failed(status)),
    }
}

/// How long the client waits, from the header `grpc-timeout`, if it says so.
///
/// # Errors
///
/// Returns `INVALID_ARGUMENT` for anything but 1 to 8 digits and a unit.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(header) = headers.get(TIMEOUT).filter(|header| !header.is_empty()) else {
        return Ok(None);
    };
    let parsed = header.to_str().ok().and_then(|text| {
        let (digits, unit) = text.split_at_checked(text.len() - 1)?;
        let unit = match unit {
            "H" => Duration::from_secs(3600),
            "M" => Duration::from_secs(60),
            "S" => Duration::from_secs(1),
            "m" => Duration::from_millis(1),
            "u" => Duration::from_micros(1),
            "n" => Duration::from_nanos(1),
            _ => return None,
        };
        let is_number = digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| digits.parse::<u32>().ok())?;
        Some(unit * number?)
    });
    let invalid = || {
        let text = format!(
            "{TIMEOUT} must be 1 to 8 digits and a unit, one of H, M, S, m, u, n: got {}",
            respond::quoted(header)
        );
        Status::invalid_argument(text)
    };
    parsed.map(Some).ok_or_else(invalid)
}

/// How long the client of a unary call waits, if it says so. [`receive`] has
/// checked the header already.
pub(crate) fn client_timeout(headers: &HeaderMap) -> Option<Duration> {
    timeout(headers).ok().flatten()
}

/// The status of a request whose body could not be read.
pub(crate) fn unread(error: &ReadError, limit: usize) -> Status {
    match error {
        ReadError::TooLarge => {
            Status::resource_exhausted(format!("the request is longer than {limit} bytes"))
        }
        ReadError::Incomplete => Status::cancelled("the request is incomplete"),
    }
}

/// The status of a message that cannot be decoded. The error may quote the
/// message, so it is shortened.
pub(crate) fn malformed(error: &dyn std::fmt::Display) -> Status {
    Status::invalid_argument(format!("unmarshal message: {}", excerpt(&error.to_string())))
}

/// The status of a call of an unknown procedure.
pub(crate) fn unknown(procedure: &str) -> Status {
    Status::unimplemented(format!("unknown procedure {:?}", excerpt(procedure)))
}

/// A response over gRPC: HTTP status 200, whatever the outcome.
fn response(body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
    response
}

/// The response to a unary call that succeeded, with a message in its envelope.
pub(crate) fn succeeded(framed: Bytes) -> Response<ResponseBody> {
    response(ResponseBody::Message(Some(framed), false))
}

/// The response to a call with a stream of messages, which ends in trailers.
pub(crate) fn stream(messages: mpsc::Receiver<Result<Bytes, Status>>) -> Response<ResponseBody> {
    response(ResponseBody::stream(messages, |status| Frame::trailers(body::trailers(status))))
}

/// The response to a call that failed, with the status in trailers after separate
/// headers, as on flagd's evaluation and management ports.
///
/// The headers matter to clients whose retry policy has this status: they retry a
/// call until it has received headers, and without them would finally report
/// their own deadline in place of the error.
///
/// `UNIMPLEMENTED` is [in the headers](in_headers), so that a client that opens a
/// stream knows before the first message.
pub(crate) fn failed(status: Status) -> Response<ResponseBody> {
    let is_unimplemented = status.code() == Code::Unimplemented;
    let mut response = failed_in_trailers(status);
    if is_unimplemented {
        let identity = HeaderValue::from_static(envelope::IDENTITY);
        response.headers_mut().insert("grpc-accept-encoding", identity);
        response = in_headers(response);
    }
    response
}

/// The same as [`failed`], with `UNIMPLEMENTED` in trailers too.
pub(crate) fn failed_in_trailers(status: Status) -> Response<ResponseBody> {
    response(ResponseBody::Failure(Some(status)))
}

/// The same response with the status in its only headers ("Trailers-Only"), as on
/// flagd's sync port.
pub(crate) fn in_headers(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    if let ResponseBody::Failure(Some(status)) = response.body() {
        let trailers = body::trailers(status);
        *response.body_mut() = ResponseBody::empty();
        response.headers_mut().extend(trailers);
    }
    response
}

/// The HTTP status that Connect has for the outcome of a unary call, for metrics.
/// gRPC itself always has 200.
pub(crate) fn http_status(response: &Response<ResponseBody>) -> StatusCode {
    match (response.body(), Status::from_header_map(response.headers())) {
        (ResponseBody::Failure(Some(status)), _) => connect::http_status(status.code()),
        (_, Some(status)) => connect::http_status(status.code()),
        _ => response.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        let of = |text: &'static str| {
            let header = (TIMEOUT, HeaderValue::from_static(text));
            timeout(&HeaderMap::from_iter([header])).map_err(|status| status.code())
        };
        assert_eq!(timeout(&HeaderMap::new()).unwrap(), None);
        assert_eq!(of(""), Ok(None));
        for (text, expected) in [
            ("2H", Duration::from_secs(7200)),
            ("2M", Duration::from_secs(120)),
            ("2S", Duration::from_secs(2)),
            ("250m", Duration::from_millis(250)),
            ("0250u", Duration::from_micros(250)),
            ("0n", Duration::ZERO),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(of(text), Ok(Some(expected)), "{text}");
        }
        for text in ["1", "S", "1s", "1h", "123456789S", "+1S", "-1S", "1.5S", " 1S", "1 S"] {
            assert_eq!(of(text), Err(Code::InvalidArgument), "{text}");
        }
    }

    #[test]
    fn outcomes_as_http_calls_them() {
        assert_eq!(http_status(&succeeded(Bytes::new())), StatusCode::OK);
        for (status, expected) in [
            (Status::not_found("x"), StatusCode::NOT_FOUND),
            (Status::invalid_argument("x"), StatusCode::BAD_REQUEST),
            (Status::unimplemented("x"), StatusCode::NOT_IMPLEMENTED),
        ] {
            assert_eq!(http_status(&failed(status.clone())), expected);
            assert_eq!(http_status(&in_headers(failed(status))), expected);
        }
        let refused = respond::status(StatusCode::HTTP_VERSION_NOT_SUPPORTED);
        assert_eq!(http_status(&refused), StatusCode::HTTP_VERSION_NOT_SUPPORTED);
    }
}
