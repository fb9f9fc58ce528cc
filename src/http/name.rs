//! The public name of a URL, which is the URL without what may be secret.
//!
//! A user name, a password, a query (signed URLs have their signature in it) and a
//! fragment may be secret; scheme, host, port and path are taken to be public.
//! Names are used in errors, logs, metrics and selectors.

use reqwest::Url;

/// Returns a URL without its user name, password, query and fragment, for errors,
/// logs, metrics, and wherever else it is shown.
///
/// A URL that has none of them stays as it is written. If a string that contains
/// `@`, `?` or `#` cannot be parsed, at most its scheme is kept, since any part of
/// the rest may belong to a secret.
///
/// ```
/// use flagstaff::http::public_name;
///
/// let signed = "https://ann:secret@bucket.example/flags.json?signature=secret#x";
/// assert_eq!(public_name(signed), "https://bucket.example/flags.json");
/// assert_eq!(public_name("http://host"), "http://host");
/// // The password is not escaped, so it cannot be distinguished from a path.
/// assert_eq!(public_name("http://ann:sec/ret@host"), "http://…");
/// ```
#[must_use]
pub fn public_name(url: &str) -> String {
    let may_be_secret = url.contains(['@', '?', '#']);
    match Url::parse(url) {
        // Parsed, since there are many ways to write a user: `http:///ann@host`, `http:ann@host`.
        Ok(mut parsed) if parsed.has_authority() => {
            let is_open = parsed.username().is_empty()
                && parsed.password().is_none()
                && parsed.query().is_none()
                && parsed.fragment().is_none();
            if is_open {
                return url.to_owned();
            }
            // Neither fails for a URL with a host.
            let _ = parsed.set_password(None);
            let _ = parsed.set_username("");
            parsed.set_query(None);
            parsed.set_fragment(None);
            parsed.into()
        }
        _ if may_be_secret => match url.split_once("://") {
            Some((scheme, _)) if !scheme.contains(['@', '?', '#']) => format!("{scheme}://…"),
            _ => "…".to_owned(),
        },
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_secret_stays_as_it_is_written() {
        for url in [
            "http://host",
            "HTTPS://Host:443/a/../flags.json",
            "grpc://host:8015",
            "grpc://host:99999999",
            "envoy://host:1/service",
            "flags.json",
            "host:1",
            "",
        ] {
            assert_eq!(public_name(url), url);
        }
    }

    #[test]
    fn secrets_are_left_out_however_they_are_written() {
        for (url, expected) in [
            ("http://ann:hush@host:1/a@b", "http://host:1/a@b"),
            ("https://ann:h@sh@host", "https://host/"),
            ("https://hush@host/x", "https://host/x"),
            ("https://host/x?sig=hush", "https://host/x"),
            ("https://host?sig=hush", "https://host/"),
            ("https://host/x#hush", "https://host/x"),
            ("https://host/x?", "https://host/x"),
            ("http:///ann:hush@host/x", "http://host/x"),
            ("http:ann:hush@host/x", "http://host/x"),
            ("http:\\\\ann:hush@host\\x?hush", "http://host/x"),
            ("azblob://container/object?sig=hush", "azblob://container/object"),
            // Of a password that is not escaped, no part is taken for a port or a path.
            ("http://ann:hu/sh@host", "http://…"),
            ("http://ann:hu?sh@host", "http://…"),
            ("grpc://host:99999999?hush", "grpc://…"),
            ("ann:hush@host:1", "…"),
            ("host/x?sig=hush", "…"),
            ("hush@http://host", "…"),
        ] {
            assert_eq!(public_name(url), expected, "{url}");
        }
    }
}
