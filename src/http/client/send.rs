//! Sending a request: redirects are followed, and a deadline holds for all of it.

use std::time::Duration;

use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH},
};
use hyper::body::Bytes;
use reqwest::Url;
use tokio::time::Instant;

use super::{
    body::{ClientBody, Coding, coding},
    deadline::Deadline,
    error::ClientError,
    redirect::{headers_for, redirect},
    url::parse,
};
use crate::http::name::public_name;

/// An HTTP client whose requests end within a time, with a response of limited
/// length.
///
/// * It follows redirects of `GET` and `HEAD`, but none from `https` to `http`.
///   With other methods, the response is the redirect.
/// * Another origin receives no secret: no user name and password of the URL, no
///   header `authorization`, `cookie` or `proxy-authorization`, and no header whose
///   value is [sensitive](http::HeaderValue::set_sensitive).
/// * A body that is compressed with gzip is decompressed.
///
/// Cloning a client is cheap, and clones share their connections.
///
/// ```no_run
/// use flagstaff::http::Client;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder().max_body(1 << 20).build()?;
/// let request = http::Request::get("https://flags.example/flags.json").body(Vec::new())?;
/// let response = client.send(request).await?;
/// println!("{}", response.status());
/// let bytes = response.into_body().bytes().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) inner: reqwest::Client,
    /// Whether there is any certificate authority to trust. The system may have
    /// none, and every request to `https` then fails with the remedy.
    pub(super) trusts: bool,
    pub(super) max_body: usize,
    pub(super) max_redirects: usize,
    pub(super) timeout: Duration,
}

impl Client {
    /// Sends a request, and returns the response, whatever its status is.
    ///
    /// It returns when the head of the response has arrived; read the body with
    /// [`ClientBody::bytes`], within the same timeout. A header `accept-encoding` is
    /// added unless there is one. Of a body that will be decompressed, the headers
    /// `content-encoding` and `content-length` are removed.
    ///
    /// # Errors
    ///
    /// If the URL is invalid, if there is no response in time, and if there are too
    /// many redirects or one from `https` to `http`.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub async fn send(
        &self,
        request: Request<impl Into<Bytes>>,
    ) -> Result<Response<ClientBody>, ClientError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let name = public_name(&url);
        self.exchange(name, &parse(&url)?, &parts.method, &parts.headers, body.into()).await
    }

    /// Sends a request to a URL, which has this name in errors.
    pub(crate) async fn exchange(
        &self,
        name: String,
        url: &Url,
        method: &Method,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<ClientBody>, ClientError> {
        let until = Deadline { at: Instant::now() + self.timeout, after: self.timeout };
        let mut received =
            until.bound(&name, self.follow(&name, url, method, headers, body)).await?;
        let mut response = Response::new(());
        *response.status_mut() = received.status();
        *response.version_mut() = received.version();
        *response.headers_mut() = std::mem::take(received.headers_mut());
        let is_bodiless = *method == Method::HEAD
            || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let coding = if is_bodiless { Coding::Identity } else { coding(response.headers()) };
        if coding == Coding::Gzip {
            response.headers_mut().remove(CONTENT_ENCODING);
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        let body = ClientBody { received, name, coding, max: self.max_body, until };
        Ok(response.map(|()| body))
    }

    /// Sends the request, and follows redirects to the response.
    ///
    /// A server that can redirect can name any host, so this is where a request is
    /// kept from being sent in plain text and secrets from other origins.
    async fn follow(
        &self,
        name: &str,
        first: &Url,
        method: &Method,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, ClientError> {
        let follows = matches!(*method, Method::GET | Method::HEAD);
        let mut url = first.clone();
        for _ in 0..=self.max_redirects {
            if !self.trusts && url.scheme() == "https" {
                return Err(ClientError::NoAuthorities(name.to_owned()));
            }
            let headers = headers_for(&mut url, first, headers);
            let request = self.inner.request(method.clone(), url.clone());
            let request = request.headers(headers).body(body.clone());
            let response =
                request.send().await.map_err(|error| ClientError::failed(name, error))?;
            let Some(next) = redirect(&url, &response).filter(|_| follows) else {
                return Ok(response);
            };
            // The caller asked for encryption.
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(ClientError::Insecure(name.to_owned()));
            }
            url = next;
        }
        Err(ClientError::Redirects(name.to_owned(), self.max_redirects))
    }
}
