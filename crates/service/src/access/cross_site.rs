//! Requests that another website made a browser send (cross-site request forgery, DNS rebinding).
//!
//! A browser adds cookies by itself, and reaches a service on loopback where nobody else can.
//! It also says where a request comes from, in headers that no script can set.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderName, Method, StatusCode, Uri, header, request::Parts, uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::problem::Problem;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Rejects a request that changes something and comes from another origin.
///
/// `own` is the origin of the service, where it is known; else it is the host in the request.
/// With a `session`, a request that does not say where it comes from is rejected too: every
/// browser says so.
pub(crate) fn reject(parts: &Parts, own: Option<&str>, session: bool) -> Result<(), Problem> {
    let Parts { method, uri, headers, .. } = parts;
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE) {
        return Ok(());
    }
    let origin = text(headers, &header::ORIGIN);
    let host = host(uri, headers);
    let is_own = |origin: &str| match (own, origin.split_once("://")) {
        (Some(own), _) => origin.eq_ignore_ascii_case(own),
        (None, Some((_, other))) => host.is_some_and(|it| it.eq_ignore_ascii_case(other)),
        (None, None) => false,
    };
    let allowed = match (text(headers, &FETCH_SITE), origin) {
        (Some("same-origin" | "none"), _) => true,
        // A proxy may have changed the host, so what the browser says counts for more.
        (_, Some(origin)) => is_own(origin),
        (Some(_), None) => false,
        (None, None) => !session,
    };
    if allowed {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "cross_site",
        "the request came from another website: use the pages of this service, or send a bearer \
         token instead of a cookie",
    ))
}

/// Middleware of a server on loopback that demands no authentication: rejects requests for other
/// hosts. A website whose name was made to lead to loopback (DNS rebinding) is one origin with
/// this server for a browser, but its requests bear its name.
pub(crate) async fn local_host(request: Request, next: Next) -> Response {
    match host(request.uri(), request.headers()) {
        Some(host) if !is_local(host) => Problem::new(
            StatusCode::FORBIDDEN,
            "not_local",
            "without authentication, only requests for localhost or an address of loopback are \
             served; --insecure lifts this",
        )
        .into_response(),
        _ => next.run(request).await,
    }
}

fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// The host that a request is for. In HTTP/2 it is part of the URI.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    uri.authority().map(Authority::as_str).or_else(|| text(headers, &header::HOST))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // A header that is not text names no origin of ours.
    headers.get(name).map(|it| it.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    const OWN: Option<&str> = Some("https://things.example");

    fn allowed(own: Option<&str>, session: bool, method: Method, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/").header("host", "things.local");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        reject(&parts, own, session).is_ok()
    }

    #[test]
    fn a_name_that_leads_to_loopback_is_not_local() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.8.9.1:80", "[::1]:8080"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.example:8080", "localhost.evil.example", "10.0.0.1", "[::2]", "", "a b"]
        {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn a_change_with_a_cookie_must_come_from_the_same_origin() {
        for (headers, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], false),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://things.example")], true),
            (&[("origin", "https://things.example")], true),
            (&[("origin", "http://things.example")], false),
            (&[("origin", "https://things.example:8443")], false),
            (&[("origin", "https://things.local")], false),
            (&[("origin", "null")], false),
            (&[("origin", "\u{e4}")], false),
            (&[], false),
        ] {
            assert_eq!(allowed(OWN, true, Method::POST, headers), expected, "{headers:?}");
            assert!(allowed(OWN, true, Method::GET, headers), "{headers:?}");
        }
    }

    #[test]
    fn without_a_cookie_only_what_another_website_sent_is_rejected() {
        for (headers, expected) in [
            (&[][..], true),
            (&[("origin", "http://things.local")], true),
            (&[("origin", "http://evil.example")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("origin", "null")], false),
        ] {
            assert_eq!(allowed(None, false, Method::PUT, headers), expected, "{headers:?}");
        }
    }
}
