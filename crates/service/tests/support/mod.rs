//! What the tests of this crate share.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses some of it; a test may panic")]

use std::sync::Mutex;

use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use service::{
    access::{Access, NewSession, Permission, Principal, Profile, SessionOptions, Sessions},
    audit::{self, Event, Filter},
    storage::{Database, Migration, Storage, StorageError},
};
use tempfile::TempDir;
use testing::Postgres;

/// The tables of this crate.
pub(crate) const SERVICE: &[Migration] =
    &[Migration { version: 1, name: "service", sql: service::SCHEMA }];

/// The permissions of a service.
pub(crate) const PERMISSIONS: &[Permission] = &[
    Permission { id: "admin", name: "Admin" },
    Permission { id: "things-read", name: "Read things" },
    Permission { id: "things-write", name: "Write things" },
    Permission { id: "users-write", name: "Write users" },
];

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const ORIGIN: &str = "https://things.example";

/// A database of each kind that is installed.
pub(crate) fn databases() -> (Vec<Database>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut databases = vec![Database::Sqlite(folder.path().join("new/folder/data.db"))];
    match Postgres::database() {
        Some(url) => databases.push(Database::parse(&url, None).unwrap()),
        None => testing::skip("PostgreSQL"),
    }
    (databases, folder)
}

/// A file of SQLite.
pub(crate) async fn sqlite() -> (Storage, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(folder.path().join("data.db"));
    (Storage::open(database, SERVICE).await.unwrap(), folder)
}

pub(crate) fn session_options() -> SessionOptions {
    SessionOptions::new("things", Some(KEY.into()), ORIGIN.to_owned())
}

pub(crate) fn access(storage: &Storage) -> Access {
    access_with(storage, session_options())
}

pub(crate) fn access_with(storage: &Storage, options: SessionOptions) -> Access {
    let sessions = Sessions::new(options).unwrap();
    Access::with_sessions(storage.clone(), PERMISSIONS, true, sessions)
}

/// What GitHub says of a user.
pub(crate) fn profile(subject: &str, login: &str) -> Profile {
    Profile {
        provider: "github".to_owned(),
        issuer: "https://api.github.com/".to_owned(),
        subject: subject.to_owned(),
        login: login.to_owned(),
        email: format!("{login}@example.com"),
    }
}

/// A sign-in that was not completed before.
pub(crate) fn new_session(profile: Profile) -> NewSession {
    static COUNT: Mutex<u64> = Mutex::new(0);
    let mut count = COUNT.lock().unwrap();
    *count += 1;
    let mut attempt = [0; 32];
    attempt[..8].copy_from_slice(&count.to_be_bytes());
    let attempt_lasts = std::time::Duration::from_mins(10);
    NewSession { profile, attempt, attempt_lasts, replaces: None }
}

/// Signs somebody in, and returns the headers of a browser with the session.
pub(crate) async fn sign_in(access: &Access, profile: Profile) -> HeaderMap {
    let key = access.sign_in(new_session(profile)).await.unwrap();
    browser(access.sessions().unwrap(), &key)
}

/// The headers of a browser with a session.
pub(crate) fn browser(sessions: &Sessions, key: &SecretString) -> HeaderMap {
    let cookie = sessions.session_cookie(key).unwrap();
    let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
    [(header::COOKIE, HeaderValue::try_from(pair).unwrap())].into_iter().collect()
}

/// The headers of a machine with a token.
pub(crate) fn machine(token: &SecretString) -> HeaderMap {
    let value = format!("Bearer {}", token.expose_secret());
    [(header::AUTHORIZATION, HeaderValue::try_from(value).unwrap())].into_iter().collect()
}

/// Somebody who signs in and has these permissions.
pub(crate) async fn person(access: &Access, login: &str, permissions: &[&str]) -> Principal {
    let subject = login.bytes().fold(String::new(), |text, byte| format!("{text}{byte}"));
    let headers = sign_in(access, profile(&subject, login)).await;
    let principal = access.principal(&headers).await.unwrap();
    let permissions = permissions.iter().map(|&it| it.to_owned()).collect();
    let id = principal.person().unwrap();
    access.grant(id, permissions, &root().await).await.unwrap();
    access.principal(&headers).await.unwrap()
}

/// Who may do everything: whoever calls where authentication is switched off.
pub(crate) async fn root() -> Principal {
    let (storage, _folder) = sqlite().await;
    Access::new(storage, PERMISSIONS, false).principal(&HeaderMap::new()).await.unwrap()
}

/// The actions and subjects in the audit trail, the oldest first.
pub(crate) async fn audited(storage: &Storage) -> Vec<String> {
    let page = storage.read(|sql| audit::page(sql, &Filter::default(), 1_000)).await;
    let page: Vec<Event> = page.map_err(|error: StorageError| error).unwrap();
    page.iter().rev().map(|it| format!("{} {} {}", it.actor, it.action, it.subject)).collect()
}
