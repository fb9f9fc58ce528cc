//! Which web pages may read responses
//! ([cross-origin resource sharing](https://fetch.spec.whatwg.org/#http-cors-protocol)).
//!
//! A browser sends the request of a page anyway, or asks first with a preflight
//! request, and lets the page read the response only if the server allows it:
//!
//! ```text
//! OPTIONS /ofrep/v1/evaluate/flags          204
//! Origin: https://shop.example              Access-Control-Allow-Origin: https://shop.example
//! Access-Control-Request-Method: POST       Access-Control-Allow-Methods: POST
//! ```
//!
//! Without origins, which is the default, no header is added and a preflight
//! request is treated like any other. That differs from flagd, where every page
//! may read responses (docs/flagd.md, "Differences in the server").
//!
//! Allowed origins do not protect the server from requests: only browsers heed
//! them, and only for what a page may read.

mod origin;

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

use self::origin::Origin;
use super::{
    body::{Received, ResponseBody},
    error::ServerError,
};

/// The headers that a page may read besides the body: those of gRPC, Connect and
/// OFREP.
const EXPOSED: &str = "Accept, Accept-Encoding, Accept-Post, Connect-Accept-Encoding, \
    Connect-Content-Encoding, Content-Encoding, ETag, Grpc-Accept-Encoding, Grpc-Encoding, \
    Grpc-Message, Grpc-Status, Grpc-Status-Details-Bin, Retry-After";

/// The origins of pages that may read responses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cors(Vec<Origin>);

impl Cors {
    /// Parses origins as the option has them.
    ///
    /// # Errors
    ///
    /// Returns an error if an origin cannot match any page.
    pub(crate) fn new(origins: &[String]) -> Result<Self, ServerError> {
        let origins = origins.iter().map(|text| Origin::parse(text)).collect::<Result<_, _>>();
        origins.map(Self).map_err(|reason| ServerError::option("CORS origin", reason))
    }

    /// The value of `Access-Control-Allow-Origin` for this origin; none if it may
    /// not read responses. If every origin may, it is `*`, else the origin itself.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.0.contains(&Origin::Any) {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        self.0.iter().any(|allowed| allowed.matches(&text)).then(|| origin.clone())
    }

    /// Responds to a preflight request, and passes any other request to `route`,
    /// whose response then says who may read it.
    pub(crate) async fn around<'b, F: Future<Output = Response<ResponseBody>>>(
        &self,
        request: Request<&'b mut Received>,
        route: impl FnOnce(Request<&'b mut Received>) -> F,
    ) -> Response<ResponseBody> {
        if let Some(preflight) = self.preflight(request.method(), request.headers()) {
            return preflight;
        }
        let origin = request.headers().get(ORIGIN).cloned();
        let mut response = route(request).await;
        self.decorate(origin.as_ref(), &mut response);
        response
    }

    /// The response to a preflight request; none if the request is not one.
    ///
    /// An origin or method that is not allowed gets the same status without the
    /// headers, which the browser takes for a rejection.
    fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<ResponseBody>> {
        let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let origin = headers.get(ORIGIN)?;
        if method != Method::OPTIONS || self.0.is_empty() {
            return None;
        }
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let response_headers = response.headers_mut();
        response_headers.insert(
            VARY,
            HeaderValue::from_static(
                "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
            ),
        );
        if let Some(allowed) = self.allowed(origin)
            && ["GET", "HEAD", "POST"].iter().any(|method| wanted == *method)
        {
            response_headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            response_headers.insert(ACCESS_CONTROL_ALLOW_METHODS, wanted.clone());
            if let Some(headers) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                response_headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
            }
        }
        Some(response)
    }

    /// Adds the headers that let a page of this origin read the response, if it
    /// may. `Vary` is added in any case, for caches between.
    fn decorate(&self, origin: Option<&HeaderValue>, response: &mut Response<ResponseBody>) {
        if self.0.is_empty() {
            return;
        }
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        if let Some(allowed) = origin.and_then(|origin| self.allowed(origin)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let allowed = |origins: &[&str], origin: &str| {
            let origins: Vec<_> = origins.iter().map(ToString::to_string).collect();
            let header =
                Cors::new(&origins).unwrap().allowed(&HeaderValue::from_str(origin).unwrap());
            header.map(|header| header.to_str().unwrap().to_owned())
        };
        assert_eq!(allowed(&[], "http://a"), None);
        assert_eq!(allowed(&["http://b", "*"], "http://a").as_deref(), Some("*"));
        assert_eq!(allowed(&["http://a", "http://b"], "http://B").as_deref(), Some("http://B"));
        assert_eq!(allowed(&["http://a"], "http://c"), None);
    }
}
