//! A browser without a screen: it keeps cookies, and goes where forms and redirects lead.

use std::collections::HashMap;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use openidconnect::url::Url;
use tower::ServiceExt as _;

use crate::support::ORIGIN;

pub(crate) struct Browser {
    /// The service, which is at [`ORIGIN`].
    service: Router,
    /// By origin and name.
    pub(crate) cookies: HashMap<(String, String), String>,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    /// Where a redirect leads.
    pub(crate) fn location(&self) -> Option<Url> {
        let location = self.headers.get(header::LOCATION)?.to_str().unwrap();
        Some(self.url.join(location).unwrap())
    }

    /// A parameter of the address to which a redirect leads.
    pub(crate) fn parameter(&self, name: &str) -> String {
        let location = self.location().unwrap_or_else(|| panic!("no redirect: {self:?}"));
        let found = location.query_pairs().find(|it| it.0 == name);
        found.unwrap_or_else(|| panic!("no {name} in {location}")).1.into_owned()
    }
}

impl Browser {
    pub(crate) fn new(service: Router) -> Self {
        Self { service, cookies: HashMap::new() }
    }

    pub(crate) async fn get(&mut self, url: &str) -> Page {
        self.send(Method::GET, url, &[], None).await
    }

    /// Sends a form of a page of the same origin.
    pub(crate) async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Page {
        let origin = absolute(url).origin().ascii_serialization();
        self.send(Method::POST, url, &[("origin", &origin)], Some(form)).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        form: Option<&[(&str, &str)]>,
    ) -> Page {
        let url = absolute(url);
        let origin = url.origin().ascii_serialization();
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies = self.cookies.iter().filter(|it| it.0.0 == origin);
        let cookies: Vec<_> = cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        let body = form.map_or_else(String::new, |form| {
            let mut body = openidconnect::url::form_urlencoded::Serializer::new(String::new());
            body.extend_pairs(form).finish()
        });
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = if origin == ORIGIN {
            let path = &url[openidconnect::url::Position::BeforePath..];
            let request = request.uri(path).body(Body::from(body)).unwrap();
            self.service.clone().oneshot(request).await.unwrap()
        } else {
            let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
            let request = request.uri(url.as_str()).body(Body::from(body)).unwrap();
            client.request(request).await.unwrap().map(Body::new)
        };
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let key = (origin.clone(), name.to_owned());
            if value.is_empty() || attributes.contains("Max-Age=0") {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
        let text = body.collect().await.unwrap().to_bytes();
        Page {
            url,
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(text.into()).unwrap(),
        }
    }

    /// Follows redirects until a page of the service that is not part of the sign-in, or one that
    /// redirects no more.
    pub(crate) async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..20 {
            let Some(next) = page.location() else { return page };
            if next.as_str().starts_with(ORIGIN) && !next.path().starts_with("/auth/") {
                return page;
            }
            page = self.get(next.as_str()).await;
        }
        panic!("the redirects do not end: {page:?}");
    }

    /// The cookies for the service, for a request of a test.
    pub(crate) fn headers(&self) -> HeaderMap {
        let cookies = self.cookies.iter().filter(|it| it.0.0 == ORIGIN);
        let cookies: Vec<_> = cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
        let header = (header::COOKIE, cookies.join("; ").try_into().unwrap());
        [header].into_iter().collect()
    }
}

fn absolute(url: &str) -> Url {
    Url::parse(ORIGIN).unwrap().join(url).unwrap()
}
