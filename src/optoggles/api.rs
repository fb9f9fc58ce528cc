//! Requests to the HTTP APIs of sources and targets: URLs that are joined properly, a token that is
//! read for each request, and errors that quote nothing secret.

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

/// How long a request may take, with its response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is escaped in a segment of a path: all but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A base URL, and how requests to it are made.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    /// Without a slash at its end.
    base: String,
    headers: HeaderMap,
    /// The token, with what stands before it in the header `authorization`.
    token: Option<(&'static str, Secret)>,
}

/// Why an API cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("`{}` is not a valid URL: it must begin with http:// or https://", excerpt(.0))]
    Url(String),
    #[error("`{}` cannot be a base URL: it must have no query and no fragment", excerpt(.0))]
    Query(String),
    #[error("`{}` cannot be a part of the URLs below {}", excerpt(.0), excerpt(.1))]
    Segment(String, String),
    #[error("the token for {} cannot be a header: it has characters other than visible ASCII", excerpt(.0))]
    Token(String),
    #[error("{name} answered {status}{}", said(.reason.as_deref()))]
    Status {
        /// The method and the URL.
        name: String,
        status: StatusCode,
        /// What the other side says, as far as it is to be shown.
        reason: Option<String>,
    },
    /// Without the text of serde, which quotes what it has found: a name, or a secret.
    #[error("{name} answered with {found} at line {line}, column {column}: expected {expected}")]
    Body { name: String, found: &'static str, line: usize, column: usize, expected: &'static str },
}

fn said(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {}", excerpt(reason)))
}

impl Api {
    /// Requests to the URLs below a base, which may have a slash at its end.
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

    /// Sends the token with each request, behind `scheme` and a space unless that is empty.
    #[must_use]
    pub(crate) fn token(mut self, scheme: &'static str, token: Option<Secret>) -> Self {
        self.token = token.map(|token| (scheme, token));
        self
    }

    /// Sends the header with each request.
    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// What the base is called in messages.
    pub(crate) fn name(&self) -> String {
        public_name(&self.base)
    }

    /// Sends a request to a path of segments, which are escaped, and returns the status, the headers
    /// and the body of the response.
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

    /// The same, of whose response nothing but the head is read.
    pub(crate) async fn status<'s>(
        &self,
        method: Method,
        path: impl IntoIterator<Item = &'s str>,
    ) -> Result<Sent, Failure> {
        let (name, response) = self.begin(method, path, &[], None).await?;
        Ok(Sent { name, response: response.map(|_| Bytes::new()) })
    }

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

/// A client for all sources and targets.
pub(crate) fn client() -> Result<Client, ClientError> {
    Client::builder().timeout(TIMEOUT).build()
}

fn failed(error: ClientError) -> Failure {
    match error {
        ClientError::Url { .. } | ClientError::Insecure(_) | ClientError::NoAuthorities(_) => {
            Failure::permanent(error)
        }
        _ => Failure::temporary(error),
    }
}

/// A response, whatever its status.
pub(crate) struct Sent {
    /// The method and the URL.
    name: String,
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

    /// The same response if its status is a success, else the failure, in which `reason` finds what
    /// of the body may be shown.
    pub(crate) fn success(self, reason: impl Fn(&[u8]) -> Option<String>) -> Result<Self, Failure> {
        if self.status().is_success() { Ok(self) } else { Err(self.failure(reason)) }
    }

    /// The failure of this status.
    pub(crate) fn failure(&self, reason: impl Fn(&[u8]) -> Option<String>) -> Failure {
        let (name, status) = (self.name.clone(), self.status());
        let error = ApiError::Status { name, status, reason: reason(self.body()) };
        Failure::of_status(status, self.headers(), error)
    }

    /// What the body says in JSON, which is to be what `expected` says.
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

/// Nothing of the body is to be shown: it may echo a token.
pub(crate) fn nothing(_: &[u8]) -> Option<String> {
    None
}

/// The member of an error body, such as `message`.
pub(crate) fn member(name: &'static str) -> impl Fn(&[u8]) -> Option<String> {
    move |body| {
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        Some(body.get(name)?.as_str()?.to_owned())
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::permanent(Box::<dyn Error + Send + Sync>::from(error))
    }
}
