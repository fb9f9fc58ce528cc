//! Requests to the HTTP APIs of sources and targets.
//!
//! OPA, OPAL, LaunchDarkly and REST services all have a base URL, usually a token, and
//! resources below it that are named by keys. [`Api`] holds what is common, and avoids
//! the mistakes that are easily made with each of them:
//!
//! * URLs are joined by segments. A slash at the end of the base does no harm, and a
//!   key such as `a/b` or `a?b` cannot escape its segment. OPA answers a doubled slash
//!   with a redirect, and OPAL with 404.
//! * The token is read for each request, so that one in a file can be renewed, and its
//!   header is marked as sensitive.
//! * A request with its response takes at most 10 s.
//! * Errors name the method and the URL without credentials and query. They quote of
//!   a response only what the caller allows, since bodies may echo tokens and contain
//!   user names.

use std::{error::Error, fmt, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper::body::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret as _;

use super::{failure::Failure, secret::Secret};
use crate::{
    excerpt::excerpt,
    http::{Client, ClientBody, ClientError, public_name},
};

/// How long a request may take, its response included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is percent-encoded in a segment of a path: everything except the unreserved
/// characters of [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A base URL, and the headers of the requests to the resources below it.
///
/// Clones share the connections of the client.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    /// The base URL, without a slash at its end.
    base: String,
    /// The headers of every request, except `authorization`.
    headers: HeaderMap,
    /// The token, with the scheme that stands before it in the header `authorization`.
    token: Option<(&'static str, Secret)>,
}

/// Why an API cannot be used, or what is wrong with its response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("`{}` is not a valid URL: it must begin with http:// or https://", excerpt(.0))]
    Url(String),
    #[error("`{}` cannot be a base URL: it must have no query and no fragment", excerpt(.0))]
    Query(String),
    #[error("`{}` cannot be a part of the URLs below {}", excerpt(.0), excerpt(.1))]
    Segment(String, String),
    #[error("the token for {} cannot be sent in a header: it contains characters other than visible ASCII", excerpt(.0))]
    Token(String),
    #[error("{name} answered {status}{}", said(.reason.as_deref()))]
    Status {
        /// The method and the URL.
        name: String,
        status: StatusCode,
        /// What the body says, as far as it may be shown.
        reason: Option<String>,
    },
    /// The body is not what was expected. The message of serde is left out, because it
    /// quotes what it has found: perhaps a user name, or a secret.
    #[error("{name} answered with {found} at line {line}, column {column}: expected {expected}")]
    Body { name: String, found: &'static str, line: usize, column: usize, expected: &'static str },
}

/// The end of a message: what the other side says, if it may be shown.
fn said(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {}", excerpt(reason)))
}

impl Api {
    /// Creates an API below a base URL, which may have slashes at its end.
    ///
    /// # Errors
    ///
    /// When the URL does not begin with `http://` or `https://`, or has no host.
    pub(crate) fn new(client: Client, base: &str) -> Result<Self, ApiError> {
        let is_http = base.starts_with("http://") || base.starts_with("https://");
        let valid = is_http && base.parse::<http::Uri>().is_ok_and(|url| url.host().is_some());
        if !valid {
            return Err(ApiError::Url(public_name(base)));
        }
        if base.contains(['?', '#']) {
            return Err(ApiError::Query(public_name(base)));
        }
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { client, base, headers: HeaderMap::new(), token: None })
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
    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The base URL without credentials and query, for messages.
    pub(crate) fn name(&self) -> String {
        public_name(&self.base)
    }

    /// Sends a request to the resource below the base that the segments of `path` name,
    /// and returns its response, whatever the status. `body` is a content type and the
    /// content.
    ///
    /// Segments are percent-encoded: `["flags", "a/b"]` below `http://h/api/` is
    /// `http://h/api/flags/a%2Fb`.
    ///
    /// # Errors
    ///
    /// When the token cannot be read, or there is no complete response.
    pub(crate) async fn send<'s>(
        &self,
        method: Method,
        path: impl IntoIterator<Item = &'s str>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Sent, Failure> {
        self.send_with(method, path, &[], body).await
    }

    /// The same with a query.
    pub(crate) async fn send_with<'s>(
        &self,
        method: Method,
        path: impl IntoIterator<Item = &'s str>,
        query: &[(&'static str, &str)],
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Sent, Failure> {
        let (name, response) = self.begin(method, path, query, body).await?;
        let (parts, body) = response.into_parts();
        let body = body.bytes().await.map_err(failed)?;
        Ok(Sent { name, response: Response::from_parts(parts, body) })
    }

    /// Sends a request without a body, and reads only the head of its response: for
    /// responses of which nothing but the status is of interest, and whose body may be
    /// long.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub(crate) async fn status<'s>(
        &self,
        method: Method,
        path: impl IntoIterator<Item = &'s str>,
    ) -> Result<Sent, Failure> {
        let (name, response) = self.begin(method, path, &[], None).await?;
        Ok(Sent { name, response: response.map(|_| Bytes::new()) })
    }

    /// Sends a request. Returns its method and URL for messages, and the response as
    /// soon as its head is there.
    async fn begin<'s>(
        &self,
        method: Method,
        path: impl IntoIterator<Item = &'s str>,
        query: &[(&'static str, &str)],
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<(String, Response<ClientBody>), Failure> {
        let mut url = self.base.clone();
        for segment in path {
            // Dots would lead to another path, escaped or not.
            if matches!(segment, "" | "." | "..") {
                return Err(ApiError::Segment(segment.to_owned(), self.name()).into());
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
        let request = request.body(body).map_err(Failure::permanent)?;
        Ok((name, self.client.send(request).await.map_err(failed)?))
    }

    /// Whether the text quotes the token.
    pub(crate) fn is_quoted_in(&self, text: &str) -> bool {
        let token = self.token.as_ref().and_then(|(_, token)| token.read().ok());
        token.is_some_and(|token| text.contains(token.expose_secret()))
    }

    /// The header `authorization`, with the token as it is now.
    ///
    /// A token that cannot be read is a temporary failure: its file may be about to be
    /// replaced.
    fn authorization(&self) -> Result<Option<HeaderValue>, Failure> {
        let Some((scheme, token)) = &self.token else { return Ok(None) };
        let token = token.read().map_err(Failure::temporary)?;
        let mut text = format!("{scheme}{}", token.expose_secret());
        if !scheme.is_empty() {
            text.insert(scheme.len(), ' ');
        }
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Failure::permanent(ApiError::Token(self.name())))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Without a password in the URL.
impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("url", &self.name()).finish_non_exhaustive()
    }
}

/// Creates the HTTP client of a source or a target.
pub(crate) fn client() -> Result<Client, ClientError> {
    Client::builder().timeout(TIMEOUT).build()
}

/// The failure of a request without a response. Errors of the configuration are
/// permanent; an unreachable host or a timeout may pass.
fn failed(error: ClientError) -> Failure {
    match error {
        ClientError::Url { .. } | ClientError::Insecure(_) | ClientError::NoAuthorities(_) => {
            Failure::permanent(error)
        }
        _ => Failure::temporary(error),
    }
}

/// A response with any status.
pub(crate) struct Sent {
    /// The method and the URL, for messages.
    name: String,
    /// The body is empty if only the head was read.
    response: Response<Bytes>,
}

impl Sent {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.response.body()
    }

    /// Returns the response if its status is a success (200 to 299), else its
    /// [failure](Self::failure).
    pub(crate) fn success(self, reason: impl Fn(&[u8]) -> Option<String>) -> Result<Self, Failure> {
        if self.status().is_success() { Ok(self) } else { Err(self.failure(reason)) }
    }

    /// The failure that the status of this response stands for. `reason` extracts from
    /// the body what may be shown: see [`nothing`] and [`member`].
    pub(crate) fn failure(&self, reason: impl Fn(&[u8]) -> Option<String>) -> Failure {
        let (name, status) = (self.name.clone(), self.status());
        let error = ApiError::Status { name, status, reason: reason(self.body()) };
        Failure::of_status(status, self.headers(), error)
    }

    /// Deserializes the body from JSON. `expected` describes what it must be, for the
    /// error.
    ///
    /// # Errors
    ///
    /// A temporary failure when the body is something else: it may come from a proxy, or
    /// from a policy that is being changed.
    pub(crate) fn json<'b, T: serde::Deserialize<'b>>(
        &'b self,
        expected: &'static str,
    ) -> Result<T, Failure> {
        serde_json::from_slice(self.body()).map_err(|error| {
            let found = if error.is_data() { "something else" } else { "invalid JSON" };
            let (name, line, column) = (self.name.clone(), error.line(), error.column());
            Failure::temporary(ApiError::Body { name, found, line, column, expected })
        })
    }
}

/// Shows nothing of a body, for APIs that echo tokens or users in their errors.
pub(crate) fn nothing(_: &[u8]) -> Option<String> {
    None
}

/// Shows one string member of an error body in JSON, such as `message`.
pub(crate) fn member(name: &'static str) -> impl Fn(&[u8]) -> Option<String> {
    move |body| {
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        Some(body.get(name)?.as_str()?.to_owned())
    }
}

/// These errors are permanent where they are not mapped otherwise: a URL or a token in
/// the configuration is wrong.
impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::permanent(Box::<dyn Error + Send + Sync>::from(error))
    }
}
