//! A store of facts in memory. It speaks the API of `flagops-store`, or that of the original, and does
//! what a real one cannot be made to do.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    future::pending,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State as Extracted},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use flagstaff::flagops::{FactsClient, FactsClientBuilder};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// The path as it was sent, with what is escaped in it, and the query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Asked {
    /// `GET /api/fact/a`
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What the store does with a request in place of serving it.
#[derive(Clone, Debug)]
pub enum Does {
    /// An error with an empty body.
    Status(u16),
    /// The same, and names the seconds after which to try again.
    RetryAfter(u16, u64),
    /// Any response: status, content type and body.
    Body(u16, &'static str, String),
    /// It closes the connection in the middle of the body.
    Cut,
    /// It never responds.
    Never,
}

type Script = Box<dyn FnMut(&Asked) -> Option<Does> + Send>;

#[derive(Default)]
struct Data {
    /// Value and version, by identity and key.
    facts: BTreeMap<String, BTreeMap<String, (String, u64)>>,
    secrets: BTreeMap<String, BTreeMap<String, String>>,
    expires: HashMap<(String, String), String>,
    /// The changes: number, identity, name of the event, data.
    log: Vec<(u64, String, &'static str, Value)>,
    sequence: u64,
    /// Changes up to this one cannot be sent any more.
    forgotten: u64,
    /// The sets of open streams.
    sets: HashMap<String, BTreeSet<String>>,
    opened: u64,
}

impl Data {
    fn change(&mut self, identity: &str, key: &str, value: Option<&str>) {
        self.sequence += 1;
        let version = self.sequence;
        let facts = self.facts.entry(identity.to_owned()).or_default();
        match value {
            Some(value) => _ = facts.insert(key.to_owned(), (value.to_owned(), version)),
            None => _ = facts.remove(key),
        }
        if facts.is_empty() {
            self.facts.remove(identity);
        }
        let data = json!({"identity": identity, "fact": key, "value": value, "version": version});
        self.log.push((version, identity.to_owned(), "change", data));
    }

    fn erase(&mut self, identity: &str) {
        self.sequence += 1;
        self.facts.remove(identity);
        self.secrets.remove(identity);
        let data = json!({"identity": identity});
        self.log.push((self.sequence, identity.to_owned(), "erased", data));
    }

    fn values(&self, identity: &str) -> Option<BTreeMap<&String, &String>> {
        Some(self.facts.get(identity)?.iter().map(|(key, (value, _))| (key, value)).collect())
    }
}

struct Shared {
    data: Mutex<Data>,
    asked: Mutex<Vec<Asked>>,
    script: Mutex<Script>,
    /// Grows with each change.
    changed: watch::Sender<u64>,
    /// Streams that were opened at another value are cut.
    cuts: watch::Sender<u64>,
    /// Sent to every open stream as it is.
    raw: watch::Sender<Vec<String>>,
    is_original: bool,
    token: Mutex<Option<String>>,
    streams: AtomicU64,
}

/// The store. It ends with the test.
pub struct Store {
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Store {
    /// One like `flagops-store`.
    pub async fn start() -> Self {
        Self::with(false).await
    }

    /// One like the original.
    pub async fn original() -> Self {
        Self::with(true).await
    }

    async fn with(is_original: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            data: Mutex::default(),
            asked: Mutex::default(),
            script: Mutex::new(Box::new(|_| None)),
            changed: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
            raw: watch::Sender::default(),
            is_original,
            token: Mutex::default(),
            streams: AtomicU64::new(0),
        });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// Options of a client of it that fit a test.
    pub fn builder(&self) -> FactsClientBuilder {
        let quick = Duration::from_millis(20);
        FactsClient::builder(&self.url).without_proxy().backoff(quick, quick)
    }

    pub fn client(&self) -> FactsClient {
        self.builder().build().unwrap()
    }

    /// Does something else from now on with the requests for which `script` says what.
    pub fn does(&self, script: impl FnMut(&Asked) -> Option<Does> + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// Serves requests again.
    pub fn recovers(&self) {
        self.does(|_| None);
    }

    /// Accepts this token only.
    pub fn requires(&self, token: &str) {
        *self.shared.token.lock().unwrap() = Some(token.to_owned());
    }

    /// The requests whose line begins like this.
    pub fn asked(&self, begin: &str) -> Vec<Asked> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.line().starts_with(begin)).cloned().collect()
    }

    /// Writes a fact.
    pub fn set(&self, identity: &str, key: &str, value: &str) {
        self.write(|data| data.change(identity, key, Some(value)));
    }

    /// Removes a fact.
    pub fn remove(&self, identity: &str, key: &str) {
        self.write(|data| data.change(identity, key, None));
    }

    /// Removes an identity.
    pub fn erase(&self, identity: &str) {
        self.write(|data| data.erase(identity));
    }

    pub fn set_secret(&self, identity: &str, key: &str, value: &str) {
        let mut data = self.shared.data.lock().unwrap();
        data.secrets.entry(identity.to_owned()).or_default().insert(key.into(), value.into());
    }

    fn write(&self, write: impl FnOnce(&mut Data)) {
        write(&mut self.shared.data.lock().unwrap());
        self.shared.changed.send_modify(|version| *version += 1);
    }

    /// Cuts all open streams.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts all open streams, and answers their next ones with a reset.
    pub fn forget(&self) {
        let mut data = self.shared.data.lock().unwrap();
        data.sequence += 1;
        data.forgotten = data.sequence;
        drop(data);
        self.cut();
    }

    /// Forgets which streams are open, as another replica would.
    pub fn forget_streams(&self) {
        self.shared.data.lock().unwrap().sets.clear();
    }

    /// Sends this to all open streams.
    pub fn send_raw(&self, text: &str) {
        self.shared.raw.send_modify(|raw| raw.push(text.to_owned()));
    }

    /// How many streams are open.
    pub fn streams(&self) -> u64 {
        self.shared.streams.load(Ordering::SeqCst)
    }

    /// The identities of the open streams with a set.
    pub fn watched(&self) -> BTreeSet<String> {
        self.shared.data.lock().unwrap().sets.values().flatten().cloned().collect()
    }

    pub fn fact(&self, identity: &str, key: &str) -> Option<String> {
        let data = self.shared.data.lock().unwrap();
        data.facts.get(identity)?.get(key).map(|(value, _)| value.clone())
    }
}

fn respond(status: u16, kind: &str, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header("content-type", kind).body(body.into()).unwrap()
}

fn json_response(body: &Value) -> Response {
    respond(200, "application/json", body.to_string())
}

fn problem(status: u16, code: &str) -> Response {
    let body = json!({"type": "about:blank", "status": status, "detail": code, "code": code});
    respond(status, "application/problem+json", body.to_string())
}

fn empty() -> Response {
    Response::new(Body::empty())
}

/// An open stream, counted.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn handle(Extracted(shared): Extracted<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let asked = Asked {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    shared.asked.lock().unwrap().push(asked.clone());
    let does = (shared.script.lock().unwrap())(&asked);
    match does {
        None => {}
        Some(Does::Status(status)) => {
            return Response::builder().status(status).body(Body::empty()).unwrap();
        }
        Some(Does::RetryAfter(status, seconds)) => {
            let response = Response::builder().status(status).header("retry-after", seconds);
            return response.body(Body::empty()).unwrap();
        }
        Some(Does::Body(status, kind, body)) => return respond(status, kind, body),
        Some(Does::Cut) => {
            let part: Vec<Result<&str, io::Error>> =
                vec![Ok("{\"a\""), Err(io::ErrorKind::ConnectionReset.into())];
            let body = Body::from_stream(tokio_stream::iter(part));
            return respond(200, "application/json", body);
        }
        Some(Does::Never) => pending().await,
    }
    serve(&shared, &asked)
}

fn serve(shared: &Arc<Shared>, asked: &Asked) -> Response {
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let query: HashMap<&str, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, percent_decode_str(value).decode_utf8().unwrap().into_owned()))
        .collect();
    // The original decodes before it routes.
    let decoded = percent_decode_str(path).decode_utf8().unwrap().into_owned();
    let segments: Vec<String> = if shared.is_original {
        decoded.split('/').skip(1).map(str::to_owned).collect()
    } else {
        let segments = path.split('/').skip(1);
        segments.map(|it| percent_decode_str(it).decode_utf8().unwrap().into_owned()).collect()
    };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let unknown = || respond(404, "text/plain", "404 page not found");
    let segments = match *segments {
        ["api", ref rest @ ..] => rest,
        ["fact" | "secret", ..] if !shared.is_original => &segments[..],
        _ => return unknown(),
    };
    if shared.is_original {
        return original(shared, asked, segments).unwrap_or_else(unknown);
    }
    if let Some(token) = &*shared.token.lock().unwrap() {
        let given = asked.headers.get("authorization").map(|value| value.as_bytes().to_vec());
        if given != Some(format!("Bearer {token}").into_bytes()) {
            return problem(401, "unauthorized");
        }
    }
    if let ["changes"] = segments {
        return stream(shared, asked, query.get("prefix").cloned());
    }
    let mut data = shared.data.lock().unwrap();
    let response = ours(&mut data, asked, segments, &query);
    drop(data);
    shared.changed.send_modify(|version| *version += 1);
    response
}

/// Whether a condition in the headers is not met.
fn fails(asked: &Asked, version: Option<u64>) -> bool {
    let header = |name| asked.headers.get(name).map(|value| value.to_str().unwrap());
    let is_other = header("if-match")
        .is_some_and(|tag| version.map(|version| format!("\"{version}\"")).as_deref() != Some(tag));
    is_other || (header("if-none-match") == Some("*") && version.is_some())
}

fn ours(
    data: &mut Data,
    asked: &Asked,
    segments: &[&str],
    query: &HashMap<&str, String>,
) -> Response {
    let sequence = data.sequence;
    let numbered = |mut response: Response| {
        response.headers_mut().insert("flagops-sequence", sequence.into());
        response
    };
    let tagged = |mut response: Response, version: u64| {
        let tag = format!("\"{version}\"").parse().unwrap();
        response.headers_mut().insert("etag", tag);
        response
    };
    let version = |data: &Data, id: &str| {
        data.facts.get(id).and_then(|facts| facts.values().map(|(_, version)| *version).max())
    };
    match (&*asked.method, segments) {
        ("GET", ["fact" | "identity"]) => numbered(list(data, segments[0], query)),
        ("DELETE", ["identity", id]) => {
            data.erase(id);
            empty()
        }
        ("PATCH", ["fact"]) => {
            for (id, patch) in asked.body.as_object().unwrap() {
                for (key, value) in patch.as_object().unwrap() {
                    data.change(id, key, value.as_str());
                }
            }
            empty()
        }
        ("GET", ["fact", id]) => match data.values(id) {
            Some(values) => {
                let response = numbered(json_response(&json!(values)));
                tagged(response, version(data, id).unwrap_or_default())
            }
            None => numbered(respond(404, "application/json", "{}")),
        },
        ("PATCH", ["fact", id]) => {
            if fails(asked, version(data, id)) {
                return problem(412, "precondition_failed");
            }
            for (key, value) in asked.body.as_object().unwrap() {
                data.change(id, key, value.as_str());
            }
            empty()
        }
        ("GET", ["fact", id, key]) => match data.facts.get(*id).and_then(|facts| facts.get(*key)) {
            Some((value, version)) => {
                let mut response = tagged(json_response(&json!({*key: value})), *version);
                if let Some(at) = data.expires.get(&((*id).to_owned(), (*key).to_owned())) {
                    response.headers_mut().insert("flagops-expires", at.parse().unwrap());
                }
                numbered(response)
            }
            None => problem(404, "fact_not_found"),
        },
        ("PUT", ["fact", id, key]) => {
            let current = data.facts.get(*id).and_then(|facts| facts.get(*key)).map(|it| it.1);
            if fails(asked, current) {
                return problem(412, "precondition_failed");
            }
            let Some(value) = asked.body["value"].as_str() else { return problem(400, "invalid") };
            data.change(id, key, Some(value));
            if let Some(at) = asked.body["expires_at"].as_str() {
                data.expires.insert(((*id).to_owned(), (*key).to_owned()), at.to_owned());
            }
            tagged(empty(), data.sequence)
        }
        ("DELETE", ["fact", id, key]) => {
            let Some(facts) = data.facts.get(*id) else {
                return problem(404, "identity_not_found");
            };
            if fails(asked, facts.get(*key).map(|it| it.1)) {
                return problem(412, "precondition_failed");
            }
            data.change(id, key, None);
            empty()
        }
        ("GET", ["fact", id, key, "history"]) => {
            let before = query.get("before").map_or(u64::MAX, |it| it.parse().unwrap());
            let of_it = data.log.iter().rev().filter(|(at, identity, name, change)| {
                *at < before && identity == id && *name == "change" && change["fact"] == *key
            });
            let versions: Vec<_> = of_it
                .map(|(at, _, _, change)| {
                    json!({"version": at, "value": change["value"], "at": "2026-11-28T18:00:00Z", "by": "token:cms"})
                })
                .collect();
            json_response(&json!({"versions": versions}))
        }
        _ => secrets_and_sets(data, asked, segments),
    }
}

/// A page of identities, or of their facts.
fn list(data: &Data, kind: &str, query: &HashMap<&str, String>) -> Response {
    let prefix = query.get("prefix").map_or("", String::as_str);
    let after = query.get("after").map_or("", String::as_str);
    let limit = query.get("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
    if query.contains_key("limit") && !(1..=10_000).contains(&limit) {
        return problem(400, "invalid");
    }
    let all: BTreeSet<_> = data.facts.keys().chain(data.secrets.keys()).collect();
    let selected = all.into_iter().filter(|id| id.starts_with(prefix) && ***id > *after);
    let mut selected: Vec<_> = selected.collect();
    let has_more = selected.len() > limit;
    selected.truncate(limit);
    let next = selected.last().filter(|_| has_more).map(|last| json!(last));
    let item = |id: &&String| {
        let value = if kind == "fact" {
            json!(data.values(id).unwrap_or_default())
        } else {
            json!({"facts": data.facts.contains_key(*id), "secrets": data.secrets.contains_key(*id)})
        };
        ((*id).clone(), value)
    };
    let items: BTreeMap<_, _> = selected.iter().map(item).collect();
    let name = if kind == "fact" { "facts" } else { "identities" };
    let mut body = json!({name: items});
    if let Some(next) = next {
        body["next"] = next;
    }
    json_response(&body)
}

/// Requests for secrets, and changes of the set of a stream.
fn secrets_and_sets(data: &mut Data, asked: &Asked, segments: &[&str]) -> Response {
    match (&*asked.method, segments) {
        ("GET", ["secret", id]) => match data.secrets.get(*id) {
            Some(secrets) => json_response(&json!(secrets)),
            None => problem(404, "identity_not_found"),
        },
        ("GET", ["secret", id, key]) => match data.secrets.get(*id).and_then(|it| it.get(*key)) {
            Some(value) => json_response(&json!({*key: value})),
            None => problem(404, "secret_not_found"),
        },
        ("PUT", ["secret", id, key]) => {
            let value = asked.body["value"].as_str().unwrap().to_owned();
            data.secrets.entry((*id).to_owned()).or_default().insert((*key).to_owned(), value);
            empty()
        }
        ("DELETE", ["secret", id, key]) => match data.secrets.get_mut(*id) {
            Some(secrets) => {
                secrets.remove(*key);
                empty()
            }
            None => problem(404, "identity_not_found"),
        },
        ("PATCH", ["changes", stream]) => {
            let names = |member: &str| -> Vec<String> {
                serde_json::from_value(asked.body[member].clone()).unwrap()
            };
            let sequence = data.sequence;
            let Some(set) = data.sets.get_mut(*stream) else {
                return problem(404, "stream_not_found");
            };
            set.extend(names("add"));
            for identity in names("remove") {
                set.remove(&identity);
            }
            json_response(&json!({"sequence": sequence}))
        }
        _ => problem(404, "no_such_path"),
    }
}

/// The original, with its defects.
fn original(shared: &Shared, asked: &Asked, segments: &[&str]) -> Option<Response> {
    let mut data = shared.data.lock().unwrap();
    let status = |status: u16| StatusCode::from_u16(status).unwrap();
    let error = |code: u16| {
        let mut response = empty();
        *response.status_mut() = status(code);
        response
    };
    Some(match (&*asked.method, segments) {
        ("GET", ["identity"]) => {
            let has = |id: &String| (id.clone(), json!({"facts": true, "secrets": false}));
            let all: BTreeMap<_, _> = data.facts.keys().map(has).collect();
            json_response(&json!({"identities": all}))
        }
        ("GET", ["fact", id]) => match data.values(id) {
            Some(values) => json_response(&json!(values)),
            None => error(404),
        },
        ("GET", ["fact", id, key]) => match data.facts.get(*id) {
            Some(facts) => match facts.get(*key) {
                Some((value, _)) => json_response(&json!({*key: value})),
                None => error(404),
            },
            None => error(500),
        },
        ("PUT", ["fact", id, key]) => {
            data.change(id, key, asked.body["value"].as_str());
            empty()
        }
        // D2: everything of the identity is removed.
        ("DELETE", ["fact", id, _] | ["identity", id]) => {
            data.erase(id);
            empty()
        }
        ("GET", ["secret", id]) => match data.secrets.get(*id) {
            Some(secrets) => json_response(&json!(secrets)),
            None => error(404),
        },
        ("DELETE", ["secret", id, key]) => match data.secrets.get_mut(*id) {
            Some(secrets) => {
                secrets.remove(*key);
                empty()
            }
            None => error(500),
        },
        _ => return None,
    })
}

fn stream(shared: &Arc<Shared>, asked: &Asked, prefix: Option<String>) -> Response {
    let mut data = shared.data.lock().unwrap();
    data.opened += 1;
    let id = format!("stream-{}", data.opened);
    let is_set = asked.method == "POST";
    if is_set {
        let set = serde_json::from_value(asked.body["identities"].clone()).unwrap();
        data.sets.insert(id.clone(), set);
    }
    let last = asked.headers.get("last-event-id");
    let last: Option<u64> = last.map(|last| last.to_str().unwrap().parse().unwrap());
    let mut after = last.unwrap_or(data.sequence);
    let mut first = format!("event: ready\nid: {after}\ndata: {{\"stream\":\"{id}\"}}\n\n");
    if after < data.forgotten {
        after = data.sequence;
        let _ = write!(first, "event: reset\nid: {after}\n\n");
    }
    drop(data);
    let (sender, receiver) = mpsc::channel::<Result<String, io::Error>>(64);
    let (mut changed, mut cuts) = (shared.changed.subscribe(), shared.cuts.subscribe());
    let mut raw = shared.raw.subscribe();
    raw.mark_unchanged();
    let shared = Arc::clone(shared);
    shared.streams.fetch_add(1, Ordering::SeqCst);
    tokio::spawn(async move {
        let _counted = Counted(Arc::clone(&shared));
        let _ = sender.send(Ok(first)).await;
        loop {
            let mut text = String::new();
            {
                let data = shared.data.lock().unwrap();
                for (at, identity, name, body) in &data.log {
                    let selected = match (&prefix, data.sets.get(&id)) {
                        (Some(prefix), _) => identity.starts_with(prefix),
                        (None, Some(set)) => set.contains(identity),
                        (None, None) => !is_set,
                    };
                    if *at > after && selected {
                        let _ = write!(text, "event: {name}\nid: {at}\ndata: {body}\n\n");
                    }
                }
                after = after.max(data.sequence);
            }
            if !text.is_empty() {
                let _ = sender.send(Ok(text)).await;
            }
            tokio::select! {
                _ = changed.changed() => {}
                _ = raw.changed() => {
                    let text = raw.borrow_and_update().last().cloned().unwrap_or_default();
                    let _ = sender.send(Ok(text)).await;
                }
                _ = cuts.changed() => {
                    let _ = sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                    break;
                }
                () = sender.closed() => break,
            }
        }
        shared.data.lock().unwrap().sets.remove(&id);
    });
    respond(200, "text/event-stream", Body::from_stream(ReceiverStream::new(receiver)))
}
