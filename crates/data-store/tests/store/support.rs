//! A running store, and a client for it.

use std::{collections::HashMap, sync::Arc};

use flagops_store::{
    secret::Keys,
    serve::{self, Running},
    settings::Settings,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use service::{access::NewToken, storage::Database};
use tempfile::TempDir;
use testing::Postgres;

pub(crate) use crate::http::{Events, LONG, client, encode, problem};

/// A store that serves, with a client that may do everything.
pub(crate) struct Store {
    pub(crate) running: Running,
    pub(crate) url: String,
    pub(crate) admin: String,
    /// Removed when the store is dropped.
    folder: Option<TempDir>,
}

/// A database of each kind that is installed.
pub(crate) fn databases(folder: &TempDir) -> Vec<Database> {
    let mut databases = vec![Database::Sqlite(folder.path().join("store.db"))];
    match Postgres::database() {
        Some(url) => databases.push(Database::parse(&url, None).unwrap()),
        None => testing::skip("PostgreSQL"),
    }
    databases
}

/// A store on each database that is installed.
pub(crate) async fn stores() -> Vec<Store> {
    let folder = tempfile::tempdir().unwrap();
    let mut stores = Vec::new();
    for database in databases(&folder) {
        stores.push(start(settings(database)).await);
    }
    stores[0].folder = Some(folder);
    stores
}

/// A store on a file of its own.
pub(crate) async fn store() -> Store {
    let folder = tempfile::tempdir().unwrap();
    let mut store = start(settings(Database::Sqlite(folder.path().join("store.db")))).await;
    store.folder = Some(folder);
    store
}

/// The options of a test on a database.
pub(crate) fn settings(database: Database) -> Settings {
    let listen = HashMap::from([("listen", "127.0.0.1:0".to_owned())]);
    let mut settings = Settings::read(&listen, None, |_| None).unwrap();
    settings.database = database;
    settings.secrets_keys = Some(Arc::new(Keys::parse(&Keys::generate("1").unwrap()).unwrap()));
    settings
}

pub(crate) async fn start(settings: Settings) -> Store {
    let running = serve::start(&settings).await.unwrap();
    let url = format!("http://{}", running.address());
    let mut store = Store { running, url, admin: String::new(), folder: None };
    store.admin = store.token(&["admin"], None).await;
    store
}

impl Store {
    /// A new token.
    pub(crate) async fn token(&self, permissions: &[&str], prefixes: Option<&[&str]>) -> String {
        let owned = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let new = NewToken {
            name: "test".to_owned(),
            permissions: owned(permissions),
            prefixes: prefixes.map(owned),
            expires: None,
        };
        let created = self.running.store().access().create_token(new, "test").await;
        created.unwrap().1.expose_secret().to_owned()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_with(&self.admin, method, path)
    }

    pub(crate) fn request_with(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        client().request(method, format!("{}{path}", self.url)).bearer_auth(token)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// The JSON of a response that has to be a success.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Response {
        self.request(Method::PUT, path).json(&body).send().await.unwrap()
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Response {
        self.request(Method::PATCH, path).json(&body).send().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    /// Writes a fact, which has to succeed.
    pub(crate) async fn fact(&self, identity: &str, key: &str, value: &str) {
        let path = format!("/api/fact/{}/{}", encode(identity), encode(key));
        let response = self.put(&path, serde_json::json!({ "value": value })).await;
        assert_eq!(response.status(), StatusCode::OK, "{identity}/{key}");
    }

    /// Adds an administrator, as if they had signed in.
    pub(crate) async fn person(&self, id: i64, login: &'static str) {
        let add = self.running.store().storage().write(move |sql| {
            let insert = "INSERT INTO person
                (id, provider, issuer, subject, login, email, created, updated)
                VALUES (?1, 'github', '', ?2, ?2, 'o@example.com', 0, 0)";
            let grant = "INSERT INTO person_permission (person, permission) VALUES (?1, 'admin')";
            sql.execute(insert, &[id.into(), login.into()])?;
            sql.execute(grant, &[id.into()])
        });
        let added: Result<u64, service::storage::StorageError> = add.await;
        added.unwrap();
    }

    pub(crate) async fn stream(&self, path: &str, last: Option<&str>) -> Events {
        let mut request = self.request(Method::GET, path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        Events::new(request.send().await.unwrap())
    }
}
