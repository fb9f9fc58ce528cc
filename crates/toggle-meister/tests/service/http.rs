//! A client of the service.

use std::{sync::LazyLock, time::Duration};

use reqwest::{Response, StatusCode};
use serde_json::Value;

/// For how long a test waits for something.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A client for all tests. It keeps no connection, since each test has a runtime of its own.
pub(crate) fn client() -> &'static reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let redirect = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().no_proxy().redirect(redirect);
        client.pool_max_idle_per_host(0).timeout(LONG).build().unwrap()
    });
    &CLIENT
}

/// A response in a form that a test can compare.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    /// The body, which is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts the status and the whole body.
    pub(crate) fn is(&self, status: u16, body: Value) {
        assert_eq!((self.status.as_u16(), self.json()), (status, body));
    }

    /// Asserts a success without a body.
    pub(crate) fn is_empty(&self) {
        assert_eq!((self.status.as_u16(), &*self.text), (204, ""));
    }

    /// Asserts an error with a message in the original's form.
    pub(crate) fn says(&self, status: u16, message: &str) {
        self.is(status, serde_json::json!({ "Message": message }));
    }

    /// Asserts that the caller may not do that.
    pub(crate) fn is_forbidden(&self) {
        let reason = "you are not authorized to do that dave";
        self.is(403, serde_json::json!({ "reason": reason }));
    }

    /// Asserts that the caller is unknown.
    pub(crate) fn is_unauthenticated(&self) {
        self.is(401, serde_json::json!({ "error": "Unauthenticated" }));
    }

    /// Asserts that it is a problem that the original does not have.
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!((self.status.as_u16(), &body["code"]), (status, &Value::from(code)), "{body}");
        assert_eq!(body["status"], status);
        assert!(!body["detail"].as_str().unwrap().is_empty());
    }

    /// A header as text; without it, nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }
}

/// A stream of server-sent events.
pub(crate) struct Events {
    response: Response,
    text: String,
}

impl Events {
    pub(crate) fn new(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event as it is written, without comments; `None`: the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<String> {
        tokio::time::timeout(LONG, self.read()).await.expect("an event, or the end")
    }

    async fn read(&mut self) -> Option<String> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if !event.starts_with(':') {
                    return Some(event);
                }
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}
