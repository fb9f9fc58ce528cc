//! Requests to the resources below a base URL, with a token.
//!
//! OPA, OPAL, LaunchDarkly, REST services and the store of facts all have a base URL,
//! usually a token, and resources below it that are named by keys. [`Endpoint`] avoids
//! the mistakes that are easily made with each of them:
//!
//! * URLs are joined by segments. A slash at the end of the base does no harm, and a
//!   key such as `a/b` or `a?b` cannot escape its segment. OPA answers a doubled slash
//!   with a redirect, and OPAL with 404.
//! * The token is read for each request, so that one in a file can be renewed, and its
//!   header is marked as sensitive.

use std::fmt;

use http::{
    HeaderMap, HeaderValue, Method, Request,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret as _;

use super::{
    name::public_name,
    secret::{Secret, SecretError},
};
use crate::excerpt::excerpt;

/// What is percent-encoded in a segment of a path: everything except the unreserved
/// characters of [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A base URL, and the headers of the requests to the resources below it.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// The base URL, without a slash at its end.
    base: String,
    /// The headers of every request, except `authorization`.
    headers: HeaderMap,
    /// The token, with the scheme that stands before it in the header `authorization`.
    token: Option<(&'static str, Secret)>,
}

/// Why no request can be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("`{}` is not a valid URL: it must begin with http:// or https://", excerpt(.0))]
    Url(String),
    #[error("`{}` cannot be a base URL: it must have no query and no fragment", excerpt(.0))]
    Query(String),
    #[error("`{}` cannot be a part of the URLs below {}", excerpt(.0), excerpt(.1))]
    Segment(String, String),
    #[error("the token for {} cannot be sent in a header: it contains characters other than visible ASCII", excerpt(.0))]
    Token(String),
    /// It may pass: the file may be about to be replaced.
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Request(#[from] http::Error),
}

impl Endpoint {
    /// Creates an endpoint below a base URL, which may have slashes at its end.
    ///
    /// # Errors
    ///
    /// When the URL does not begin with `http://` or `https://`, or has no host.
    pub(crate) fn new(base: &str) -> Result<Self, EndpointError> {
        let is_http = base.starts_with("http://") || base.starts_with("https://");
        let valid = is_http && base.parse::<http::Uri>().is_ok_and(|url| url.host().is_some());
        if !valid {
            return Err(EndpointError::Url(public_name(base)));
        }
        if base.contains(['?', '#']) {
            return Err(EndpointError::Query(public_name(base)));
        }
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { base, headers: HeaderMap::new(), token: None })
    }

    /// Sends the token with each request in the header `authorization`, after `scheme`
    /// and a space; an empty `scheme` stands for the token alone, as LaunchDarkly wants
    /// it.
    #[must_use]
    pub(crate) fn token(mut self, scheme: &'static str, token: Option<Secret>) -> Self {
        self.token = token.map(|token| (scheme, token));
        self
    }

    /// Sends a header with each request.
    #[cfg(feature = "optoggles")]
    #[must_use]
    pub(crate) fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The base URL without credentials and query, for messages.
    pub(crate) fn name(&self) -> String {
        public_name(&self.base)
    }

    /// A request to the resource below the base that the segments of `path` name, with
    /// its method and URL for messages. `body` is a content type and the content.
    ///
    /// Segments are percent-encoded: `["flags", "a/b"]` below `http://h/api/` is
    /// `http://h/api/flags/a%2Fb`.
    ///
    /// # Errors
    ///
    /// When the token cannot be read, or a segment is empty, `.` or `..`.
    pub(crate) fn request<'s>(
        &self,
        method: Method,
        path: impl IntoIterator<Item = &'s str>,
        query: &[(&'static str, &str)],
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<(String, Request<Vec<u8>>), EndpointError> {
        let mut url = self.base.clone();
        for segment in path {
            // Dots would lead to another path, escaped or not.
            if matches!(segment, "" | "." | "..") {
                return Err(EndpointError::Segment(segment.to_owned(), self.name()));
            }
            url.push('/');
            url.extend(utf8_percent_encode(segment, SEGMENT));
        }
        for (index, (name, value)) in query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, SEGMENT));
        }
        let name = format!("{method} {}", public_name(&url));
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.headers.clone());
            if let Some(authorization) = self.authorization()? {
                headers.insert(AUTHORIZATION, authorization);
            }
            if let Some((kind, _)) = &body {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            }
        }
        let body = body.map(|(_, bytes)| bytes).unwrap_or_default();
        Ok((name, request.body(body)?))
    }

    /// Whether the text quotes the token.
    pub(crate) fn is_quoted_in(&self, text: &str) -> bool {
        let token = self.token.as_ref().and_then(|(_, token)| token.read().ok());
        token.is_some_and(|token| text.contains(token.expose_secret()))
    }

    /// The header `authorization`, with the token as it is now.
    fn authorization(&self) -> Result<Option<HeaderValue>, EndpointError> {
        let Some((scheme, token)) = &self.token else { return Ok(None) };
        let token = token.read()?;
        let mut text = format!("{scheme}{}", token.expose_secret());
        if !scheme.is_empty() {
            text.insert(scheme.len(), ' ');
        }
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| EndpointError::Token(self.name()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Without a password in the URL.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_in_its_segment() {
        let endpoint = Endpoint::new("http://host/api/").unwrap();
        let request = |path: &[&str], query: &[(&'static str, &str)]| {
            let request = endpoint.request(Method::GET, path.iter().copied(), query, None);
            request.map(|(_, request)| request.uri().to_string())
        };
        let url = request(&["fact", "a/b%?#ž"], &[("after", "c&d"), ("limit", "1")]).unwrap();
        assert_eq!(url, "http://host/api/fact/a%2Fb%25%3F%23%C5%BE?after=c%26d&limit=1");
        for segment in ["", ".", ".."] {
            request(&["fact", segment], &[]).unwrap_err();
        }
    }

    #[test]
    fn the_token_is_sent_and_not_shown() {
        let endpoint = Endpoint::new("http://host").unwrap().token("Bearer", Some("hush".into()));
        let (_, request) = endpoint.request(Method::GET, ["a"], &[], None).unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer hush");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
        assert!(endpoint.is_quoted_in("the token hush") && !endpoint.is_quoted_in("a token"));
        assert!(!format!("{endpoint:?}").contains("hush"));
        let broken = Endpoint::new("http://host").unwrap().token("Bearer", Some("hu\nsh".into()));
        let error = broken.request(Method::GET, ["a"], &[], None).unwrap_err();
        assert!(matches!(error, EndpointError::Token(_)), "{error}");
    }

    #[test]
    fn a_base_url_is_checked() {
        for url in ["", "host", "ftp://host", "http://", "http://h/?a", "http://h/#a"] {
            Endpoint::new(url).unwrap_err();
        }
    }
}
