//! What web pages of any origin may ask for: toggles and published release notes.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

/// For how long a browser remembers a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// Lets every page read an answer
/// ([Fetch](https://fetch.spec.whatwg.org/#http-cors-protocol)). No cookie counts there.
pub(super) fn allowed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag"));
    response
}

/// The answer to a preflight.
pub(super) async fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ANY),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    allowed((StatusCode::NO_CONTENT, headers).into_response())
}
