//! An OPAL client and its OPA, at one address.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{Request, StatusCode},
    routing::{get, post as posts},
};
use flagstaff::http::Client;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

#[derive(Default)]
struct World {
    callbacks: Mutex<BTreeMap<String, Value>>,
    /// What the client says of its OPA.
    store: Mutex<Value>,
    users: Mutex<Vec<String>>,
    questions: AtomicUsize,
    /// Whether registrations are refused.
    refuses: AtomicBool,
    /// The headers `authorization` of the questions.
    tokens: Mutex<Vec<Option<String>>>,
}

type Shared = State<Arc<World>>;

/// The client. It ends with the test.
pub struct Opal {
    pub url: String,
    world: Arc<World>,
    task: JoinHandle<()>,
}

impl Opal {
    /// A client whose OPA answers every question with these users.
    pub async fn start(users: &[&str]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(World::default());
        let router = Router::new()
            .route("/policy-store/config", get(store))
            .route("/callbacks", posts(register))
            .route("/callbacks/{key}", get(registered).delete(remove))
            .route("/v1/data/{*path}", get(query))
            .with_state(world.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let opal = Self { url, world, task };
        opal.says(json!({"type": "OPA", "url": opal.url, "auth_type": "none"}));
        opal.answers(users);
        opal
    }

    /// Says this of its OPA.
    pub fn says(&self, store: Value) {
        *self.world.store.lock().unwrap() = store;
    }

    /// Answers registrations with 403, or no longer.
    pub fn refuses(&self, refuses: bool) {
        self.world.refuses.store(refuses, Relaxed);
    }

    /// Answers every question with these users.
    pub fn answers(&self, users: &[&str]) {
        *self.world.users.lock().unwrap() = users.iter().map(ToString::to_string).collect();
    }

    /// The callbacks that are registered.
    pub fn callbacks(&self) -> Vec<Value> {
        self.world.callbacks.lock().unwrap().values().cloned().collect()
    }

    /// How many questions OPA was asked.
    pub fn questions(&self) -> usize {
        self.world.questions.load(Relaxed)
    }

    /// The token that came with the last question.
    pub fn token(&self) -> Option<String> {
        self.world.tokens.lock().unwrap().last().cloned().flatten()
    }

    /// Calls back all that have registered; returns their statuses.
    pub async fn call_back(&self) -> Vec<u16> {
        let mut statuses = Vec::new();
        for callback in self.callbacks() {
            let token = callback["config"]["headers"]["Authorization"].as_str().unwrap();
            statuses.push(post(callback["url"].as_str().unwrap(), token, b"{}".to_vec()).await);
        }
        statuses
    }
}

impl Drop for Opal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn store(State(world): Shared) -> Json<Value> {
    Json(world.store.lock().unwrap().clone())
}

async fn register(
    State(world): Shared,
    Json(body): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    if world.refuses.load(Relaxed) {
        return Err(StatusCode::FORBIDDEN);
    }
    let key = body["key"].as_str().unwrap().to_owned();
    world.callbacks.lock().unwrap().insert(key, body.clone());
    Ok(Json(body))
}

async fn registered(State(world): Shared, Path(key): Path<String>) -> StatusCode {
    let is_there = world.callbacks.lock().unwrap().contains_key(&key);
    if is_there { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

async fn remove(State(world): Shared, Path(key): Path<String>) -> StatusCode {
    let found = world.callbacks.lock().unwrap().remove(&key);
    if found.is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn query(State(world): Shared, request: Request<axum::body::Body>) -> Json<Value> {
    world.questions.fetch_add(1, Relaxed);
    let token = request.headers().get("authorization");
    let token = token.map(|token| token.to_str().unwrap().to_owned());
    world.tokens.lock().unwrap().push(token);
    Json(json!({"result": *world.users.lock().unwrap()}))
}

/// A configuration with this source of the type `opal`, and one toggle, `us`. The target is as in YAML,
/// and `more` is at the top.
pub fn config(source: &str, target: &str, more: &str) -> String {
    format!(
        "bind: 127.0.0.1:0\nmanagementBind: 127.0.0.1:0\nresyncInterval: 0\n{more}\nsources: [{source}]\n\
         target: {target}\ntoggles:\n  - key: us\n    usersPolicy: {{source: opal, package: app, rule: us}}\n\
         \x20   spec: {{name: us, projKey: p, environments: [test]}}\n"
    )
}

/// Sends a callback with this header `authorization`; returns the status.
pub async fn post(url: &str, token: &str, body: Vec<u8>) -> u16 {
    let client = Client::builder().without_proxy().build().unwrap();
    let request = Request::post(url).header("authorization", token).body(body).unwrap();
    client.send(request).await.unwrap().status().as_u16()
}
