//! A browser without a screen: it keeps cookies, and goes where forms and redirects lead.

use std::collections::HashMap;

use reqwest::{Method, Url, header};

use crate::support::{Answer, client};

/// A browser of one person.
#[derive(Default)]
pub(crate) struct Browser {
    /// By origin and name.
    pub(crate) cookies: HashMap<(String, String), String>,
}

/// What it shows.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) answer: Answer,
}

impl Page {
    /// Where a redirect leads.
    fn location(&self) -> Option<Url> {
        let location = self.answer.headers.get(header::LOCATION)?.to_str().unwrap();
        Some(self.url.join(location).unwrap())
    }
}

impl Browser {
    pub(crate) async fn get(&mut self, url: Url) -> Page {
        self.send(Method::GET, url, String::new()).await
    }

    /// Sends a form of a page of the same origin.
    pub(crate) async fn post(&mut self, url: Url, form: &[(&str, &str)]) -> Page {
        let mut body = form_urlencoded::Serializer::new(String::new());
        let body = body.extend_pairs(form).finish();
        self.send(Method::POST, url, body).await
    }

    async fn send(&mut self, method: Method, url: Url, body: String) -> Page {
        let origin = url.origin().ascii_serialization();
        let request = client()
            .request(method, url.clone())
            .header(header::ORIGIN, &origin)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, self.cookies(&origin))
            .body(body);
        let answer = Answer::of(request.send().await.unwrap()).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let key = (origin.clone(), name.to_owned());
            if value.is_empty() || attributes.contains("Max-Age=0") {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
        Page { url, answer }
    }

    /// Follows redirects until a page.
    pub(crate) async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..20 {
            let Some(next) = page.location() else { return page };
            page = self.get(next).await;
        }
        panic!("the redirects do not end: {page:?}");
    }

    /// The cookies for an origin, as they are sent.
    pub(crate) fn cookies(&self, origin: &str) -> String {
        let cookies = self.cookies.iter().filter(|it| it.0.0 == origin);
        cookies.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}
