//! Flag definitions from a URL, polled.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    path::Path,
    time::Duration,
};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep_until};

use super::{Definition, FlagSource, Format, SourceError, async_trait, bounded};
use crate::server::{ClientTls, ServerError, client_tls};

/// The longest definition that is read.
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
/// none from `https` to `http`.
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
        "cannot get {0}: the system has no certificate authorities: install them (mostly the package \
         `ca-certificates`), or name a PEM file (`certPath`, `HttpSource::authorities`)"
    )]
    NoAuthorities(String),
    #[error("cannot get {0}")]
    Request(String, #[source] reqwest::Error),
    #[error("{0} answered {1}")]
    Status(String, StatusCode),
    #[error("the flag definition at {0} is larger than {MAX_MIB} MiB")]
    TooLarge(String),
    #[error("the flag definition at {0} is no text in UTF-8")]
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
        let is_open = parsed.username().is_empty() && parsed.password().is_none();
        let name = if is_open { url.to_owned() } else { shown(parsed.clone()) };
        let tls = client_tls(None)?;
        let trusts = tls.trusts;
        let client = client(tls, &name)?;
        Ok(Self {
            name,
            url: parsed,
            interval: bounded(interval),
            authorization: None,
            client,
            trusts,
            due: None,
            known: None,
            hasher: RandomState::new(),
        })
    }

    /// Sends this value of the header `authorization`, such as `Bearer ...`. It is never shown, and
    /// not sent to another host that the URL redirects to.
    #[must_use]
    pub fn authorization(mut self, value: impl Into<String>) -> Self {
        self.authorization = Some(value.into().into());
        self
    }

    /// Trusts the certificate authorities of a PEM file in place of the system's.
    ///
    /// # Errors
    ///
    /// When the file cannot be used.
    pub fn authorities(mut self, path: impl AsRef<Path>) -> Result<Self, ServerError> {
        self.client = client(client_tls(Some(path.as_ref()))?, &self.name)?;
        self.trusts = true;
        Ok(self)
    }

    /// Asks once; none if nothing has changed.
    async fn ask(&self) -> Result<Option<(Known, Definition)>, FetchError> {
        if !self.trusts && self.url.scheme() == "https" {
            return Err(FetchError::NoAuthorities(self.name.clone()));
        }
        let failed =
            |error: reqwest::Error| FetchError::Request(self.name.clone(), error.without_url());
        let mut request =
            self.client.get(self.url.clone()).header(ACCEPT, "application/json, application/yaml");
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.expose_secret());
        }
        if let Some(tag) = self.known.as_ref().and_then(|known| known.tag.clone()) {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let mut response = request.send().await.map_err(failed)?;
        match response.status() {
            StatusCode::NOT_MODIFIED => return Ok(None),
            status if !status.is_success() => {
                return Err(FetchError::Status(self.name.clone(), status));
            }
            _ => {}
        }
        let tag = response.headers().get(ETAG).cloned();
        let format = format(&self.url, &response);
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            if bytes.len() + part.len() > MAX_MIB << 20 {
                return Err(FetchError::TooLarge(self.name.clone()));
            }
            bytes.extend_from_slice(&part);
        }
        let text = String::from_utf8(bytes).map_err(|_| FetchError::NoText(self.name.clone()))?;
        let definition = match format {
            Format::Json => Definition::json(text),
            Format::Yaml => Definition::yaml(text),
        };
        let digest = self.hasher.hash_one(&definition.text);
        Ok(Some((Known { tag, digest }, definition)))
    }
}

fn invalid(url: &str, reason: &str) -> ServerError {
    // A URL may hold a password.
    let shown = Url::parse(url).map_or_else(|_| "the URL".to_owned(), shown);
    ServerError::option("http source", format!("{shown}: {reason}"))
}

/// The URL without what may be secret.
fn shown(mut url: Url) -> String {
    // Neither fails for a URL with a host.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.into()
}

fn client(tls: ClientTls, name: &str) -> Result<Client, ServerError> {
    // Flags decide what a program does: what began with TLS stays with it.
    let redirects = Policy::custom(|attempt| {
        let secure = attempt.previous().first().is_some_and(|url| url.scheme() == "https");
        if secure && attempt.url().scheme() != "https" {
            attempt.error("a redirection from https to http")
        } else if attempt.previous().len() > REDIRECTIONS {
            attempt.error("too many redirections")
        } else {
            attempt.follow()
        }
    });
    let builder = Client::builder()
        .tls_backend_preconfigured(tls.config)
        .timeout(TIMEOUT)
        .redirect(redirects);
    builder.build().map_err(|error| ServerError::option("http source", format!("{name}: {error}")))
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
