//! Origins of web pages, as the option has them.
//!
//! An origin that no browser sends would never match, and the page would fail for
//! no visible reason. So an option that cannot match is an error, which says how
//! to write it:
//!
//! | Option | Result |
//! |---|---|
//! | `https://shop.example` | this origin |
//! | `https://*.shop.example` | any characters in place of `*` |
//! | `*` | every origin |
//! | `https://shop.example/` | an error: write it without the slash |
//! | `https://shop.example:0443` | an error: browsers leave out the default port |

use std::borrow::Cow;

use reqwest::Url;

use crate::excerpt::excerpt;

/// The origins that one entry of the option allows, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `*`: every origin.
    Any,
    /// One origin.
    Exactly(String),
    /// The origins that begin with the first and end with the second string.
    Between(String, String),
}

/// Strings to try in place of `*`: parts of a host, of an IP address, of a port,
/// and the middle of an origin. If none of them makes an origin, no other string
/// does.
const FILLINGS: [&str; 6] = ["1", "x", "1.1", "1.1.1", "://x", "x://x"];

/// The remedy where it cannot be guessed what was meant.
const EXPECTED: &str = "expected SCHEME://HOST or SCHEME://HOST:PORT, with at most one `*`, such as \
    `https://shop.example`";

impl Origin {
    /// Parses an origin as browsers send it (<https://fetch.spec.whatwg.org/#origin-header>),
    /// in which one `*` can stand for any characters.
    ///
    /// # Errors
    ///
    /// Returns a message if no browser sends an origin that matches. A user name
    /// or password before an `@` is not shown.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        if !is_pattern(&lower) {
            let shown = without_user(text);
            let remedy = match repaired(&lower).filter(|better| is_pattern(better)) {
                Some(better) => format!("write `{}`", excerpt(&better)),
                None => EXPECTED.to_owned(),
            };
            return Err(format!(
                "`{}` matches no origin that browsers send: {remedy}",
                excerpt(&shown)
            ));
        }
        Ok(match lower.split_once('*') {
            None => Self::Exactly(lower),
            Some(("", "")) => Self::Any,
            Some((start, end)) => Self::Between(start.to_owned(), end.to_owned()),
        })
    }

    /// Whether it allows the origin of a request, which is in lower case.
    pub(crate) fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(text) => text == origin,
            Self::Between(start, end) => {
                origin.len() >= start.len() + end.len()
                    && origin.starts_with(start)
                    && origin.ends_with(end)
            }
        }
    }
}

/// Whether the string is an origin, or one with a single `*` in place of a part.
fn is_pattern(text: &str) -> bool {
    match text.matches('*').count() {
        0 => is_origin(text),
        1 => FILLINGS.iter().any(|filling| is_origin(&text.replace('*', filling))),
        _ => false,
    }
}

/// Whether a browser can send this string as an origin: it is its own serialized
/// form.
fn is_origin(text: &str) -> bool {
    // What documents without an origin send, and files in some browsers.
    matches!(text, "null" | "file://")
        || Url::parse(text).ok().and_then(|url| serialized(&url)).as_deref() == Some(text)
}

/// The origin of a URL as browsers write it.
///
/// The pages of browser extensions and apps have one too, although the standard
/// gives their schemes none.
fn serialized(url: &Url) -> Option<String> {
    let origin = url.origin();
    if origin.is_tuple() {
        return Some(origin.ascii_serialization());
    }
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{host}{port}", url.scheme()))
}

/// What was probably meant: the origin of a URL with a path, or of a host without
/// a scheme.
fn repaired(text: &str) -> Option<String> {
    let text = text.trim();
    if text.contains("://") {
        return serialized(&Url::parse(text).ok()?);
    }
    let is_local = text.starts_with("localhost") || text.starts_with("127.");
    let scheme = if is_local { "http" } else { "https" };
    let url = Url::parse(&format!("{scheme}://{}", text.trim_start_matches('/'))).ok()?;
    serialized(&url)
}

/// The string without what comes before an `@`, which may be a password.
fn without_user(text: &str) -> Cow<'_, str> {
    match text.rsplit_once('@') {
        None => text.into(),
        Some((_, rest)) => format!("...@{rest}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_can_send_is_taken() {
        for text in [
            "*",
            "null",
            "file://",
            "https://shop.example",
            "HTTPS://Shop.Example",
            "http://localhost:3000",
            "https://shop.example:8443",
            "http://shop.example:443",
            "http://[::1]",
            "http://[::1]:3000",
            "https://xn--mller-kva.example",
            "chrome-extension://abcdefghijklmnop",
            "capacitor://localhost",
            // One `*` for any text, as in flagd.
            "https://*",
            "https*",
            "https://*.shop.example",
            "*.shop.example",
            "*://shop.example",
            "http*://shop.example",
            "https://shop.*",
            "http://localhost:*",
            "http://localhost:80*",
            "http://10.*.1",
            "http://192.168.*",
            "http://[fe80::*]:3000",
        ] {
            Origin::parse(text).unwrap();
        }
    }

    #[test]
    fn what_matches_nothing_is_an_error_that_says_what_to_write() {
        for (text, remedy) in [
            ("https://shop.example/", "write `https://shop.example`"),
            ("https://*.shop.example/", "write `https://*.shop.example`"),
            ("*.shop.example/", "write `https://*.shop.example`"),
            ("https://shop.example/a?b", "write `https://shop.example`"),
            ("https://shop.example#a", "write `https://shop.example`"),
            ("shop.example", "write `https://shop.example`"),
            ("//shop.example", "write `https://shop.example`"),
            ("localhost:3000", "write `http://localhost:3000`"),
            (" https://shop.example", "write `https://shop.example`"),
            ("https://shop.example:443", "write `https://shop.example`"),
            ("https://*:443", "write `https://*`"),
            ("http://shop.example:80/", "write `http://shop.example`"),
            ("http://shop.example:", "write `http://shop.example`"),
            ("https://a.example:0443", "write `https://a.example`"),
            ("http://a.example:08080", "write `http://a.example:8080`"),
            ("https://127.1", "write `https://127.0.0.1`"),
            ("https://1.2.3", "write `https://1.2.0.3`"),
            ("https://[0:0:0:0:0:0:0:1]", "write `https://[::1]`"),
            ("https://m\u{fc}ller.example", "write `https://xn--mller-kva.example`"),
            ("capacitor://localhost/", "write `capacitor://localhost`"),
            ("http://shop.example:99999", "expected SCHEME://HOST"),
            ("https://", "expected SCHEME://HOST"),
            ("https:shop.example", "expected SCHEME://HOST"),
            ("https://a b.example", "expected SCHEME://HOST"),
            ("1://shop.example", "expected SCHEME://HOST"),
            ("http://[::1", "expected SCHEME://HOST"),
            ("https://*.*.example", "expected SCHEME://HOST"),
            ("", "expected SCHEME://HOST"),
        ] {
            let error = Origin::parse(text).unwrap_err();
            assert!(error.contains(remedy), "{text}: {error}");
        }
        let error = Origin::parse("https://ann:hush@shop.example").unwrap_err();
        assert!(error.contains("write `https://shop.example`"), "{error}");
        assert!(!error.contains("hush"), "{error}");
        assert!(Origin::parse(&"x".repeat(5000)).unwrap_err().len() < 1000);
    }

    #[test]
    fn a_star_matches_any_text() {
        let matches = |pattern: &str, origin| Origin::parse(pattern).unwrap().matches(origin);
        for (pattern, origin, expected) in [
            ("*", "https://a.example", true),
            ("https://A.example", "https://a.example", true),
            ("https://a.example", "https://a.example.evil", false),
            ("https://*.a.example", "https://x.a.example", true),
            ("https://*.a.example", "https://a.example", false),
            ("https://a*a", "https://a", false),
            ("http://localhost:*", "http://localhost:3000", true),
        ] {
            assert_eq!(matches(pattern, origin), expected, "{pattern} {origin}");
        }
    }
}
