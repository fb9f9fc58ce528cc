//! Flag definitions from a URL, polled.

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
        client::parse,
        public_name,
        tls::{ClientTls, Pem},
    },
};
use async_trait::async_trait;

/// Flag definitions in JSON or YAML from a URL (`http://` or `https://`), asked for at intervals.
///
/// A server that gives an `ETag` is asked for the definition only if it has changed. YAML is told by
/// the ending of the path (`.yaml`, `.yml`), else by the type of the content. Proxies are taken from
/// the environment (`HTTPS_PROXY` and so on), and up to 10 redirections are followed, though
/// none from `https` to `http`. A body may be compressed with gzip.
///
/// The source is called by its [`public_name`], since a URL may hold secrets.
///
/// ```
/// # use std::time::Duration;
/// use flagstaff::source::HttpSource;
///
/// let source = HttpSource::new("https://flags.example/flags.json", Duration::from_secs(5))?
///     .authorization("Bearer secret");
/// # Ok::<(), flagstaff::source::HttpSourceError>(())
/// ```
pub struct HttpSource {
    name: String,
    url: Url,
    interval: Duration,
    authorization: Option<SecretString>,
    /// More headers of each request, whose values are secrets.
    headers: HeaderMap,
    /// The certificate authorities to trust, else the system's are.
    authorities: Option<Pem>,
    client: Client,
    /// When to ask next; at once without a time.
    due: Option<Instant>,
    known: Option<Known>,
    hasher: RandomState,
}

/// What was given last: its tag, and a digest of it.
struct Known {
    tag: Option<HeaderValue>,
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

/// Why a URL gives no definition.
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
            // The remedy is one of the source.
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
    /// Will ask `url` at once, and then every `interval` (from a millisecond to a year).
    ///
    /// # Errors
    ///
    /// When it is not a URL of HTTP, the interval is 0, or there is no cryptography for TLS.
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

    /// Sends this value of the header `authorization`, such as `Bearer ...`. It is never shown, and
    /// not sent to another origin that the URL redirects to.
    #[must_use]
    pub fn authorization(mut self, value: impl Into<String>) -> Self {
        self.authorization = Some(value.into().into());
        self
    }

    /// Sends one more header with each request, in place of one of that name that the source would
    /// send itself. The value is never shown, and not sent to another origin that the URL redirects
    /// to.
    ///
    /// # Errors
    ///
    /// When the name or the value is not valid in a header.
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

    /// Trusts these certificate authorities in place of the system's. A file is read again after each
    /// failure.
    ///
    /// # Errors
    ///
    /// When they cannot be used.
    pub fn authorities(mut self, authorities: impl Into<Pem>) -> Result<Self, HttpSourceError> {
        self.authorities = Some(authorities.into());
        self.trust()?;
        Ok(self)
    }

    /// Reads the authorities, which may have been renewed.
    fn trust(&mut self) -> Result<(), ClientError> {
        if let Some(authorities) = &self.authorities {
            let tls = ClientTls::new().authorities(authorities.clone());
            self.client = Client::builder().tls(tls).build()?;
        }
        Ok(())
    }

    /// Asks once; none if nothing has changed.
    async fn ask(&self) -> Result<Option<(Known, Definition)>, FetchError> {
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

    /// The headers of a request; the client keeps those that are secret from other origins.
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
            let answer = self.ask().await;
            self.due = Some(Instant::now() + self.interval);
            match answer {
                Ok(Some((new, definition))) => {
                    let former = self.known.replace(new).map(|known| known.digest);
                    if former != self.known.as_ref().map(|known| known.digest) {
                        return Ok(definition);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    // The caller waits, and then expects the definition that is current.
                    self.due = None;
                    self.known = None;
                    // Where the file cannot be read, what it held is as good as anything.
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
        // Where the next time cannot be told, it would ask at once.
        let source = HttpSource::new("http://host", Duration::MAX).unwrap();
        assert!(Instant::now().checked_add(source.interval).is_some());
    }
}
