//! Flag definitions from a URL, polled.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap,
        HeaderName, HeaderValue, IF_NONE_MATCH, LOCATION,
    },
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use super::{
    flag_source::{Definition, FlagSource, Format, SourceError, bounded},
    name::public_name,
};
use crate::{
    excerpt::excerpt,
    server::{ClientTls, ServerError, client_tls},
};
use async_trait::async_trait;

/// The longest definition that is read, once it is decompressed.
const MAX_MIB: usize = 64;

/// How often one reading may be sent elsewhere.
const REDIRECTIONS: usize = 10;

/// How long one reading may take.
const TIMEOUT: Duration = Duration::from_secs(30);

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
/// # Ok::<(), flagstaff::server::ServerError>(())
/// ```
pub struct HttpSource {
    name: String,
    url: Url,
    interval: Duration,
    authorization: Option<SecretString>,
    /// More headers of each request, whose values are secrets.
    headers: HeaderMap,
    /// A PEM file with the certificate authorities to trust, else the system's are.
    authorities: Option<PathBuf>,
    client: Client,
    /// Whether there is any certificate authority to trust.
    trusts: bool,
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

/// Why a URL gives no definition.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(
        "cannot get {}: the system has no certificate authorities: install them (mostly the package \
         `ca-certificates`), or name a PEM file (`certPath`, `HttpSource::authorities`)",
        excerpt(.0)
    )]
    NoAuthorities(String),
    #[error("cannot get {}", excerpt(.0))]
    Request(String, #[source] reqwest::Error),
    #[error("{name} responded with {1}", name = excerpt(.0))]
    Status(String, StatusCode),
    #[error("{} redirects from https to http", excerpt(.0))]
    Insecure(String),
    #[error("{} redirects more than {REDIRECTIONS} times", excerpt(.0))]
    Redirections(String),
    #[error(
        "the flag definition at {name} has the content coding `{1}`: only gzip is supported",
        name = excerpt(.0)
    )]
    Coding(String, String),
    #[error(
        "the flag definition at {} is not valid gzip, as its `content-encoding` says", excerpt(.0)
    )]
    Gzip(String, #[source] io::Error),
    #[error("the flag definition at {} is larger than {MAX_MIB} MiB", excerpt(.0))]
    TooLarge(String),
    #[error("the flag definition at {} is not valid UTF-8", excerpt(.0))]
    NoText(String),
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
    /// When it is no URL of HTTP, the interval is 0, or there is no cryptography for TLS.
    pub fn new(url: &str, interval: Duration) -> Result<Self, ServerError> {
        let parsed = Url::parse(url).map_err(|error| invalid(url, &error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(invalid(url, "it must begin with http:// or https://"));
        }
        if interval.is_zero() {
            return Err(invalid(url, "the interval must not be 0"));
        }
        let name = public_name(url);
        let tls = client_tls(None)?;
        let trusts = tls.trusts;
        let client = client(tls, &name)?;
        Ok(Self {
            name,
            url: parsed,
            interval: bounded(interval),
            authorization: None,
            headers: HeaderMap::new(),
            authorities: None,
            client,
            trusts,
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
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, ServerError> {
        let invalid = |what: &str| {
            let reason = format!("{}: header `{}`: {what}", excerpt(&self.name), excerpt(name));
            ServerError::option("http source", reason)
        };
        let name: HeaderName = name.parse().map_err(|_| invalid("the name is invalid"))?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_| invalid("the value is invalid"))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Trusts the certificate authorities of a PEM file in place of the system's. It is read again
    /// after each failure.
    ///
    /// # Errors
    ///
    /// When the file cannot be used.
    pub fn authorities(mut self, path: impl AsRef<Path>) -> Result<Self, ServerError> {
        self.authorities = Some(path.as_ref().to_owned());
        self.trust()?;
        Ok(self)
    }

    /// Reads the authorities, which may have been renewed.
    fn trust(&mut self) -> Result<(), ServerError> {
        if let Some(path) = &self.authorities {
            self.client = client(client_tls(Some(path))?, &self.name)?;
            self.trusts = true;
        }
        Ok(())
    }

    /// Asks once; none if nothing has changed.
    async fn ask(&self) -> Result<Option<(Known, Definition)>, FetchError> {
        let mut response = self.respond().await?;
        match response.status() {
            StatusCode::NOT_MODIFIED => return Ok(None),
            status if !status.is_success() => {
                return Err(FetchError::Status(self.name.clone(), status));
            }
            _ => {}
        }
        let tag = response.headers().get(ETAG).cloned();
        let format = format(&self.url, &response);
        let is_gzip = self.is_gzip(response.headers())?;
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.failed(error))? {
            if bytes.len() + part.len() > MAX_MIB << 20 {
                return Err(FetchError::TooLarge(self.name.clone()));
            }
            bytes.extend_from_slice(&part);
        }
        if is_gzip {
            bytes = self.decoded(bytes).await?;
        }
        let text = String::from_utf8(bytes).map_err(|_| FetchError::NoText(self.name.clone()))?;
        let definition = match format {
            Format::Json => Definition::json(text),
            Format::Yaml => Definition::yaml(text),
        };
        let digest = self.hasher.hash_one(&definition.text);
        Ok(Some((Known { tag, digest }, definition)))
    }

    /// The response, wherever the URL redirects to: other origins receive no secrets.
    async fn respond(&self) -> Result<Response, FetchError> {
        let until = Instant::now() + TIMEOUT;
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTIONS {
            if !self.trusts && url.scheme() == "https" {
                return Err(FetchError::NoAuthorities(self.name.clone()));
            }
            let left = until.saturating_duration_since(Instant::now());
            let request = self.request(url.clone()).timeout(left);
            let response = request.send().await.map_err(|error| self.failed(error))?;
            let Some(next) = redirection(&url, &response) else { return Ok(response) };
            // Flags decide what a program does: what began with TLS stays with it.
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(FetchError::Insecure(self.name.clone()));
            }
            url = next;
        }
        Err(FetchError::Redirections(self.name.clone()))
    }

    fn request(&self, mut url: Url) -> RequestBuilder {
        let is_ours = url.origin() == self.url.origin();
        if is_ours {
            // A redirection may leave them out. Neither fails for a URL with a host.
            let _ = url.set_username(self.url.username());
            let _ = url.set_password(self.url.password());
        }
        let mut request = self
            .client
            .get(url)
            .header(ACCEPT, "application/json, application/yaml")
            .header(ACCEPT_ENCODING, "gzip");
        if let Some(tag) = self.known.as_ref().and_then(|known| known.tag.clone()) {
            request = request.header(IF_NONE_MATCH, tag);
        }
        if is_ours {
            if let Some(value) = &self.authorization {
                request = request.header(AUTHORIZATION, value.expose_secret());
            }
            request = request.headers(self.headers.clone());
        }
        request
    }

    fn failed(&self, error: reqwest::Error) -> FetchError {
        FetchError::Request(self.name.clone(), error.without_url())
    }

    /// Whether a body is compressed.
    fn is_gzip(&self, headers: &HeaderMap) -> Result<bool, FetchError> {
        let all = headers.get_all(CONTENT_ENCODING).iter();
        let text: Vec<_> = all.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let text = text.join(",").to_ascii_lowercase();
        let codings = text.split(',').map(str::trim);
        let codings = codings.filter(|coding| !matches!(*coding, "" | "identity"));
        match *codings.collect::<Vec<_>>() {
            [] => Ok(false),
            ["gzip" | "x-gzip"] => Ok(true),
            _ => Err(FetchError::Coding(self.name.clone(), excerpt(&text).into_owned())),
        }
    }

    /// Decompresses a body, away from the threads that serve requests.
    async fn decoded(&self, bytes: Vec<u8>) -> Result<Vec<u8>, FetchError> {
        let decoded = spawn_blocking(move || {
            let mut decoded = Vec::new();
            let limit = (MAX_MIB << 20) as u64 + 1;
            MultiGzDecoder::new(&*bytes).take(limit).read_to_end(&mut decoded)?;
            Ok(decoded)
        });
        // Where the runtime shuts down, nobody reads the error.
        let decoded = decoded.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        match decoded {
            Ok(decoded) if decoded.len() > MAX_MIB << 20 => {
                Err(FetchError::TooLarge(self.name.clone()))
            }
            Ok(decoded) => Ok(decoded),
            Err(error) => Err(FetchError::Gzip(self.name.clone(), error)),
        }
    }
}

/// Where a response sends the client to, if it does.
fn redirection(from: &Url, response: &Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    from.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()
}

fn invalid(url: &str, reason: &str) -> ServerError {
    let shown = if url.is_empty() { "the URL".to_owned() } else { public_name(url) };
    ServerError::option("http source", format!("{}: {reason}", excerpt(&shown)))
}

fn client(tls: ClientTls, name: &str) -> Result<Client, ServerError> {
    // reqwest would send headers, which may be secrets, wherever it is redirected to.
    let builder = Client::builder().tls_backend_preconfigured(tls.config).redirect(Policy::none());
    builder
        .build()
        .map_err(|error| ServerError::option("http source", format!("{}: {error}", excerpt(name))))
}

fn format(url: &Url, response: &Response) -> Format {
    let is = |text: &str| match text {
        "yaml" | "yml" => Some(Format::Yaml),
        "json" => Some(Format::Json),
        _ => None,
    };
    let ending = Path::new(url.path()).extension().and_then(|ending| ending.to_str());
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
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

    /// Nobody listens at this port: who trusts nobody does not even ask.
    #[tokio::test]
    async fn a_system_without_authorities_is_told_the_remedy() {
        bring_cryptography();
        let url = "https://127.0.0.1:1/flags.json";
        let mut source = HttpSource::new(url, Duration::from_secs(5)).unwrap();
        source.trusts = false;
        let error = source.next().await.unwrap_err().to_string();
        assert!(error.contains(url) && error.contains("ca-certificates"), "{error}");
    }
}
