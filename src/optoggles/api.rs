//! Requests to the HTTP APIs of sources and targets.
//!
//! [`Api`] adds to an [`Endpoint`] what sources and targets have in common:
//!
//! * A request with its response takes at most 10 s.
//! * Errors name the method and the URL without credentials and query. They quote of
//!   a response only what the caller allows, since bodies may echo tokens and contain
//!   user names.
//! * Every error is a [`Failure`], which says whether a retry may help.

use std::{error::Error, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::Bytes;

use super::failure::Failure;
use crate::{
    excerpt::excerpt,
    http::{
        Client, ClientBody, ClientError, Secret,
        endpoint::{Endpoint, EndpointError},
    },
};

/// How long a request may take, its response included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An endpoint, and the client that sends its requests.
///
/// Clones share the connections of the client.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: Client,
    endpoint: Endpoint,
}

/// What is wrong with the response of an API.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
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
    pub(crate) fn new(client: Client, base: &str) -> Result<Self, EndpointError> {
        Ok(Self { client, endpoint: Endpoint::new(base)? })
    }

    /// Sends the token with each request, as [`Endpoint::token`].
    #[must_use]
    pub(crate) fn token(self, scheme: &'static str, token: Option<Secret>) -> Self {
        Self { endpoint: self.endpoint.token(scheme, token), ..self }
    }

    /// Sends a header with each request.
    #[must_use]
    pub(crate) fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { endpoint: self.endpoint.header(name, value), ..self }
    }

    /// The base URL without credentials and query, for messages.
    pub(crate) fn name(&self) -> String {
        self.endpoint.name()
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
        let (name, request) = self.endpoint.request(method, path, query, body)?;
        Ok((name, self.client.send(request).await.map_err(failed)?))
    }

    /// Whether the text quotes the token.
    pub(crate) fn is_quoted_in(&self, text: &str) -> bool {
        self.endpoint.is_quoted_in(text)
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

/// A token that cannot be read is a temporary failure: its file may be about to be
/// replaced. The others are permanent: a URL or a token in the configuration is wrong.
impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Self {
        let is_temporary = matches!(error, EndpointError::Secret(_));
        let error = Box::<dyn Error + Send + Sync>::from(error);
        if is_temporary { Self::temporary(error) } else { Self::permanent(error) }
    }
}
