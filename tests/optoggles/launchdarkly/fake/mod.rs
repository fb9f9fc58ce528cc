//! A LaunchDarkly that keeps what it is sent, and answers as the real one does.
//!
//! It checks every request against LaunchDarkly's own document, with unknown members rejected, and
//! its own responses too; a test in which anything was wrong with one of them fails.

mod document;
mod instructions;
mod world;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Request, Response, header::AUTHORIZATION},
};
use flagstaff::optoggles::{LaunchDarklyTarget, LaunchDarklyTargetBuilder};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub use world::{TOKEN, World, flag};

/// A request.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: String,
    pub path: String,
    pub query: String,
    pub body: Value,
    pub authorization: Option<String>,
    pub content_type: Option<String>,
    pub version: Option<String>,
    pub at: Instant,
}

impl Sent {
    /// Whether it is a patch of this environment.
    pub fn patches(&self, environment: &str) -> bool {
        self.method == "PATCH" && self.body["environmentKey"] == environment
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Reply {
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::new(status, json!({"code": code, "message": message}))
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// What is wrong with it, as a response to a request of this method and path.
    fn problems(&self, method: &str, path: &[&str]) -> Vec<String> {
        let schema = match (self.status, method, path) {
            (200 | 201, _, ["flags", ..]) => "FeatureFlag",
            (200, "GET", [.., "approval-requests"]) => "FlagConfigApprovalRequestsResponse",
            (201, "POST", [.., "approval-requests"]) => "FlagConfigApprovalRequestResponse",
            _ => return Vec::new(),
        };
        document::problems(schema, &self.body)
    }
}

/// The server. It ends with the test.
pub struct Fake {
    pub address: SocketAddr,
    world: Arc<Mutex<World>>,
    task: JoinHandle<()>,
}

impl Fake {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let world = Arc::new(Mutex::new(World::default()));
        let router = Router::new().fallback(handle).with_state(world.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, world, task }
    }

    /// A target that writes to it.
    pub fn target(&self) -> LaunchDarklyTargetBuilder {
        LaunchDarklyTarget::builder(TOKEN).base_uri(format!("http://{}", self.address))
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Answers requests in its place, if `intercept` does.
    pub fn intercept(&self, intercept: impl FnMut(&Sent) -> Option<Reply> + Send + 'static) {
        self.world().intercept = Some(Box::new(intercept));
    }

    /// Answers all requests itself again.
    pub fn recover(&self) {
        self.world().intercept = None;
    }

    /// Changes a flag by hand.
    pub fn edit(&self, key: &str, edit: impl FnOnce(&mut Value)) {
        edit(self.world().flags.get_mut(key).unwrap());
    }

    /// Changes the targets of an environment by hand: for each context kind and value, who is served it.
    pub fn edit_targets(&self, key: &str, environment: &str, targets: &[(&str, bool, &str)]) {
        self.edit(key, |flag| {
            let instruction: Vec<_> = targets
                .iter()
                .map(|(kind, value, names)| {
                    let values: Vec<_> = names.split_whitespace().collect();
                    let id = format!("{key}-{value}");
                    json!({"contextKind": kind, "variationId": id, "values": values})
                })
                .collect();
            let instruction = json!({"kind": "replaceTargets", "targets": instruction});
            instructions::apply(flag, Some(environment), &[instruction]).unwrap();
        });
    }

    /// Who is targeted with a value, by context kind.
    pub fn targeted(&self, key: &str, environment: &str, kind: &str, value: bool) -> String {
        let world = self.world();
        let Some(flag) = world.flags.get(key) else { return String::new() };
        let config = &flag["environments"][environment];
        let all = ["targets", "contextTargets"].map(|list| config[list].as_array().unwrap());
        let is_asked_for = |target: &&&Value| {
            let variation = usize::try_from(target["variation"].as_u64().unwrap()).unwrap();
            target["contextKind"] == kind && flag["variations"][variation]["value"] == value
        };
        let found = all.iter().copied().flatten().collect::<Vec<_>>();
        let found = found.iter().filter(is_asked_for);
        let values = found.flat_map(|target| target["values"].as_array().unwrap());
        values.map(|name| name.as_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    /// The users who are targeted with `true`.
    pub fn users(&self, key: &str, environment: &str) -> String {
        self.targeted(key, environment, "user", true)
    }

    /// What a user is served, as an SDK evaluates it.
    pub fn serves(&self, key: &str, environment: &str, user: &str) -> bool {
        let is_named = |value| {
            self.targeted(key, environment, "user", value).split(' ').any(|name| name == user)
        };
        let by_name = if is_named(true) { Some(true) } else { is_named(false).then_some(false) };
        let world = self.world();
        let flag = &world.flags[key];
        let config = &flag["environments"][environment];
        let value = |index: &Value| {
            let index = usize::try_from(index.as_u64().unwrap()).unwrap();
            flag["variations"][index]["value"].as_bool().unwrap()
        };
        if config["on"] == false {
            return value(&config["offVariation"]);
        }
        by_name.unwrap_or_else(|| value(&config["fallthrough"]["variation"]))
    }

    /// The requests so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.world().sent.clone()
    }

    /// The requests so far that are meant to change something.
    pub fn writes(&self) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.method != "GET").collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
        let violations = std::mem::take(&mut self.world().violations);
        if std::thread::panicking() {
            eprintln!("violations: {violations:#?}");
        } else {
            assert_eq!(violations, [""; 0]);
        }
    }
}

async fn handle(State(world): State<Arc<Mutex<World>>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let header = |name: &str| Some(parts.headers.get(name)?.to_str().unwrap().to_owned());
    let sent = Sent {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        authorization: header(AUTHORIZATION.as_str()),
        content_type: header("content-type"),
        version: header("ld-api-version"),
        at: Instant::now(),
    };
    let reply = {
        let mut world = world.lock().unwrap();
        world.sent.push(sent.clone());
        world.respond(&sent)
    };
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let body = if reply.body.is_null() { String::new() } else { reply.body.to_string() };
    response.body(body.into()).unwrap()
}
