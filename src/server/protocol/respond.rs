//! Responses that have nothing to do with flags, and helpers to build others.

use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use hyper::body::Bytes;

use crate::{excerpt::excerpt, server::body::ResponseBody};

/// The value of a header as an error quotes it: in quotes, escaped and shortened,
/// because clients choose it.
pub(crate) fn quoted(value: &HeaderValue) -> String {
    format!("{:?}", excerpt(&String::from_utf8_lossy(value.as_bytes())))
}

/// A response without a body.
pub(crate) fn status(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
}

/// A response with a body of this content type.
pub(crate) fn content(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::bytes(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Sets a header of a response.
pub(crate) fn with(
    mut response: Response<ResponseBody>,
    name: HeaderName,
    value: &'static str,
) -> Response<ResponseBody> {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// The response for a path that does not exist, as flagd has it. A provider takes
/// it for an unknown service (docs/flagd.md, "Servers without evaluation v2").
pub(crate) fn not_found() -> Response<ResponseBody> {
    let text = "404 page not found\n";
    let response = content(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text);
    with(response, X_CONTENT_TYPE_OPTIONS, "nosniff")
}

/// The response to a method other than POST.
pub(crate) fn only_post() -> Response<ResponseBody> {
    with(status(StatusCode::METHOD_NOT_ALLOWED), ALLOW, "POST")
}
