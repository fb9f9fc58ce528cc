//! How people keep their sessions: signed cookies.

use std::{borrow::Cow, fmt, time::Duration};

use axum::http::{HeaderMap, HeaderValue, header};
use cookie::{Cookie, CookieJar, Key, SameSite};
use openidconnect::url::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Hash, random, sha256};

/// The shortest key that signs cookies, in bytes.
pub(crate) const KEY: usize = 32;

/// How people keep their sessions.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The name of the cookie, which no other service on the same host may have.
    pub name: Cow<'static, str>,
    /// What signs the cookies, at least 32 bytes. All replicas have the same one, and whoever
    /// changes it ends all sessions.
    pub key: Option<SecretString>,
    /// Where browsers reach the service, such as `https://things.example`.
    pub public_url: String,
    /// On a developer's machine: the URL may begin with `http:`, cookies are sent without TLS,
    /// and a missing key is replaced by a random one.
    pub dev: bool,
    /// How long a session lasts.
    pub lifetime: Duration,
    /// How long a session lasts without a request.
    pub idle: Duration,
}

impl SessionOptions {
    /// Sessions of 12 hours that end after 2 hours without a request.
    #[must_use]
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        key: Option<SecretString>,
        public_url: String,
    ) -> Self {
        let (name, lifetime) = (name.into(), Duration::from_hours(12));
        Self { name, key, public_url, dev: false, lifetime, idle: Duration::from_hours(2) }
    }
}

/// Options of sessions that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionsError {
    /// There is no key to sign cookies.
    #[error(
        "no key signs the cookies of sessions: set the option session-key to at least {KEY} random \
         bytes, such as the output of `openssl rand -base64 32`"
    )]
    NoKey,
    /// The key is too short.
    #[error(
        "the key that signs the cookies of sessions has {0} bytes: set the option session-key to at \
         least {KEY} random bytes, such as the output of `openssl rand -base64 32`"
    )]
    ShortKey(usize),
    /// The public URL is invalid.
    #[error("option public-url {url:?}: {reason}")]
    PublicUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random,
}

/// Reads and writes the cookies of sessions.
#[derive(Clone)]
pub struct Sessions {
    key: Key,
    name: Cow<'static, str>,
    origin: String,
    dev: bool,
    lifetime: Duration,
    idle: Duration,
}

/// Does not show the key.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: _, name, origin, dev, lifetime, idle } = self;
        f.debug_struct("Sessions")
            .field("name", name)
            .field("origin", origin)
            .field("dev", dev)
            .field("lifetime", lifetime)
            .field("idle", idle)
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// The key is missing or too short, or the public URL is invalid.
    pub fn new(options: SessionOptions) -> Result<Self, SessionsError> {
        let SessionOptions { name, key, public_url, dev, lifetime, idle } = options;
        let key = match key {
            Some(key) => key,
            None if dev => random::secret().ok_or(SessionsError::Random)?.into(),
            None => return Err(SessionsError::NoKey),
        };
        let key = key.expose_secret().as_bytes();
        if key.len() < KEY {
            return Err(SessionsError::ShortKey(key.len()));
        }
        Ok(Self {
            key: Key::derive_from(key),
            // With this prefix, a browser accepts the cookie from this host over TLS only.
            name: if dev { name } else { format!("__Host-{name}").into() },
            origin: origin(public_url, dev)?,
            dev,
            lifetime,
            idle,
        })
    }

    /// The origin at which browsers reach the service, such as `https://things.example`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The one origin whose pages may send changes. A developer's machine has several names.
    pub(crate) fn own_origin(&self) -> Option<&str> {
        (!self.dev).then_some(&*self.origin)
    }

    pub(super) fn lifetime_milliseconds(&self) -> i64 {
        milliseconds(self.lifetime)
    }

    pub(super) fn idle_milliseconds(&self) -> i64 {
        milliseconds(self.idle)
    }

    /// The hash of the session's key in the cookie of a request.
    #[must_use]
    pub fn session(&self, headers: &HeaderMap) -> Option<Hash> {
        self.read(headers, "").map(|key| sha256(key.as_bytes()))
    }

    /// A header that sets the cookie of a session.
    #[must_use]
    pub fn session_cookie(&self, key: &SecretString) -> Option<HeaderValue> {
        self.cookie("", key.expose_secret().to_owned(), self.lifetime)
    }

    /// A header that removes the cookie of a session.
    pub(crate) fn no_session_cookie(&self) -> Option<HeaderValue> {
        self.cookie("", String::new(), Duration::ZERO)
    }

    /// The value of a cookie of this service, if its signature is valid.
    pub(crate) fn read(&self, headers: &HeaderMap, suffix: &str) -> Option<String> {
        let name = format!("{}{suffix}", self.name);
        let mut jar = CookieJar::new();
        for header in headers.get_all(header::COOKIE) {
            let Ok(header) = header.to_str() else { continue };
            for cookie in Cookie::split_parse(header.to_owned()).flatten() {
                if cookie.name() == name {
                    jar.add_original(cookie);
                }
            }
        }
        jar.signed(&self.key).get(&name).map(|it| it.value().to_owned())
    }

    /// A header that sets a signed cookie.
    pub(crate) fn cookie(
        &self,
        suffix: &str,
        value: String,
        lasts: Duration,
    ) -> Option<HeaderValue> {
        let name = format!("{}{suffix}", self.name);
        let seconds = i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((name.clone(), value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(!self.dev)
            .max_age(cookie::time::Duration::seconds(seconds));
        let mut jar = CookieJar::new();
        jar.signed_mut(&self.key).add(cookie);
        let mut header = HeaderValue::from_str(&jar.get(&name)?.to_string()).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The origin of a URL that is nothing but an origin.
fn origin(url: String, dev: bool) -> Result<String, SessionsError> {
    let invalid = |url, reason| Err(SessionsError::PublicUrl { url, reason });
    let Ok(parsed) = Url::parse(&url) else {
        return invalid(url, "expected a URL such as https://things.example");
    };
    match parsed.scheme() {
        "https" => {}
        "http" if dev => {}
        "http" => {
            return invalid(
                url,
                "expected https, since browsers send the cookie of a session over TLS only",
            );
        }
        _ => return invalid(url, "expected a URL that begins with https://"),
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return invalid(parsed.host_str().unwrap_or_default().to_owned(), "expected no user name");
    }
    if parsed.path() != "/" || parsed.query().is_some() || parsed.fragment().is_some() {
        return invalid(url, "expected a scheme, a host and a port only");
    }
    Ok(parsed.origin().ascii_serialization())
}
