//! Servers of the test's process, and a client.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use axum::http::{Method, Request};
use flagstaff::http::Client;
use serde_json::{Value, json};
use service::{
    settings::Values,
    storage::{Database, Sql, Storage, StorageError},
};
use testing::Postgres;
use toggle_meister::{
    MIGRATIONS,
    model::{change, feature, toggle},
    serve::{self, Running},
    settings::{OPTIONS, Settings},
    toggle::Toggle,
};

/// For how long a test waits for something.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// The options of a test on a database.
pub(crate) fn settings(database: &str) -> Settings {
    let flags = [
        ("listen", "127.0.0.1:0"),
        ("require-auth", "false"),
        ("database", database),
        ("flags-evaluation", "off"),
        ("flags-sync", "off"),
        ("flags-ofrep", "off"),
        // Never, unless a test asks for it.
        ("metrics-flush-seconds", "3600"),
    ];
    let flags = HashMap::from(flags.map(|(name, value)| (name, value.to_owned())));
    let values = Values::read(OPTIONS, &flags, None, |_| None).unwrap();
    Settings::from_values(&values).unwrap()
}

/// A new database of PostgreSQL, if that is installed.
pub(crate) fn postgres() -> Option<String> {
    let url = Postgres::database();
    if url.is_none() {
        testing::skip("PostgreSQL");
    }
    url
}

pub(crate) async fn storage(database: &str) -> Storage {
    Storage::open(Database::parse(database, None).unwrap(), MIGRATIONS).await.unwrap()
}

/// Writes to a database as another replica would.
pub(crate) async fn write<T: Send + 'static>(
    storage: &Storage,
    change: impl FnOnce(&mut Sql<'_>) -> Result<T, StorageError> + Send + 'static,
) -> T {
    storage.write(change).await.unwrap()
}

pub(crate) async fn read<T: Send + 'static>(
    storage: &Storage,
    work: impl FnOnce(&mut Sql<'_>) -> Result<T, StorageError> + Send + 'static,
) -> T {
    storage.read(work).await.unwrap()
}

/// How many rows a query counts.
pub(crate) async fn count(storage: &Storage, query: &'static str) -> i64 {
    read(storage, move |sql| sql.query_one(query, &[], |row| row.int(0))).await.unwrap_or(0)
}

/// Adds a feature, with a toggle in production.
pub(crate) async fn add(storage: &Storage, name: &'static str, toggle: Toggle) {
    let created = storage.write(move |sql| feature::create(sql, "jane", name, true)).await;
    created.unwrap();
    write(storage, move |sql| {
        toggle::put(sql, name, "production", toggle)?;
        change::note(sql, &change::Changed::Feature(name.to_owned()))
    })
    .await;
}

/// Waits for a state.
pub(crate) async fn until(what: &str, mut ready: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !ready().await {
        assert!(Instant::now() < deadline, "{what}: not within {LONG:?}");
        // The state of a database or another program can only be polled.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A server of the test's process.
pub(crate) struct Replica {
    pub(crate) running: Running,
    pub(crate) http: Http,
}

impl Replica {
    pub(crate) async fn start(settings: &Settings) -> Self {
        let running = serve::start(settings).await.unwrap();
        let http = Http::new(format!("http://{}", running.address()));
        Self { running, http }
    }
}

/// A client of a server.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
}

impl Http {
    pub(crate) fn new(url: String) -> Self {
        Self { client: Client::builder().without_proxy().build().unwrap(), url, token: None }
    }

    /// The status and the body of a response.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.client.send(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The value of one of the server's own metrics, by its name and labels.
    pub(crate) async fn metric(&self, name: &str) -> String {
        let request = Request::get(format!("{}/metrics", self.url)).body("");
        let response = self.client.send(request.unwrap()).await.unwrap();
        let bytes = response.into_body().bytes().await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let line = text.lines().find_map(|it| it.strip_prefix(&format!("service_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    }

    pub(crate) async fn create(&self, feature: &str) -> u16 {
        self.send(Method::POST, "/api/features", &json!({"name": feature})).await.0
    }

    /// Switches a toggle, and returns the status.
    pub(crate) async fn switch(&self, env: &str, feature: &str, state: &str) -> u16 {
        let body = json!({"toggle": {"env": env, "feature": feature, "state": state}});
        self.send(Method::PATCH, "/api/toggles", &body).await.0
    }

    /// Whether a feature is on in an environment, for an id.
    pub(crate) async fn is_on(&self, env: &str, feature: &str, id: &str) -> bool {
        let path = format!("/api/envs/{env}/toggles?feature={feature}&enrollment_id={id}");
        self.get(&path).await[feature].as_bool().unwrap()
    }
}
