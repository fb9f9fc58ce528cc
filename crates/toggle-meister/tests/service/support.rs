//! A running service, and callers for it.

use std::collections::HashMap;

use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::{
    access::NewToken,
    settings::Values,
    storage::{Database, Sql, StorageError},
};
use tempfile::TempDir;
use testing::Postgres;
use toggle_meister::{
    serve::{self, Running},
    settings::{OPTIONS, Settings},
};

pub(crate) use crate::http::{Answer, Events, LONG, client};

/// A service, with a token that may do everything.
pub(crate) struct Service {
    pub(crate) running: Running,
    pub(crate) url: String,
    pub(crate) admin: String,
    /// Removed when the service is dropped.
    folder: Option<TempDir>,
}

/// A database of each kind that is installed.
pub(crate) fn databases(folder: &TempDir) -> Vec<Database> {
    let mut databases = vec![Database::Sqlite(folder.path().join("toggles.db"))];
    match Postgres::database() {
        Some(url) => databases.push(Database::parse(&url, None).unwrap()),
        None => testing::skip("PostgreSQL"),
    }
    databases
}

/// A service on each database that is installed.
pub(crate) async fn services() -> Vec<Service> {
    let folder = tempfile::tempdir().unwrap();
    let mut services = Vec::new();
    for database in databases(&folder) {
        services.push(start(settings(database, &[])).await);
    }
    services[0].folder = Some(folder);
    services
}

/// A service on a file of its own.
pub(crate) async fn service(options: &[(&'static str, &str)]) -> Service {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(folder.path().join("toggles.db"));
    let mut service = start(settings(database, options)).await;
    service.folder = Some(folder);
    service
}

/// The options of a test on a database.
pub(crate) fn settings(database: Database, options: &[(&'static str, &str)]) -> Settings {
    let ports = ["listen", "flags-evaluation", "flags-sync", "flags-ofrep"];
    let mut flags: HashMap<_, _> =
        ports.into_iter().map(|it| (it, "127.0.0.1:0".to_owned())).collect();
    flags.extend(options.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let values = Values::read(OPTIONS, &flags, None, |_| None).unwrap();
    let mut settings = Settings::from_values(&values).unwrap();
    settings.database = database;
    settings
}

pub(crate) async fn start(settings: Settings) -> Service {
    let running = serve::start(&settings).await.unwrap();
    let url = format!("http://{}", running.address());
    let mut service = Service { running, url, admin: String::new(), folder: None };
    service.admin = service.token("admin").await;
    service
}

impl Service {
    /// A new token with a role.
    pub(crate) async fn token(&self, role: &str) -> String {
        let new = NewToken {
            name: role.to_owned(),
            permissions: vec![role.to_owned()],
            prefixes: None,
            expires: None,
        };
        let created = self.running.store().access.create_token(new, "test").await;
        created.unwrap().1.expose_secret().to_owned()
    }

    /// A request of nobody.
    pub(crate) fn open(&self, method: Method, path: &str) -> RequestBuilder {
        client().request(method, format!("{}{path}", self.url))
    }

    /// A request of an administrator.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.open(method, path).bearer_auth(&self.admin)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// What everybody gets.
    pub(crate) async fn public(&self, path: &str) -> Answer {
        send(self.open(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Creates a feature.
    pub(crate) async fn feature(&self, name: &str) {
        self.post("/api/features", json!({ "name": name })).await.is(201, json!({ "name": name }));
    }

    /// Creates an environment.
    pub(crate) async fn env(&self, name: &str) {
        self.post("/api/envs", json!({ "name": name })).await.is(201, json!({ "name": name }));
    }

    /// Asks for a state.
    pub(crate) async fn switch(&self, env: &str, feature: &str, state: &str) -> Answer {
        let toggle = json!({ "env": env, "feature": feature, "state": state });
        self.patch("/api/toggles", json!({ "toggle": toggle })).await
    }

    /// Sets a state.
    pub(crate) async fn set(&self, env: &str, feature: &str, state: &str) {
        let answer = self.switch(env, feature, state).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// A toggle of the matrix.
    pub(crate) async fn toggle(&self, env: &str, feature: &str) -> Value {
        let matrix = self.get("/api/toggles").await.json();
        let toggles = matrix["toggles"].as_array().unwrap().iter().map(|it| &it["toggle"]);
        let mut found = toggles.filter(|it| it["env"] == env && it["feature"] == feature);
        let toggle = found.next().unwrap_or_else(|| panic!("no {env}/{feature} in {matrix}"));
        assert_eq!(found.next(), None, "each stands there once");
        toggle.clone()
    }

    /// Whether a feature is on for an id; blank: for nobody in particular.
    pub(crate) async fn is_on(&self, env: &str, feature: &str, id: &str) -> bool {
        let path = format!("/api/envs/{env}/toggles?feature={feature}&enrollment_id={id}");
        let answer = self.public(&path).await;
        answer.json()[feature].as_bool().unwrap_or_else(|| panic!("{answer:?}"))
    }

    /// The newest events of the audit trail, the newest first, without number and date.
    pub(crate) async fn audited(&self, count: usize) -> Vec<Value> {
        let log = self.get(&format!("/api/auditlog?limit={count}")).await.json();
        let events = log.as_array().unwrap().iter().map(|it| {
            json!({ "event": it["event"], "user": it["user"], "event_data": it["event_data"] })
        });
        events.collect()
    }

    /// Changes the database behind the back of the API.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Sql<'_>) -> Result<T, StorageError> + Send + 'static,
    ) -> T {
        self.running.store().storage.write(change).await.unwrap()
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

/// Waits until something holds.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LONG;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "it never holds");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
