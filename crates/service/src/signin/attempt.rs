//! A sign-in under way: what the browser keeps until the provider sends the person back.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::Provider;
use crate::{
    access::{Hash, Sessions, random_secret, sha256},
    time,
};

/// How long a person may take to sign in at the provider.
pub(super) const LASTS: Duration = Duration::from_mins(10);

/// The end of the cookie's name.
const COOKIE: &str = "-sign-in";

/// A sign-in under way. The cookie that holds it is signed, so nobody can make one up; and it is
/// in one browser only, so nobody can complete a sign-in that another person has begun.
#[derive(Deserialize, Serialize)]
pub(super) struct Attempt {
    pub(super) provider: Provider,
    /// What the provider sends back ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)).
    pub(super) state: String,
    /// What proves that the one who redeems the code began the sign-in
    /// ([RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)).
    pub(super) verifier: String,
    /// What the ID token repeats.
    pub(super) nonce: String,
    /// The page to show afterwards.
    pub(super) next: String,
    expires: i64,
}

impl Attempt {
    /// Begins one. `None`: the system has no random numbers.
    pub(super) fn begin(provider: Provider, next: Option<&str>) -> Option<Self> {
        let lasts = i64::try_from(LASTS.as_millis()).unwrap_or(i64::MAX);
        Some(Self {
            provider,
            state: random_secret()?,
            verifier: random_secret()?,
            nonce: random_secret()?,
            next: local(next).to_owned(),
            expires: time::now().saturating_add(lasts),
        })
    }

    /// The header that keeps it in the browser.
    pub(super) fn cookie(&self, sessions: &Sessions) -> Option<HeaderValue> {
        let value = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).ok()?);
        sessions.cookie(COOKIE, value, LASTS)
    }

    /// The header that removes it from the browser.
    pub(super) fn no_cookie(sessions: &Sessions) -> Option<HeaderValue> {
        sessions.cookie(COOKIE, String::new(), Duration::ZERO)
    }

    /// The one that this browser has begun with this provider and that has this state, if it has
    /// not expired.
    pub(super) fn read(
        sessions: &Sessions,
        headers: &HeaderMap,
        provider: Provider,
        state: &str,
    ) -> Option<Self> {
        let value = URL_SAFE_NO_PAD.decode(sessions.read(headers, COOKIE)?).ok()?;
        let attempt: Self = serde_json::from_slice(&value).ok()?;
        let valid =
            attempt.provider == provider && attempt.state == state && attempt.expires > time::now();
        valid.then_some(attempt)
    }

    /// What identifies it.
    pub(super) fn hash(&self) -> Hash {
        sha256(self.state.as_bytes())
    }
}

/// The path of a page of this service, or `/` in place of everything else: a sign-in must not
/// send anybody to another website.
pub(super) fn local(next: Option<&str>) -> &str {
    // Browsers read `\` as `/` and drop tabs and line ends, so both can hide another host.
    next.filter(|it| {
        it.starts_with('/')
            && !it.starts_with("//")
            && it.len() <= 1_000
            && it.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    })
    .unwrap_or("/")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use axum::http::header;

    use super::*;
    use crate::access::SessionOptions;

    #[test]
    fn an_attempt_is_read_until_it_expires_with_its_provider_and_state() {
        let options = SessionOptions::new("t", Some("k".repeat(32).into()), "https://t".to_owned());
        let sessions = Sessions::new(options).unwrap();
        let mut attempt = Attempt::begin(Provider::Oidc, Some("/ui")).unwrap();
        let headers = |attempt: &Attempt| {
            let cookie = attempt.cookie(&sessions).unwrap();
            let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            [(header::COOKIE, HeaderValue::try_from(pair).unwrap())].into_iter().collect()
        };
        let read = |headers: &HeaderMap, provider, state: &str| {
            Attempt::read(&sessions, headers, provider, state).map(|it| it.next)
        };
        let good: HeaderMap = headers(&attempt);
        assert_eq!(read(&good, Provider::Oidc, &attempt.state), Some("/ui".to_owned()));
        assert_eq!(read(&good, Provider::Github, &attempt.state), None);
        assert_eq!(read(&good, Provider::Oidc, ""), None);
        assert_eq!(read(&HeaderMap::new(), Provider::Oidc, &attempt.state), None);
        attempt.expires = time::now();
        assert_eq!(read(&headers(&attempt), Provider::Oidc, &attempt.state), None);
    }

    #[test]
    fn only_a_local_path_is_followed() {
        for good in ["/", "/ui/identity/acme-prod?tab=facts#tier", "/a//b", "/http://x"] {
            assert_eq!(local(Some(good)), good);
        }
        let long = format!("/{}", "a".repeat(1_000));
        for bad in [
            "",
            "ui",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nset-cookie: a=b",
            "/\u{e4}",
            &long,
        ] {
            assert_eq!(local(Some(bad)), "/", "{bad:?}");
        }
        assert_eq!(local(None), "/");
    }
}
