//! A REST service that keeps what it is sent, and answers as a test wants.

use std::{
    future::pending,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, Request, Response},
};
use flagstaff::optoggles::{RestTarget, RestTargetBuilder};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

/// A request.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: String,
    /// The path, with what is escaped in it.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

/// What the service does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    /// It answers with this status.
    Status(u16),
    /// The same, and names the seconds after which to try again.
    RetryAfter(u16, u64),
    /// It answers 200, and closes the connection in the middle of the body.
    Cut,
    /// It answers 200, but only after this time.
    Late(Duration),
    /// It never answers.
    Never,
}

type Script = Box<dyn FnMut(&Sent) -> Does + Send>;

#[derive(Clone)]
struct Shared {
    sent: Arc<Mutex<Vec<Sent>>>,
    script: Arc<Mutex<Script>>,
    /// How many late answers were given.
    late: Arc<AtomicUsize>,
}

/// The service. It ends with the test.
pub struct Service {
    pub url: String,
    shared: Shared,
    task: JoinHandle<()>,
}

impl Service {
    /// A service below `/toggles` that answers 201 to `POST` and 200 to all else.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/toggles", listener.local_addr().unwrap());
        let script = |sent: &Sent| Does::Status(if sent.method == "POST" { 201 } else { 200 });
        let script: Script = Box::new(script);
        let script = Arc::new(Mutex::new(script));
        let shared = Shared { sent: Arc::default(), script, late: Arc::default() };
        let router = Router::new().fallback(handle).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// Does something else from now on.
    pub fn does(&self, script: impl FnMut(&Sent) -> Does + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// A target that writes to it.
    pub fn target(&self) -> RestTargetBuilder {
        RestTarget::builder(&self.url)
    }

    /// The requests so far, or those of a method.
    pub fn sent(&self, method: &str) -> Vec<Sent> {
        let sent = self.shared.sent.lock().unwrap();
        sent.iter().filter(|sent| sent.method.contains(method)).cloned().collect()
    }

    /// How many late answers were given to somebody who had waited for them.
    pub fn late(&self) -> usize {
        self.shared.late.load(Ordering::Relaxed)
    }

    /// The users of a toggle, as they were last sent.
    pub fn users(&self, key: &str) -> Option<Value> {
        let path = format!("/toggles/{key}");
        let last = self.sent("PATCH").into_iter().rfind(|sent| sent.path == path)?;
        Some(last.body["users"].clone())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn handle(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let sent = Sent {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    shared.sent.lock().unwrap().push(sent.clone());
    let does = shared.script.lock().unwrap()(&sent);
    let response = Response::builder();
    match does {
        // It says what it was sent, as services do when something is wrong with it.
        Does::Status(status) => {
            let echo = format!("{:?} {}", sent.headers, sent.body);
            response.status(status).body(if status == 204 { Body::empty() } else { echo.into() })
        }
        Does::RetryAfter(status, seconds) => {
            response.status(status).header("retry-after", seconds).body(Body::empty())
        }
        Does::Cut => {
            let parts = [Ok("{\"half\":"), Err(io::Error::other("cut"))];
            response.body(Body::from_stream(tokio_stream::iter(parts)))
        }
        Does::Late(pause) => {
            // A service that takes its time to respond.
            sleep(pause).await;
            shared.late.fetch_add(1, Ordering::Relaxed);
            response.body(Body::empty())
        }
        Does::Never => pending().await,
    }
    .unwrap()
}
