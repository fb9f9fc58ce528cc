//! Sends requests, and repeats those that are safe to repeat.
//!
//! | repeated | not repeated |
//! |---|---|
//! | reading | a merge patch |
//! | writing or removing one value | any write with a condition: the first attempt may have met it |
//! | a lost connection, a timeout, 408, 425, 429, 5xx | every other status; a blank 500, which is how the original says that an identity does not exist |
//! | `Retry-After` up to the timeout of the client | a longer one, which is for the caller |

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request};
use tokio::{sync::OnceCell, time::sleep};

use super::response::Received;
use crate::{
    backoff,
    flagops::error::FactsError,
    http::{Client, ClientBody, endpoint::Endpoint},
};

/// The longest delay before a repetition.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// How long things may take, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For one attempt.
    pub(crate) timeout: Duration,
    /// For a stream without data.
    pub(crate) idle: Duration,
    pub(crate) retries: u32,
    /// Between attempts to open a stream.
    pub(crate) first_delay: Duration,
    pub(crate) max_delay: Duration,
}

/// What all clones of a client share.
#[derive(Debug)]
pub(crate) struct Inner {
    endpoint: Endpoint,
    client: Client,
    pub(crate) limits: Limits,
    /// Whether the server is the original data store, once that is known.
    original: OnceCell<bool>,
}

/// A request to be sent.
pub(super) struct Call<'c> {
    pub(super) method: Method,
    /// The segments below `/api`.
    pub(super) path: Vec<&'c str>,
    pub(super) query: Vec<(&'static str, &'c str)>,
    pub(super) body: Option<serde_json::Value>,
    pub(super) headers: Vec<(HeaderName, String)>,
    /// Whether it may be repeated: whether doing it twice is doing it once.
    pub(super) is_safe: bool,
    /// What the response must not quote: a secret, if one was sent.
    pub(super) hidden: Option<&'c str>,
}

impl<'c> Call<'c> {
    /// A request without a body. Reading and removing may be repeated.
    pub(super) fn new(method: Method, path: impl IntoIterator<Item = &'c str>) -> Self {
        let is_safe = matches!(method, Method::GET | Method::DELETE | Method::PUT);
        let path = path.into_iter().collect();
        Self { method, path, query: vec![], body: None, headers: vec![], is_safe, hidden: None }
    }

    pub(super) fn body(mut self, body: serde_json::Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Adds a condition. The request must not be repeated: the first attempt may have
    /// succeeded, and then the condition does not hold any more.
    pub(super) fn condition(mut self, name: HeaderName, value: String) -> Self {
        self.is_safe = false;
        self.headers.push((name, value));
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: &'c str) -> Self {
        self.query.push((name, value));
        self
    }
}

impl Inner {
    pub(super) fn new(endpoint: Endpoint, client: Client, limits: Limits) -> Self {
        Self { endpoint, client, limits, original: OnceCell::new() }
    }

    /// The URL of the store, for messages.
    pub(super) fn name(&self) -> String {
        self.endpoint.name()
    }

    /// Sends a request, and repeats it if that is safe and may help. The response may
    /// have any status.
    ///
    /// The delays double from 0.1 s, and have a random part.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Received, FactsError> {
        let mut pauses = backoff::delays(Duration::from_millis(100), MAX_PAUSE);
        let mut left = if call.is_safe { self.limits.retries } else { 0 };
        loop {
            let received = self.attempt(call).await;
            let after = match &received {
                Ok(response) if response.status.is_success() || response.is_blank_500() => {
                    return received;
                }
                Ok(response) => match response.error() {
                    FactsError::Unavailable { retry_after, .. } => retry_after,
                    _ => return received,
                },
                Err(error) if error.is_temporary() => None,
                Err(_) => return received,
            };
            if left == 0 || after.is_some_and(|after| after > self.limits.timeout) {
                return received;
            }
            let pause = pauses.next().unwrap_or(MAX_PAUSE).max(after.unwrap_or_default());
            left -= 1;
            sleep(pause).await;
        }
    }

    /// Sends a request once.
    async fn attempt(&self, call: &Call<'_>) -> Result<Received, FactsError> {
        let (request, response) = self.begin(call).await?;
        let (parts, body) = response.into_parts();
        let body = body.bytes().await.map_err(FactsError::Unreachable)?;
        let body = self.without_secrets(call, parts.status.is_success(), body);
        Ok(Received { request, status: parts.status, headers: parts.headers, body })
    }

    /// Sends a request, and returns the response as soon as its head is there.
    pub(super) async fn begin(
        &self,
        call: &Call<'_>,
    ) -> Result<(String, http::Response<ClientBody>), FactsError> {
        let path = std::iter::once("api").chain(call.path.iter().copied());
        let body = call.body.as_ref().map(|body| {
            let kind = if call.method == Method::PATCH {
                "application/merge-patch+json"
            } else {
                "application/json"
            };
            (kind, body.to_string().into_bytes())
        });
        let (name, request) =
            self.endpoint.request(call.method.clone(), path, &call.query, body)?;
        let request = with_headers(request, &call.headers);
        let response = self.client.send(request).await.map_err(FactsError::Unreachable)?;
        Ok((name, response))
    }

    /// The body, unless it is an error that quotes the token or the secret that was sent.
    fn without_secrets(
        &self,
        call: &Call<'_>,
        is_success: bool,
        body: hyper::body::Bytes,
    ) -> hyper::body::Bytes {
        if is_success || body.is_empty() {
            return body;
        }
        let text = String::from_utf8_lossy(&body);
        let quotes = call.hidden.is_some_and(|secret| text.contains(secret))
            || self.endpoint.is_quoted_in(&text);
        // Problem details that say nothing.
        if quotes { hyper::body::Bytes::from_static(b"{\"status\":0}") } else { body }
    }

    /// Fails if the server is the original data store, which would ignore what was asked
    /// for, or do something else.
    ///
    /// One request tells: the original does not have the path of a list of all facts.
    /// Every other response, even a rejection, comes from a server that has it.
    pub(super) async fn require_ours(&self, reason: &'static str) -> Result<(), FactsError> {
        let call = Call::new(Method::GET, ["fact"]).query("limit", "1");
        let original = self.original.get_or_try_init(|| async {
            let received = self.send(&call).await?;
            match received.error() {
                _ if received.is_unknown_path() => Ok(true),
                error if error.is_temporary() => Err(error),
                _ => Ok(false),
            }
        });
        if *original.await? {
            let request = self.name();
            return Err(FactsError::Unsupported { request, reason });
        }
        Ok(())
    }
}

/// The request with more headers. A value that cannot be sent is left out of the
/// request: it is a version that no store has issued, and an empty one matches nothing.
fn with_headers(
    mut request: Request<Vec<u8>>,
    headers: &[(HeaderName, String)],
) -> Request<Vec<u8>> {
    for (name, value) in headers {
        let value =
            HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        request.headers_mut().insert(name, value);
    }
    request
}
