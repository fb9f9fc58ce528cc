//! The HTTP client, a layer over `reqwest`.
//!
//! `reqwest` sends single requests here and nothing more. Redirects, decompression
//! and the limits are implemented in this module:
//!
//! * **Redirects**, because `reqwest` keeps only a fixed list of headers from other
//!   origins, which a header such as `x-api-key` is not in, and can reject a
//!   redirect from `https` to `http` only by rejecting `http` altogether.
//! * **Decompression**, because the limit on the body must hold for its
//!   decompressed length: a few kilobytes of gzip can become gigabytes.
//! * **One deadline** for the request, its redirects and the body. A timeout for
//!   each read would let a server that sends a byte a second keep a connection for
//!   as long as it likes.
//!
//! ```text
//! send -> parse -> follow: request -> redirect? -> request -> ... -> Response<ClientBody>
//!                  |------------------- one deadline -------------------------|
//! bytes -> read up to max_body -> decompress up to max_body
//! ```

use std::{
    error::Error,
    fmt,
    io::{self, Read as _},
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, LOCATION,
        PROXY_AUTHORIZATION,
    },
};
use hyper::body::Bytes;
use reqwest::{Proxy, Url, redirect::Policy};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};

use super::{
    name::public_name,
    tls::{ClientTls, TlsError},
};
use crate::excerpt::excerpt;

/// An HTTP client whose requests end within a time, with a response of limited
/// length.
///
/// * It follows redirects of `GET` and `HEAD`, but none from `https` to `http`.
///   With other methods, the response is the redirect.
/// * Another origin receives no secret: no user name and password of the URL, no
///   header `authorization`, `cookie` or `proxy-authorization`, and no header whose
///   value is [sensitive](HeaderValue::set_sensitive).
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
    inner: reqwest::Client,
    /// Whether there is any certificate authority to trust. The system may have
    /// none, and every request to `https` then fails with the remedy.
    trusts: bool,
    max_body: usize,
    max_redirects: usize,
    timeout: Duration,
}

/// The options of a [`Client`], from [`Client::builder`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use flagstaff::http::Client;
///
/// # fn main() -> Result<(), flagstaff::http::ClientError> {
/// let client = Client::builder()
///     .without_proxy()
///     .max_body(100_000)
///     .max_redirects(0)
///     .timeout(Duration::from_secs(2))
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    tls: Tls,
    proxies: Proxies,
    max_body: usize,
    max_redirects: usize,
    timeout: Duration,
}

/// The configuration of TLS.
#[derive(Clone, Debug)]
enum Tls {
    /// Files, which are read when the client is built.
    Files(ClientTls),
    /// A configuration that the program made.
    Config(Box<rustls::ClientConfig>),
}

/// Which requests are sent through a proxy.
#[derive(Clone)]
enum Proxies {
    /// Those for which the environment says so.
    Environment,
    /// None.
    None,
    /// All, through the proxy with this URL.
    One(String),
}

/// Does not show the URL, which may contain a password.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::None => "None",
            Self::One(_) => "One",
        })
    }
}

/// An error of a [`Client`] or a [`ClientBuilder`].
///
/// The `String` that most variants hold is the [`public_name`] of the URL that was
/// requested, even if the error is that of a URL to which it redirects. No variant
/// contains a secret.
///
/// ```no_run
/// use flagstaff::http::{Client, ClientError};
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let request = http::Request::get("https://flags.example/flags.json").body("")?;
/// match client.send(request).await {
///     Ok(response) => println!("{}", response.status()),
///     Err(ClientError::TimedOut(name, after)) => println!("{name} is slower than {after:?}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is invalid.
    #[error("`{shown}` is not a valid URL: {reason}", shown = excerpt(url))]
    Url {
        /// The [`public_name`] of the URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS configuration cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The client cannot be set up, for example because the URL of the proxy is
    /// invalid.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
    /// The system has no certificate authorities, and none were given.
    #[error(
        "cannot connect to {name}: the system has no certificate authorities: install them (mostly the \
         package `ca-certificates`), or set `ClientTls::authorities`",
        name = excerpt(.0)
    )]
    NoAuthorities(String),
    /// The request failed: the server is unreachable, or the connection was lost
    /// before the response was complete.
    #[error("the request to {name} failed", name = excerpt(.0))]
    Request(String, #[source] Box<dyn Error + Send + Sync>),
    /// The whole response, with its redirects and its body, did not arrive within
    /// the timeout.
    #[error("{name} did not respond within {1:?}", name = excerpt(.0))]
    TimedOut(String, Duration),
    /// A redirect leads from `https` to `http`, and was not followed.
    #[error("{name} redirects from https to http", name = excerpt(.0))]
    Insecure(String),
    /// There were more redirects than allowed.
    #[error("{name} redirects more than {1} times", name = excerpt(.0))]
    Redirects(String, usize),
    /// The body has a content coding that is not supported, which is the second field.
    /// Gzip is, except in [parts](ClientBody::chunk).
    #[error(
        "the response from {name} has the content coding `{1}`, which is not supported",
        name = excerpt(.0)
    )]
    Coding(String, String),
    /// The body is not valid gzip, though the response says so.
    #[error(
        "the response from {name} is not valid gzip, as its `content-encoding` says",
        name = excerpt(.0)
    )]
    Gzip(String, #[source] io::Error),
    /// The body is longer than allowed, before or after it was decompressed.
    #[error("the response from {name} is larger than {limit}", limit = size(*.1), name = excerpt(.0))]
    TooLarge(String, usize),
}

/// A number of bytes for a message: in MiB if it is a multiple of one.
fn size(bytes: usize) -> String {
    if bytes > 0 && bytes.is_multiple_of(1 << 20) {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{bytes} bytes")
    }
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            tls: Tls::Files(ClientTls::new()),
            proxies: Proxies::Environment,
            max_body: 64 << 20,
            max_redirects: 10,
            timeout: Duration::from_secs(30),
        }
    }
}

impl ClientBuilder {
    /// Sets which servers to trust and which certificate to present. Default: the
    /// system's certificate authorities, and no certificate.
    ///
    /// The files are read once, when the client is built.
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Tls::Files(tls);
        self
    }

    /// Sets a configuration of rustls in place of [`tls`](Self::tls), for what
    /// [`ClientTls`] cannot express.
    #[must_use]
    pub fn tls_config(mut self, config: rustls::ClientConfig) -> Self {
        self.tls = Tls::Config(Box::new(config));
        self
    }

    /// Sends every request through this proxy. Default: the one that the environment
    /// names (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxies = Proxies::One(url.into());
        self
    }

    /// Sends no request through a proxy, whatever the environment says.
    #[must_use]
    pub fn without_proxy(mut self) -> Self {
        self.proxies = Proxies::None;
        self
    }

    /// Limits the body of a response, in bytes, before and after it is
    /// decompressed. Default: 64 MiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Limits how many redirects one request follows. With 0, a redirect is an
    /// error. Default: 10.
    #[must_use]
    pub fn max_redirects(mut self, redirects: usize) -> Self {
        self.max_redirects = redirects;
        self
    }

    /// Limits how long a request may take, with its redirects and the body of the
    /// response. Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Builds the client. It reads the TLS files, and connects to nothing.
    ///
    /// # Errors
    ///
    /// If the TLS configuration or the URL of the proxy is invalid.
    pub fn build(self) -> Result<Client, ClientError> {
        let (config, trusts) = match self.tls {
            Tls::Files(tls) => tls.load()?,
            Tls::Config(config) => (*config, true),
        };
        // Redirects are followed in this module: reqwest would send secret headers to other origins.
        let builder =
            reqwest::Client::builder().tls_backend_preconfigured(config).redirect(Policy::none());
        let builder = match &self.proxies {
            Proxies::Environment => builder,
            Proxies::None => builder.no_proxy(),
            Proxies::One(url) => builder.proxy(Proxy::all(url).map_err(setup)?),
        };
        Ok(Client {
            inner: builder.build().map_err(setup)?,
            trusts,
            max_body: self.max_body,
            max_redirects: self.max_redirects,
            timeout: self.timeout,
        })
    }
}

/// An error of the setup, without the URL of the proxy.
fn setup(error: reqwest::Error) -> ClientError {
    ClientError::Setup(Box::new(error.without_url()))
}

impl Client {
    /// The options of a client, with their defaults.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

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
            let response = request.send().await.map_err(|error| failed(name, error))?;
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

/// The body of a response, which is received while it is read.
///
/// Dropping it without reading it ends the request.
pub struct ClientBody {
    received: reqwest::Response,
    /// The public name of the URL.
    name: String,
    coding: Coding,
    /// The limit on the body, in bytes.
    max: usize,
    /// The deadline of the request.
    until: Deadline,
}

/// Shows the public name of the URL, and nothing of the body.
impl fmt::Debug for ClientBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBody").field("url", &self.name).finish_non_exhaustive()
    }
}

impl ClientBody {
    /// Reads the body to its end and decompresses it.
    ///
    /// Decompression runs on the blocking pool, so a large body does not hold up
    /// other tasks.
    ///
    /// # Errors
    ///
    /// If the body is too long, late or incomplete, is not valid gzip although the
    /// response says so, or has another content coding.
    pub async fn bytes(self) -> Result<Bytes, ClientError> {
        let Self { mut received, name, coding, max, until } = self;
        if let Coding::Other(coding) = coding {
            return Err(ClientError::Coding(name, coding));
        }
        let read = async {
            let mut bytes = Vec::new();
            while let Some(part) = received.chunk().await.map_err(|error| failed(&name, error))? {
                if bytes.len() + part.len() > max {
                    return Err(ClientError::TooLarge(name.clone(), max));
                }
                bytes.extend_from_slice(&part);
            }
            Ok(bytes)
        };
        let bytes = until.bound(&name, read).await?;
        if coding == Coding::Identity {
            return Ok(bytes.into());
        }
        match decompressed(bytes, max).await {
            Ok(Some(bytes)) => Ok(bytes.into()),
            Ok(None) => Err(ClientError::TooLarge(name, max)),
            Err(error) => Err(ClientError::Gzip(name, error)),
        }
    }
}

impl ClientBody {
    /// Reads the next part of a body without an end, such as an event stream. `None` is
    /// the end of the body.
    ///
    /// It waits at most `idle`. Neither the timeout of the request nor the limit on the
    /// body applies, so the caller has to bound what it keeps. Request the header
    /// `accept-encoding: identity`: parts are not decompressed.
    ///
    /// It is cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::http::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let request = http::Request::get("https://flags.example/events")
    ///     .header("accept-encoding", "identity")
    ///     .body("")?;
    /// let mut body = client.send(request).await?.into_body();
    /// while let Some(part) = body.chunk(Duration::from_secs(60)).await? {
    ///     println!("{} bytes", part.len());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If no part arrives in time, the connection is lost, or the body is compressed.
    pub async fn chunk(&mut self, idle: Duration) -> Result<Option<Bytes>, ClientError> {
        match &self.coding {
            Coding::Identity => {}
            Coding::Gzip => return Err(ClientError::Coding(self.name.clone(), "gzip".to_owned())),
            Coding::Other(coding) => {
                return Err(ClientError::Coding(self.name.clone(), coding.clone()));
            }
        }
        match timeout(idle, self.received.chunk()).await {
            Ok(part) => part.map_err(|error| failed(&self.name, error)),
            Err(_) => Err(ClientError::TimedOut(self.name.clone(), idle)),
        }
    }
}

/// When a request must have ended, with the body of its response.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    /// The timeout that led to it, for the error.
    after: Duration,
}

impl Deadline {
    /// Runs a part of the request, until the deadline at most.
    async fn bound<T>(
        self,
        name: &str,
        step: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        match timeout_at(self.at, step).await {
            Ok(ended) => ended,
            Err(_) => Err(ClientError::TimedOut(name.to_owned(), self.after)),
        }
    }
}

/// Parses a URL, which must be one of HTTP. The error does not contain its secrets.
pub(crate) fn parse(url: &str) -> Result<Url, ClientError> {
    let invalid = |reason: String| ClientError::Url { url: public_name(url), reason };
    let parsed = Url::parse(url).map_err(|error| invalid(error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid("it must begin with http:// or https://".to_owned()));
    }
    Ok(parsed)
}

/// The headers to send to this URL. It receives the secrets of the first URL only if
/// it has the same origin: scheme, host and port.
///
/// A redirect back to the first origin receives them again.
fn headers_for(url: &mut Url, first: &Url, headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
    if url.origin() == first.origin() {
        // A redirect within the origin leaves them out. Neither call fails for a URL with a host.
        let _ = url.set_username(first.username());
        let _ = url.set_password(first.password());
        return headers;
    }
    let secrets: Vec<_> = headers
        .iter()
        .filter(|(name, value)| {
            value.is_sensitive() || [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name)
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in secrets {
        headers.remove(name);
    }
    headers
}

/// The target of a redirect. `None` if the response is not one, or if its `location`
/// is not a URL; it is then the response to the caller.
fn redirect(from: &Url, response: &reqwest::Response) -> Option<Url> {
    let is_redirect = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(LOCATION).filter(|_| is_redirect)?;
    from.join(location.to_str().ok()?).ok()
}

/// An error of a request, without its URL, which may contain secrets.
fn failed(name: &str, error: reqwest::Error) -> ClientError {
    ClientError::Request(name.to_owned(), Box::new(error.without_url()))
}

/// How a body is compressed.
#[derive(Debug, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    /// Not supported; the value of the header, shortened.
    Other(String),
}

/// The coding in the headers `content-encoding`
/// ([RFC 9110, section 8.4](https://www.rfc-editor.org/rfc/rfc9110#section-8.4)).
/// More than one coding is not supported, not even gzip twice.
fn coding(headers: &HeaderMap) -> Coding {
    let all = headers.get_all(CONTENT_ENCODING).iter();
    let text: Vec<_> = all.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let text = text.join(",").to_ascii_lowercase();
    let codings = text.split(',').map(str::trim);
    let codings = codings.filter(|coding| !matches!(*coding, "" | "identity"));
    match *codings.collect::<Vec<_>>() {
        [] => Coding::Identity,
        ["gzip" | "x-gzip"] => Coding::Gzip,
        _ => Coding::Other(excerpt(&text).into_owned()),
    }
}

/// Decompresses a body on the blocking pool. Returns `None` if it is longer than
/// `max`, without decompressing the rest.
async fn decompressed(bytes: Vec<u8>, max: usize) -> io::Result<Option<Vec<u8>>> {
    let decompressed = spawn_blocking(move || {
        let mut decompressed = Vec::new();
        let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        MultiGzDecoder::new(&*bytes).take(limit).read_to_end(&mut decompressed)?;
        Ok(Some(decompressed).filter(|decompressed| decompressed.len() <= max))
    });
    // The task fails only if the runtime shuts down.
    decompressed.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bring_cryptography;

    /// Nothing listens on this port: a client that trusts no authority does not even connect.
    #[tokio::test]
    async fn a_system_without_authorities_is_told_the_remedy() {
        bring_cryptography();
        let mut client = Client::builder().build().unwrap();
        client.trusts = false;
        let url = "https://127.0.0.1:1/flags.json";
        let error = client.send(Request::get(url).body("").unwrap()).await.unwrap_err().to_string();
        assert!(error.contains(url) && error.contains("ca-certificates"), "{error}");
    }

    #[test]
    fn secrets_stay_with_the_origin() {
        let url = |text: &str| Url::parse(text).unwrap();
        let mut secret = HeaderValue::from_static("hush");
        secret.set_sensitive(true);
        let open = || HeaderValue::from_static("open");
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, open()),
            (COOKIE, open()),
            ("x-key".parse().unwrap(), secret),
            ("x-open".parse().unwrap(), open()),
        ]);
        let first = url("https://zoe:hush@host/a");
        let mut same = url("https://host:443/b");
        assert_eq!(headers_for(&mut same, &first, &headers).len(), 5);
        assert_eq!(same.as_str(), "https://zoe:hush@host/b");
        for other in ["http://host/a", "https://host:444/a", "https://other/a"] {
            let mut other = url(other);
            let left = headers_for(&mut other, &first, &headers);
            let mut left: Vec<_> = left.keys().map(http::HeaderName::as_str).collect();
            left.sort_unstable();
            assert_eq!(left, ["accept-encoding", "x-open"], "{other}");
            assert!(!other.as_str().contains("hush"), "{other}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!((&*size(64 << 20), &*size(100), &*size(0)), ("64 MiB", "100 bytes", "0 bytes"));
    }
}
