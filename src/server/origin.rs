//! Origins of web pages, as options give them.

use std::borrow::Cow;

use crate::excerpt::excerpt;

/// The origins of pages that may read answers, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `*`.
    Any,
    Exactly(String),
    /// With any text between the two.
    Between(String, String),
}

/// Texts that a `*` can stand for; where none of them makes an origin, no other does.
const FILLINGS: [&str; 4] = ["1", "x", "://x", "x://x"];

const EXPECTED: &str =
    "expected SCHEME://HOST or SCHEME://HOST:PORT, such as `https://shop.example`";

impl Origin {
    /// Parses an origin as browsers send it (<https://fetch.spec.whatwg.org/#origin-header>), in
    /// which one `*` can stand for any text.
    ///
    /// # Errors
    ///
    /// When no browser sends an origin that matches.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(fault) = fault(text) {
            let shown = shown(text);
            let shown = excerpt(&shown);
            let better = repaired(text);
            let remedy = match self::fault(&better) {
                None => format!("write `{}`", excerpt(&better)),
                Some(_) => EXPECTED.to_owned(),
            };
            return Err(format!("`{shown}` matches no web page: {fault}; {remedy}"));
        }
        let text = text.to_ascii_lowercase();
        Ok(match text.split_once('*') {
            None => Self::Exactly(text),
            Some(("", "")) => Self::Any,
            Some((start, end)) => Self::Between(start.to_owned(), end.to_owned()),
        })
    }

    /// Whether it is this one, of a request, in lower case.
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

/// Why the text matches no origin, unless it does.
fn fault(text: &str) -> Option<&'static str> {
    match text.matches('*').count() {
        0 => fault_of_origin(text),
        1 if FILLINGS.iter().any(|it| fault_of_origin(&text.replace('*', it)).is_none()) => None,
        1 => fault_of_origin(&text.replace('*', if text.contains("://") { "x" } else { "x://x" })),
        _ => Some("it has more than one `*`"),
    }
}

fn fault_of_origin(text: &str) -> Option<&'static str> {
    // Of documents without an origin, and of files in some browsers.
    if matches!(text, "null" | "file://") {
        return None;
    }
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.contains(char::is_whitespace) {
        return Some("it contains a space");
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Some("it has no scheme");
    };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(is_scheme) {
        return Some("its scheme is invalid");
    }
    match rest.find(['/', '?', '#']) {
        Some(end) if rest[end..] == *"/" => return Some("it ends with a slash"),
        Some(_) => return Some("it has a path or a query"),
        None => {}
    }
    if rest.contains('@') {
        return Some("it has a user name");
    }
    let (host, port) = host_and_port(rest);
    if !is_host(host) {
        return Some(if host.is_ascii() {
            "its host is missing or invalid"
        } else {
            "browsers write such a host in ASCII (`xn--...`)"
        });
    }
    match port {
        None => None,
        Some(port) if is_default(scheme, port) => {
            Some("browsers leave out the port that is the scheme's default")
        }
        Some(port) => {
            let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
            (!is_port).then_some("its port is invalid")
        }
    }
}

fn host_and_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        // The colons of an IPv6 address are within brackets.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or_default();
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()+,;=".contains(c);
    !text.is_empty() && text.chars().all(is_allowed)
}

fn is_default(scheme: &str, port: &str) -> bool {
    let scheme = scheme.to_ascii_lowercase();
    matches!((&*scheme, port), ("http", "80") | ("https", "443"))
}

/// What was probably meant.
fn repaired(text: &str) -> String {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").unwrap_or_else(|| {
        let is_local = text.starts_with("localhost") || text.starts_with("127.");
        (if is_local { "http" } else { "https" }, text)
    });
    let rest = rest.trim_start_matches('/');
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let rest = match host_and_port(rest) {
        (host, Some(port)) if is_default(scheme, port) => host,
        _ => rest,
    };
    format!("{scheme}://{rest}")
}

/// Without a password.
fn shown(text: &str) -> Cow<'_, str> {
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
        ] {
            Origin::parse(text).unwrap();
        }
    }

    #[test]
    fn what_matches_nothing_is_an_error_that_says_what_to_write() {
        for (text, fault, remedy) in [
            ("https://shop.example/", "ends with a slash", "write `https://shop.example`"),
            ("https://*.shop.example/", "ends with a slash", "write `https://*.shop.example`"),
            ("*.shop.example/", "ends with a slash", "write `https://*.shop.example`"),
            ("https://shop.example/a?b", "a path", "write `https://shop.example`"),
            ("https://shop.example#a", "a path", "write `https://shop.example`"),
            ("shop.example", "no scheme", "write `https://shop.example`"),
            ("//shop.example", "no scheme", "write `https://shop.example`"),
            ("localhost:3000", "no scheme", "write `http://localhost:3000`"),
            (" https://shop.example", "a space", "write `https://shop.example`"),
            ("https://shop.example:443", "leave out the port", "write `https://shop.example`"),
            ("http://shop.example:80/", "a slash", "write `http://shop.example`"),
            ("http://shop.example:", "port is invalid", "expected SCHEME://HOST"),
            ("http://shop.example:99999", "port is invalid", "expected SCHEME://HOST"),
            ("https://", "host is missing", "expected SCHEME://HOST"),
            ("https:shop.example", "no scheme", "expected SCHEME://HOST"),
            ("https://m\u{fc}ller.example", "xn--", "expected SCHEME://HOST"),
            ("https://a b.example", "a space", "expected SCHEME://HOST"),
            ("1://shop.example", "scheme is invalid", "expected SCHEME://HOST"),
            ("http://[::1", "host is missing", "expected SCHEME://HOST"),
            ("https://*.*.example", "more than one", "expected SCHEME://HOST"),
            ("", "is empty", "expected SCHEME://HOST"),
        ] {
            let error = Origin::parse(text).unwrap_err();
            assert!(error.contains(fault) && error.contains(remedy), "{text}: {error}");
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
