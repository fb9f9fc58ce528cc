//! The layer between gRPC and the HTTP/2 channel: adds the headers, marks errors
//! made on this side, and turns responses that are not gRPC into statuses.
//!
//! ```text
//! unary calls (`unary`)     streams (tonic's client)
//!        │ ready, send             │ Service
//!        └────────> Transport <────┘
//!                       │
//!                  tonic's Channel, HTTP/2
//! ```
//!
//! Why it is needed: tonic reports a lost connection, a refused connection, a
//! passed deadline and a status of the server all as a `Status`, often with the
//! same code. Whether a call may be repeated depends on which of them it was.
//! [`TransportError`] says so, and travels as the source of the status.
//!
//! Responses come from servers and proxies that may be broken or hostile. What
//! tonic cannot handle is removed here: see [`DETAILS`].

use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE,
};
use http_body_util::BodyExt;
use tonic::{
    Code, ConnectError, TimeoutExpired,
    body::Body,
    transport::{Channel, Error as ChannelError, channel::ResponseFuture},
};
use tower_service::Service;

use crate::excerpt::{chain, excerpt};

/// An error that was made on this side, and not sent by the server.
///
/// It has no source on purpose, only the text of its causes: tonic searches the
/// chain of causes for a status and would return that in place of this error, so
/// that what is local could no longer be distinguished from what the server said.
#[derive(Clone, Debug)]
pub(crate) enum TransportError {
    /// There is no connection to flagd, from this side or from a proxy.
    Connect(String),
    /// The connection was lost during the call, or does not accept it. flagd may
    /// have processed the call. The next connection may be better.
    Lost(String),
    /// The server reset this call, or its response is not valid HTTP/2. The next
    /// attempt is likely to fail in the same way.
    Broken(String),
    /// The channel does not accept calls any more, and does not reconnect. This
    /// happens when its runtime has ended.
    Closed(String),
    /// The time in the call's `grpc-timeout` header has passed.
    TimedOut,
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(text) => write!(f, "cannot connect: {text}"),
            Self::Lost(text) | Self::Closed(text) => write!(f, "the connection was lost: {text}"),
            Self::Broken(text) => write!(f, "the call was aborted: {text}"),
            Self::TimedOut => f.write_str("the deadline passed"),
        }
    }
}

impl Error for TransportError {}

impl TransportError {
    /// Classifies an error of the channel, or of a response body, by its causes.
    /// What is not known counts as lost, because it may then be repeated.
    pub(crate) fn new(error: &(dyn Error + 'static)) -> Self {
        let text = explained(&text(error));
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<ConnectError>() {
                return Self::Connect(text);
            }
            if error.is::<TimeoutExpired>() {
                return Self::TimedOut;
            }
            if error.downcast_ref().is_some_and(is_repeatable) {
                return Self::Broken(text);
            }
            cause = error.source();
        }
        Self::Lost(text)
    }
}

/// Whether the next attempt is likely to fail in the same way: the server has reset
/// the stream, or this side has found a protocol error. It is not likely if the
/// server has not begun to process the call ([`REFUSED_STREAM`]) or closes the
/// connection (`GOAWAY`).
///
/// [`REFUSED_STREAM`]: https://www.rfc-editor.org/rfc/rfc9113#section-8.7
fn is_repeatable(error: &h2::Error) -> bool {
    let is_reset = error.is_reset() && error.reason() != Some(h2::Reason::REFUSED_STREAM);
    is_reset || error.is_library()
}

/// The error and its causes in one line. `Display` of a tonic `Status` would show its
/// code, metadata and source in debug format, so only the essential part is taken.
fn text(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<tonic::Status>() {
        None => chain(error),
        Some(status) => status.source().map_or_else(|| status.message().to_owned(), chain),
    }
}

/// Cuts the text, and adds the remedy if the cause is known and its text does not
/// help.
///
/// The causes are recognized by their text. If the text of a library changes, only
/// the remedy is missing.
fn explained(text: &str) -> String {
    let remedy = if text.contains("CaUsedAsEndEntity") {
        "the server presents the certificate of an authority as its own, as `openssl req -x509` creates it: \
         let an authority sign a certificate without CA:TRUE for the server, and trust that authority with `certPath`"
    } else if text.contains("UnknownIssuer") {
        "the server's certificate is not signed by a trusted authority: \
         set `certPath` to the PEM file of its authority, or trust it in `tls_config`"
    } else if text.contains("BadSignature") {
        "the authority in `certPath` or `tls_config` has the name of the one that signed the server's certificate, \
         but not its key: set `certPath` to the PEM file of the right one, or trust it in `tls_config`"
    } else if text.contains("InvalidContentType") {
        "the server does not speak TLS on this port: see the option `tls`"
    } else if text.contains("frame with invalid size") {
        "perhaps the server expects TLS: see the option `tls`"
    } else if text.contains("Service was not ready") || text.contains("worker closed unexpectedly")
    {
        "the runtime on which the provider was initialized has ended: initialize it on one that lives as long as it does"
    } else {
        return excerpt(text).into_owned();
    };
    format!("{} ({remedy})", excerpt(text))
}

/// A channel that adds the headers of the options to each request. Clones share
/// the connection.
#[derive(Clone)]
pub(crate) struct Transport {
    channel: Channel,
    /// The headers of the options, and the selector.
    headers: Arc<HeaderMap>,
}

impl Transport {
    /// Wraps a channel. `headers` are appended to those of each request.
    pub(crate) fn new(channel: Channel, headers: HeaderMap) -> Self {
        Self { channel, headers: Arc::new(headers) }
    }

    /// Appends, so that a name may occur more than once.
    fn add_headers(&self, request: &mut Request<Body>) {
        let headers = request.headers_mut();
        for (name, value) in &*self.headers {
            headers.append(name, value.clone());
        }
    }

    /// How many headers are added to each request, for a map of the right size.
    pub(crate) fn extra_headers(&self) -> usize {
        self.headers.len()
    }

    /// Waits until a request can be sent, which includes connecting, and returns the
    /// channel to pass to [`send`](Self::send). Cancel-safe.
    pub(crate) async fn ready(&self) -> Result<Channel, TransportError> {
        let mut channel = self.channel.clone();
        match poll_fn(|cx| channel.poll_ready(cx)).await {
            Ok(()) => Ok(channel),
            Err(error) => Err(TransportError::new(&error)),
        }
    }

    /// Sends a request over a channel that is ready, without the boxed future that
    /// [`Service`] needs.
    ///
    /// The error is that of the channel: pass it to [`TransportError::new`]. The
    /// response is not checked: see [`other_protocol`].
    pub(crate) fn send(&self, mut channel: Channel, mut request: Request<Body>) -> ResponseFuture {
        self.add_headers(&mut request);
        channel.call(request)
    }
}

/// The error becomes the source of the status, where `CallError::from_status` finds
/// it.
impl From<TransportError> for tonic::Status {
    fn from(error: TransportError) -> Self {
        Self::from_error(error.into())
    }
}

/// For tonic's client, which makes the streams.
impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, TransportError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let closed = |error: ChannelError| TransportError::Closed(explained(&text(&error)));
        self.channel.poll_ready(cx).map_err(closed)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        self.add_headers(&mut request);
        let response = self.channel.call(request);
        Box::pin(async move {
            let response = response.await.map_err(|error| TransportError::new(&error))?;
            Ok(match other_protocol(&response) {
                Some(OtherProtocol::NoServer(error)) => return Err(error),
                Some(OtherProtocol::Status(status)) => status.into_http(),
                None => readable(response),
            })
        })
    }
}

/// The header with the details of a status. It is removed from every response: the
/// provider does not use it, and tonic panics if it is not valid base64.
pub(crate) const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The response without [`DETAILS`] in headers and trailers, and with the errors of
/// its body classified.
fn readable(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().remove(DETAILS);
    response.map(|body| {
        let body = body.map_err(|error| TransportError::new(&error)).map_frame(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                trailers.remove(DETAILS);
            }
            frame
        });
        Body::new(body)
    })
}

/// What a response that is not gRPC means.
#[derive(Debug)]
pub(crate) enum OtherProtocol {
    /// A proxy has no server to pass the call to, for now. The next attempt may find
    /// one, so this counts as no connection.
    NoServer(TransportError),
    /// The status for the HTTP status; see [`code_of`].
    Status(tonic::Status),
}

impl From<OtherProtocol> for tonic::Status {
    fn from(other: OtherProtocol) -> Self {
        match other {
            OtherProtocol::NoServer(error) => error.into(),
            OtherProtocol::Status(status) => status,
        }
    }
}

/// What a response means that is not gRPC; `None` if it is gRPC.
///
/// It is gRPC if its content type says so, or if it has a `grpc-status`. tonic would
/// try to read the body of any other response, such as the error page of a proxy,
/// as a message. Among them is flagd's own 404 for a service that it does not have;
/// see "Servers without evaluation v2" in `docs/flagd.md`.
pub(crate) fn other_protocol(response: &Response<Body>) -> Option<OtherProtocol> {
    let is_grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    if response.headers().get(CONTENT_TYPE).is_some_and(is_grpc)
        || response.headers().contains_key("grpc-status")
    {
        return None;
    }
    let http = response.status();
    let hint = match http {
        StatusCode::NOT_FOUND => " (evaluation is at flagd's port 8013, synchronization at 8015)",
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            let text = format!("a proxy responded with HTTP {http}");
            return Some(OtherProtocol::NoServer(TransportError::Connect(text)));
        }
        _ => "",
    };
    let text = format!("the response is HTTP {http} and not gRPC{hint}");
    Some(OtherProtocol::Status(tonic::Status::new(code_of(http), text)))
}

/// The status code for a response without one, after the [table] of the gRPC
/// specification.
///
/// [table]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
pub(crate) fn code_of(http: StatusCode) -> Code {
    match http {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, content_type: Option<&str>) -> Response<Body> {
        let mut response = Response::builder().status(status);
        if let Some(value) = content_type {
            response = response.header(CONTENT_TYPE, value);
        }
        response.body(Body::empty()).unwrap()
    }

    #[test]
    fn answers_that_are_not_grpc_become_the_status_of_the_specification() {
        for (status, code) in [
            (400, Code::Internal),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (429, Code::Unavailable),
            (200, Code::Unknown),
            (500, Code::Unknown),
        ] {
            for content_type in [Some("text/plain"), None] {
                let made = other_protocol(&response(status, content_type));
                let made = made.map(|other| tonic::Status::from(other).code());
                assert_eq!(made, Some(code), "HTTP {status}");
            }
        }
    }

    #[test]
    fn a_proxy_without_a_server_is_no_connection() {
        for status in [502, 503, 504] {
            let made = other_protocol(&response(status, Some("text/html")));
            assert!(
                matches!(made, Some(OtherProtocol::NoServer(TransportError::Connect(_)))),
                "HTTP {status}: {made:?}"
            );
        }
    }

    #[test]
    fn grpc_answers_pass_whatever_their_http_status() {
        for content_type in ["application/grpc", "application/grpc+proto"] {
            for status in [200, 404, 502, 503] {
                assert!(other_protocol(&response(status, Some(content_type))).is_none());
            }
        }
    }

    /// tonic panics when it decodes these details.
    #[tokio::test]
    async fn details_that_are_not_base64_do_no_harm() {
        let failed = HeaderMap::from_iter([
            (HeaderName::from_static("grpc-status"), HeaderValue::from_static("5")),
            (DETAILS, HeaderValue::from_static("not base64!")),
        ]);
        let trailers = Some(Ok(failed.clone()));
        let body = Body::new(Body::empty().with_trailers(std::future::ready(trailers)));
        let mut response = Response::new(body);
        *response.headers_mut() = failed;
        let (parts, body) = readable(response).into_parts();
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap();
        for headers in [parts.headers, trailers] {
            let status = tonic::Status::from_header_map(&headers).unwrap();
            assert_eq!(status.code(), Code::NotFound);
        }
    }

    #[test]
    fn a_status_made_on_this_side_is_told_by_its_causes() {
        let cause = std::io::Error::other("broken pipe");
        for (status, text) in [
            (tonic::Status::from_error(Box::new(cause)), "the connection was lost: broken pipe"),
            (tonic::Status::unknown("no cause"), "the connection was lost: no cause"),
        ] {
            assert_eq!(TransportError::new(&status).to_string(), text);
        }
    }

    #[test]
    fn a_self_signed_server_certificate_is_explained() {
        let text = explained("invalid peer certificate: Other(CaUsedAsEndEntity)");
        assert!(text.contains("openssl req -x509") && text.contains("certPath"), "{text}");
    }
}
