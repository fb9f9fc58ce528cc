//! A client of a store, whether it runs in the test's process or as a program.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;

/// For how long a test waits for something.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A client without a pool, so that a test may stop the server.
pub(crate) fn client() -> reqwest::Client {
    static CRYPTOGRAPHY: std::sync::Once = std::sync::Once::new();
    CRYPTOGRAPHY.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder().no_proxy().timeout(LONG).build().unwrap()
}

/// One segment of a path.
pub(crate) fn encode(name: &str) -> String {
    use std::fmt::Write as _;
    name.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}

/// Asserts that a response is a problem, and returns its code.
pub(crate) async fn problem(response: Response, status: StatusCode) -> String {
    let actual = response.status();
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{actual}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(actual, status, "{body}");
    assert_eq!(body["status"], status.as_u16());
    assert!(!body["detail"].as_str().unwrap().is_empty());
    body["code"].as_str().unwrap().to_owned()
}

/// A stream of server-sent events.
pub(crate) struct Events {
    response: Response,
    text: String,
}

/// A server-sent event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) id: Option<i64>,
    pub(crate) data: Value,
}

impl Events {
    pub(crate) fn new(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event; `None`: the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(LONG, self.read()).await.expect("an event, or the end")
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if event.starts_with(':') {
                    continue;
                }
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| line.strip_prefix(name)).map(|it| it.trim().to_owned())
                };
                return Some(Event {
                    kind: field("event:").unwrap(),
                    id: field("id:").map(|it| it.parse().unwrap()),
                    data: serde_json::from_str(&field("data:").unwrap()).unwrap(),
                });
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event, which has to be of this kind.
    pub(crate) async fn expect(&mut self, kind: &str) -> Event {
        let event = self.next().await.expect("an event");
        assert_eq!(event.kind, kind, "{event:?}");
        event
    }
}
