//! Flag definitions from a URL, which is requested at intervals.
//!
//! ```text
//! GET /flags.json                       200, ETag: "v1"   delivered
//! GET /flags.json, If-None-Match: "v1"  304               not delivered
//! GET /flags.json, If-None-Match: "v1"  200, ETag: "v2"   delivered, if the text differs
//! GET /flags.json, If-None-Match: "v2"  503               error; the tag is forgotten
//! GET /flags.json                       200, ETag: "v2"   delivered
//! ```
//!
//! The tag only saves bandwidth. A server may have none, or one that changes with
//! each replica, so the text is compared too, as a hash. After an error the tag is
//! forgotten, because the caller of [`FlagSource::next`] then expects the current
//! definition even if it has not changed.
//!
//! Redirects, proxies, compression, and the limits of time and size are those of
//! [`Client`].

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    path::Path,
    time::Duration,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use hyper::body::Bytes;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep_until};

use super::flag_source::{Definition, FlagSource, Format, SourceError, bounded};
use crate::{
    excerpt::excerpt,
    http::{
        Client, ClientError,
        client::url::parse,
        public_name,
        tls::{ClientTls, Pem},
    },
};
use async_trait::async_trait;

/// Flag definitions in JSON or YAML from a URL (`http://` or `https://`), which is
/// requested at intervals.
///
/// * If the server sends an `ETag`, an unchanged definition is not sent again.
/// * The format is that of the ending of the path (`.json`, `.yaml`, `.yml`),
///   otherwise that of the header `content-type`, otherwise JSON.
/// * Proxies are taken from the environment (`HTTPS_PROXY` and so on).
/// * Up to 10 redirects are followed, but none from `https` to `http`.
/// * A request may take 30 s, and a body may have 64 MiB. It may be compressed with
///   gzip.
///
/// The name of the source is the [`public_name`] of the URL, which may contain
/// secrets itself.
///
/// ```
/// use std::time::Duration;
///
/// use flagstaff::source::HttpSource;
///
/// let source = HttpSource::new("https://flags.example/flags.json", Duration::from_secs(5))?
///     .authorization("Bearer secret");
/// # Ok::<(), flagstaff::source::HttpSourceError>(())
/// ```
pub struct HttpSource {
    /// The URL without secrets, for messages.
    name: String,
    url: Url,
    /// From a millisecond to a year; see [`bounded`].
    interval: Duration,
    /// The value of the header `authorization`. It is checked when it is sent.
    authorization: Option<SecretString>,
    /// Further headers of each request. Their values are marked as sensitive.
    headers: HeaderMap,
    /// The certificate authorities to trust in place of the system's.
    authorities: Option<Pem>,
    client: Client,
    /// When to send the next request; `None` means immediately.
    due: Option<Instant>,
    /// `None` before the first definition and after an error.
    known: Option<Known>,
    hasher: RandomState,
}

/// The definition that was delivered last, as far as the next one is compared with
/// it.
struct Known {
    /// The `ETag` of the response, if it had one.
    tag: Option<HeaderValue>,
    /// The hash of the text.
    digest: u64,
}

/// Why an [`HttpSource`] cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpSourceError {
    /// The URL is invalid, or the certificate authorities cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The interval is 0.
    #[error("{shown}: the interval must not be 0", shown = excerpt(url))]
    Interval {
        /// The URL, without what may be secret.
        url: String,
    },
    /// A header is invalid.
    #[error("{shown}: header `{name}`: {reason}", shown = excerpt(url))]
    Header {
        /// The URL, without what may be secret.
        url: String,
        /// The name of the header.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Why a request gave no definition. None of these is fatal, since a server may be
/// fixed without the program.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Client(ClientError),
    #[error(
        "cannot get {}: the system has no certificate authorities: install them (mostly the package \
         `ca-certificates`), or name a PEM file (`certPath`, `HttpSource::authorities`)",
        excerpt(.0)
    )]
    NoAuthorities(String),
    #[error("cannot get {}: the value of the header `authorization` is invalid", excerpt(.0))]
    Authorization(String),
    #[error("{name} responded with {1}", name = excerpt(.0))]
    Status(String, StatusCode),
    #[error("the flag definition at {} is not valid UTF-8", excerpt(.0))]
    NoText(String),
}

impl From<ClientError> for FetchError {
    fn from(error: ClientError) -> Self {
        match error {
            // Its remedy names an option of the client, which the source does not show.
            ClientError::NoAuthorities(name) => Self::NoAuthorities(name),
            error => Self::Client(error),
        }
    }
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSource")
            .field("url", &self.name)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

impl HttpSource {
    /// Creates a source that requests `url` with the first
    /// [`next`](FlagSource::next), and then every `interval`.
    ///
    /// An interval below a millisecond becomes one, and one above a year becomes a
    /// year. The interval begins with the response.
    ///
    /// # Errors
    ///
    /// If the URL is not one of HTTP, if the interval is 0, or if there is no
    /// cryptography for TLS.
    pub fn new(url: &str, interval: Duration) -> Result<Self, HttpSourceError> {
        let parsed = parse(url)?;
        let name = public_name(url);
        if interval.is_zero() {
            return Err(HttpSourceError::Interval { url: name });
        }
        Ok(Self {
            name,
            url: parsed,
            interval: bounded(interval),
            authorization: None,
            headers: HeaderMap::new(),
            authorities: None,
            client: Client::builder().build()?,
            due: None,
            known: None,
            hasher: RandomState::new(),
        })
    }

    /// Sends this value in the header `authorization`, such as `Bearer ...`.
    ///
    /// It is never shown, and is not sent to another origin to which the URL
    /// redirects. A value that is not valid in a header is an error of
    /// [`next`](FlagSource::next).
    #[must_use]
    pub fn authorization(mut self, value: impl Into<String>) -> Self {
        self.authorization = Some(value.into().into());
        self
    }

    /// Sends one more header with each request.
    ///
    /// It replaces a header of the same name that the source would send itself. The
    /// value is never shown, and is not sent to another origin to which the URL
    /// redirects.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use flagstaff::source::HttpSource;
    ///
    /// let source = HttpSource::new("https://flags.example/flags", Duration::from_secs(5))?
    ///     .header("x-api-key", "secret")?;
    /// assert!(!format!("{source:?}").contains("secret"));
    /// # Ok::<(), flagstaff::source::HttpSourceError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the name or the value is not valid in a header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, HttpSourceError> {
        let invalid = |reason| HttpSourceError::Header {
            url: self.name.clone(),
            name: excerpt(name).into_owned(),
            reason,
        };
        let name: HeaderName = name.parse().map_err(|_| invalid("the name is invalid"))?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_| invalid("the value is invalid"))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Trusts these certificate authorities in place of the system's.
    ///
    /// A file is read now, and again after each failed request, so that renewed
    /// authorities take effect without a restart.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or contains no certificate.
    pub fn authorities(mut self, authorities: impl Into<Pem>) -> Result<Self, HttpSourceError> {
        self.authorities = Some(authorities.into());
        self.trust()?;
        Ok(self)
    }

    /// Reads the authorities, which may have been renewed, and makes a client that
    /// trusts them. If they cannot be read, the client stays as it is.
    fn trust(&mut self) -> Result<(), ClientError> {
        if let Some(authorities) = &self.authorities {
            let tls = ClientTls::new().authorities(authorities.clone());
            self.client = Client::builder().tls(tls).build()?;
        }
        Ok(())
    }

    /// Sends one request. Returns `None` if the server says that the definition has
    /// not changed.
    async fn request(&self) -> Result<Option<(Known, Definition)>, FetchError> {
        let headers = self.request_headers()?;
        let name = self.name.clone();
        let response =
            self.client.exchange(name, &self.url, &Method::GET, &headers, Bytes::new()).await?;
        match response.status() {
            StatusCode::NOT_MODIFIED => return Ok(None),
            status if !status.is_success() => {
                return Err(FetchError::Status(self.name.clone(), status));
            }
            _ => {}
        }
        let tag = response.headers().get(ETAG).cloned();
        let format = format(&self.url, response.headers());
        let bytes = response.into_body().bytes().await?;
        let text =
            String::from_utf8(bytes.into()).map_err(|_| FetchError::NoText(self.name.clone()))?;
        let definition = match format {
            Format::Json => Definition::json(text),
            Format::Yaml => Definition::yaml(text),
        };
        let digest = self.hasher.hash_one(&definition.text);
        Ok(Some((Known { tag, digest }, definition)))
    }

    /// The headers of a request. Those with secrets are marked as sensitive, so that
    /// the client does not send them to other origins.
    fn request_headers(&self) -> Result<HeaderMap, FetchError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/yaml"));
        if let Some(tag) = self.known.as_ref().and_then(|known| known.tag.clone()) {
            headers.insert(IF_NONE_MATCH, tag);
        }
        if let Some(value) = &self.authorization {
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| FetchError::Authorization(self.name.clone()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers.extend(self.headers.clone());
        Ok(headers)
    }
}

/// The format of a response: that of the ending of the path, otherwise that of the
/// content type (`application/yaml`, `text/x-yaml`, `application/vnd.flags+json`),
/// otherwise JSON.
///
/// The ending comes first, because servers of static files often send YAML as
/// plain text.
fn format(url: &Url, headers: &HeaderMap) -> Format {
    let is = |text: &str| match text {
        "yaml" | "yml" => Some(Format::Yaml),
        "json" => Some(Format::Json),
        _ => None,
    };
    let ending = Path::new(url.path()).extension().and_then(|ending| ending.to_str());
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let kind = kind.and_then(|kind| kind.rsplit(['/', '+', '-']).next());
    ending.and_then(is).or_else(|| kind.and_then(is)).unwrap_or_default()
}

#[async_trait]
impl FlagSource for HttpSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn next(&mut self) -> Result<Definition, SourceError> {
        loop {
            if let Some(due) = self.due {
                sleep_until(due).await;
            }
            let result = self.request().await;
            self.due = Some(Instant::now() + self.interval);
            match result {
                Ok(Some((new, definition))) => {
                    let former = self.known.replace(new).map(|known| known.digest);
                    if former != self.known.as_ref().map(|known| known.digest) {
                        return Ok(definition);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    // The caller waits before it calls again, and then expects the current definition.
                    self.due = None;
                    self.known = None;
                    // If the file cannot be read now, the authorities read before stay in use.
                    let _ = self.trust();
                    return Err(SourceError::new(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bring_cryptography;

    #[test]
    fn urls_are_checked_and_secrets_not_shown() {
        bring_cryptography();
        let new = |url: &str| HttpSource::new(url, Duration::from_secs(5));
        let source = new("http://user:hush@host/flags.json").unwrap();
        assert_eq!(source.name(), "http://host/flags.json");
        assert!(!format!("{source:?}").contains("hush"));
        for url in ["", "flags.json", "ftp://user:hush@host/"] {
            let error = new(url).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
        HttpSource::new("http://host", Duration::ZERO).unwrap_err();
        // A time that cannot be represented would panic.
        let source = HttpSource::new("http://host", Duration::MAX).unwrap();
        assert!(Instant::now().checked_add(source.interval).is_some());
    }
}
