//! The event stream over Connect: messages in envelopes, the last of which says
//! why the stream ends.
//!
//! It works over HTTP/1.1 too, which has no trailers that browsers can read. The
//! HTTP status is always 200, also for a call that fails at once
//! ([protocol](https://connectrpc.com/docs/protocol#streaming-rpcs)):
//!
//! ```text
//! 00 00 00 00 23 {"type":"provider_ready","data":{}}
//! ...
//! 02 00 00 00 xx {"error":{"code":"unavailable","message":"..."}}
//! ```
//!
//! A stream that ends without an error ends with `{}`.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::{Bytes, Frame};
use prost::{Message, bytes::BufMut};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::server::{
    body::{self, Received, ResponseBody},
    core::Core,
    evaluation::{events, request},
    protocol::{
        connect::{Codec, checked, error},
        envelope::{self, Framing},
        grpc,
        proto::v1::EventStreamRequest,
        respond,
    },
};

const ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("connect-accept-encoding");

/// Responds to a call of the event stream. An error is the only envelope of the
/// response.
pub(crate) async fn serve(
    core: &Arc<Core>,
    codec: Codec,
    content_type: &'static str,
    request: Request<&mut Received>,
) -> Response<ResponseBody> {
    let body = match subscribe(core, codec, request).await {
        Ok(messages) => ResponseBody::stream(messages, |status| Frame::data(end(status))),
        Err(status) => ResponseBody::bytes(end(&status)),
    };
    let mut response = respond::content(StatusCode::OK, content_type, Bytes::new()).map(|_| body);
    response.headers_mut().insert(ACCEPTED, HeaderValue::from_static(envelope::IDENTITY));
    response
}

/// Checks the request and opens the stream.
async fn subscribe(
    core: &Arc<Core>,
    codec: Codec,
    request: Request<&mut Received>,
) -> Result<mpsc::Receiver<Result<Bytes, Status>>, Status> {
    let (parts, body) = request.into_parts();
    let timeout = checked(&parts.headers, &ENCODING)?;
    let bytes = body::read(body, core.max_body.saturating_add(envelope::PREFIX)).await;
    let bytes = bytes.map_err(|error| grpc::unread(&error, core.max_body))?;
    read(codec, &envelope::message(bytes, Framing::Connect)?)?;
    let selector = request::selector(core, &parts.headers)?;
    Ok(events::subscribe(core, selector, timeout, codec))
}

/// Checks a request, which has no fields. Unknown ones are ignored.
fn read(codec: Codec, message: &Bytes) -> Result<(), Status> {
    match codec {
        Codec::Proto => EventStreamRequest::decode(&**message)
            .map(drop)
            .map_err(|error| grpc::malformed(&error)),
        // As in flagd, although nothing is not valid JSON.
        Codec::Json if message.is_empty() => Ok(()),
        Codec::Json => serde_json::from_slice::<Map<String, Value>>(message)
            .map(drop)
            .map_err(|error| grpc::malformed(&error)),
    }
}

/// The envelope that ends the stream.
fn end(status: &Status) -> Bytes {
    let end = match status.code() {
        Code::Ok => json!({}),
        _ => json!({"error": error(status)}),
    };
    envelope::flagged(envelope::END, |out| out.put_slice(end.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        assert_eq!(end(&Status::new(Code::Ok, "")), &b"\x02\0\0\0\x02{}"[..]);
        let failed = end(&Status::unavailable("gone"));
        let text = r#"{"error":{"code":"unavailable","message":"gone"}}"#;
        assert_eq!(failed, [b"\x02\0\0\0\x31", text.as_bytes()].concat());
    }

    #[test]
    fn requests() {
        let read = |codec, bytes: &'static [u8]| read(codec, &Bytes::from_static(bytes));
        for text in ["", "{}", r#"{"unknown": [{}]}"#] {
            assert!(read(Codec::Json, text.as_bytes()).is_ok(), "{text}");
        }
        for text in ["{", "[]", "null", "{} x", " "] {
            let status = read(Codec::Json, text.as_bytes()).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{text}");
        }
        assert!(read(Codec::Proto, b"\x0a\x01x").is_ok());
        assert_eq!(read(Codec::Proto, b"x").unwrap_err().code(), Code::InvalidArgument);
    }
}
