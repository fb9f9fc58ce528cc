//! The other sides of a benchmark, in a process of their own: an OPA, a LaunchDarkly and a REST service
//! that answer as those do, and count.

use std::{
    collections::HashSet,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, patch, post},
};
use flagstaff::http::Server;
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;

const USERS: usize = 10_000;

#[derive(Default)]
struct Counts {
    questions: AtomicUsize,
    reads: AtomicUsize,
    creations: AtomicUsize,
    launchdarkly: AtomicUsize,
    rest: AtomicUsize,
    /// The toggles of which one user has changed.
    moved: Mutex<HashSet<String>>,
}

/// Serves until it is killed, and prints its URL first.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let router = Router::new()
            .route("/v1/data/app/{toggle}/users", get(users))
            .route("/api/v2/flags/default", post(create))
            .route("/api/v2/flags/default/{key}", get(read).patch(write_launchdarkly))
            .route("/rest", post(create_rest))
            .route("/rest/{key}", patch(write_rest))
            .route("/move/{toggle}", get(moved))
            .route("/stats", get(stats))
            .with_state(Arc::<Counts>::default());
        let server = Server::builder().listen(([127, 0, 0, 1], 0)).max_body(64 << 20).bind();
        let server = server.await.unwrap().serve(move |_| router.clone());
        println!("http://{}", server.addresses()[0]);
        std::future::pending::<()>().await;
    });
}

type Shared = State<Arc<Counts>>;

async fn users(State(counts): Shared, Path(toggle): Path<String>) -> String {
    counts.questions.fetch_add(1, Relaxed);
    let first = usize::from(counts.moved.lock().unwrap().contains(toggle.trim_start_matches('t')));
    let mut text = String::with_capacity(USERS * 24);
    text.push_str("{\"result\": [");
    for user in first..first + USERS {
        let comma = if user == first { "" } else { "," };
        write!(text, "{comma}\"user-{toggle}-{user:07}\"").unwrap();
    }
    text.push_str("]}");
    text
}

fn flag(key: &str) -> Json<Value> {
    Json(json!({"key": key, "name": key,
        "variations": [{"_id": "on", "value": true}, {"_id": "off", "value": false}],
        "environments": {"test": {"on": false, "targets": []}}}))
}

async fn read(State(counts): Shared) -> StatusCode {
    counts.reads.fetch_add(1, Relaxed);
    StatusCode::NOT_FOUND
}

async fn create(State(counts): Shared, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    counts.creations.fetch_add(1, Relaxed);
    (StatusCode::CREATED, flag(body["key"].as_str().unwrap()))
}

async fn drained(body: Body) {
    let mut body = body.into_data_stream();
    while let Some(part) = body.next().await {
        part.unwrap();
    }
}

async fn write_launchdarkly(
    State(counts): Shared,
    Path(key): Path<String>,
    body: Body,
) -> Json<Value> {
    drained(body).await;
    counts.launchdarkly.fetch_add(1, Relaxed);
    flag(&key)
}

async fn create_rest(State(counts): Shared, body: Body) -> StatusCode {
    drained(body).await;
    counts.creations.fetch_add(1, Relaxed);
    StatusCode::CREATED
}

async fn write_rest(State(counts): Shared, body: Body) -> StatusCode {
    drained(body).await;
    counts.rest.fetch_add(1, Relaxed);
    StatusCode::NO_CONTENT
}

/// Changes one user of a toggle, and counts from here.
async fn moved(State(counts): Shared, Path(toggle): Path<String>) {
    counts.moved.lock().unwrap().insert(toggle);
    for count in
        [&counts.questions, &counts.reads, &counts.creations, &counts.launchdarkly, &counts.rest]
    {
        count.store(0, Relaxed);
    }
}

async fn stats(State(counts): Shared) -> String {
    let of = |count: &AtomicUsize| count.load(Relaxed);
    format!(
        "questions {}, reads {}, creations {}, launchdarkly writes {}, rest writes {},",
        of(&counts.questions),
        of(&counts.reads),
        of(&counts.creations),
        of(&counts.launchdarkly),
        of(&counts.rest)
    )
}
