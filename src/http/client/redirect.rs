//! Redirects: where they lead, and what is sent there.

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT_ENCODING, AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHORIZATION},
};
use reqwest::Url;

/// The headers to send to this URL. It receives the secrets of the first URL only if
/// it has the same origin: scheme, host and port.
///
/// A redirect back to the first origin receives them again.
pub(super) fn headers_for(url: &mut Url, first: &Url, headers: &HeaderMap) -> HeaderMap {
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
pub(super) fn redirect(from: &Url, response: &reqwest::Response) -> Option<Url> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
