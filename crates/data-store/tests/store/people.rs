//! People who have signed in, and their permissions. That they may sign in is tested in
//! `crates/service`.

use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use service::{
    access::{NewSession, Profile, SessionOptions},
    signin::{GithubOptions, SignInOptions, SignInSettings},
    storage::Database,
};

use crate::support::{Events, Store, client, problem, settings, start};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A store with sign-in, whose files are in the folder.
pub(crate) async fn with_sign_in(folder: &tempfile::TempDir) -> Store {
    with_sessions(folder, |_| {}).await
}

async fn with_sessions(folder: &tempfile::TempDir, change: fn(&mut SessionOptions)) -> Store {
    let mut settings = settings(Database::Sqlite(folder.path().join("store.db")));
    let mut sessions = SessionOptions::new("flagops", Some(KEY.into()), "http://127.0.0.1".into());
    sessions.dev = true;
    change(&mut sessions);
    let mut github = GithubOptions::new("client", "secret".into());
    github.organizations = vec!["acme".to_owned()];
    let options = SignInOptions {
        service: "flagops-store".to_owned(),
        github: Some(github),
        ..SignInOptions::default()
    };
    settings.sign_in = Some(SignInSettings { sessions, options });
    start(settings).await
}

/// Signs a person in, and returns their cookie.
pub(crate) async fn sign_in(store: &Store, number: u8, login: &str) -> String {
    let access = store.running.store().access();
    let profile = Profile {
        provider: "github".to_owned(),
        issuer: "https://github.com/".to_owned(),
        subject: number.to_string(),
        login: login.to_owned(),
        email: format!("{login}@acme.example"),
    };
    let attempt_lasts = std::time::Duration::from_mins(1);
    let new = NewSession { profile, attempt: [number; 32], attempt_lasts, replaces: None };
    let key = access.sign_in(new).await.unwrap();
    let cookie = access.sessions().unwrap().session_cookie(&key).unwrap();
    cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
}

async fn send(store: &Store, cookie: &str, method: Method, path: &str, body: Value) -> Response {
    let request = client().request(method, format!("{}{path}", store.url));
    let request = request.header(header::COOKIE, cookie).header("sec-fetch-site", "same-origin");
    request.json(&body).send().await.unwrap()
}

#[tokio::test]
async fn a_person_has_the_permissions_that_they_were_given() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    store.fact("c0", "tier", "gold").await;
    let anna = sign_in(&store, 1, "anna").await;
    let read = async || send(&store, &anna, Method::GET, "/api/fact/c0", json!(null)).await;
    problem(read().await, StatusCode::FORBIDDEN).await;
    let people = store.json("/api/user").await;
    assert_eq!(people.as_array().unwrap().len(), 1);
    let person = &people[0];
    assert_eq!(person["Username"], "anna");
    assert_eq!(person["Email"], "anna@acme.example");
    assert_eq!(person["SSOProvider"], "github");
    assert_eq!(person["SSOID"], "1");
    assert_eq!(person["DeletedAt"], Value::Null);
    assert_eq!(person["Permissions"], json!([]));

    let path = format!("/api/user/{}", person["ID"]);
    let granted = format!("{path}/permission");
    let body = json!({ "permissions": ["facts-read"] });
    assert_eq!(store.put(&granted, body.clone()).await.status(), 200);
    assert_eq!(
        store.json(&path).await["Permissions"],
        json!([{ "ID": "facts-read", "DisplayName": "Read Facts" }])
    );
    assert_eq!(read().await.status(), 200, "at once");
    assert_eq!(store.put(&granted, json!({})).await.status(), 200, "nothing to add");
    let revoked = store.request(Method::DELETE, &granted).json(&body).send().await.unwrap();
    assert_eq!(revoked.status(), 200);
    problem(read().await, StatusCode::FORBIDDEN).await;
    let unknown = store.put(&granted, json!({ "permissions": ["facts-raed"] })).await;
    problem(unknown, StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn d25_whoever_may_write_users_cannot_make_an_administrator() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    let anna = sign_in(&store, 1, "anna").await;
    let path = format!("/api/user/{}/permission", store.json("/api/user").await[0]["ID"]);
    let users = json!({ "permissions": ["users-write"] });
    assert_eq!(store.put(&path, users).await.status(), 200);
    let admin = json!({ "permissions": ["admin"] });
    problem(send(&store, &anna, Method::PUT, &path, admin).await, StatusCode::FORBIDDEN).await;
}

#[tokio::test]
async fn d39_a_number_that_nobody_has_is_404() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    for number in ["0", "7", "9223372036854775807", "9223372036854775808"] {
        let response = store.get(&format!("/api/user/{number}")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let detail = response.json::<Value>().await.unwrap()["detail"].to_string();
        assert!(detail.contains(&format!("number {number}\"")), "{detail}");
        let revoked = store.delete(&format!("/api/token/{number}")).await;
        assert_eq!(revoked.status(), StatusCode::NOT_FOUND);
        let detail = revoked.json::<Value>().await.unwrap()["detail"].to_string();
        assert!(detail.contains(&format!("number {number}\"")), "{detail}");
    }
    for number in ["-1", "x", "99999999999999999999999"] {
        problem(store.get(&format!("/api/user/{number}")).await, StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn d29_a_post_from_another_site_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    let anna = sign_in(&store, 1, "anna").await;
    let path = format!("/api/user/{}/permission", store.json("/api/user").await[0]["ID"]);
    assert_eq!(store.put(&path, json!({ "permissions": ["admin"] })).await.status(), 200);
    let put = |site: &'static str| {
        let request = client().put(format!("{}/api/fact/c0/k", store.url));
        let request = request.header(header::COOKIE, &anna).header("sec-fetch-site", site);
        request.json(&json!({ "value": "v" })).send()
    };
    problem(put("cross-site").await.unwrap(), StatusCode::FORBIDDEN).await;
    assert_eq!(put("same-origin").await.unwrap().status(), 200);
}

#[tokio::test]
async fn d6_a_missing_or_short_key_is_an_error_at_the_start() {
    for key in [None, Some("flagops-salt".into())] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(Database::Sqlite(folder.path().join("store.db")));
        let sessions = SessionOptions::new("flagops", key, "https://facts.example".into());
        let options = SignInOptions::default();
        settings.sign_in = Some(SignInSettings { sessions, options });
        let Err(error) = flagops_store::serve::start(&settings).await else {
            panic!("it starts");
        };
        assert!(error.to_string().contains("openssl rand"), "{error}");
    }
}

/// The stream of changes that an administrator has opened with the cookie of their session.
async fn stream(store: &Store) -> Events {
    store.running.store().access().add_admin("github:anna").await.unwrap();
    let anna = sign_in(store, 1, "anna").await;
    let request = client().get(format!("{}/api/changes", store.url));
    let mut stream = Events::new(request.header(header::COOKIE, anna).send().await.unwrap());
    stream.expect("ready").await;
    stream
}

#[tokio::test]
async fn a_stream_ends_with_the_session_that_opened_it() {
    let expired: fn(&mut SessionOptions) = |it| it.lifetime = std::time::Duration::from_secs(2);
    let unused: fn(&mut SessionOptions) = |it| it.idle = std::time::Duration::from_secs(2);
    for (change, reason) in [(expired, "expired"), (unused, "unused for too long")] {
        let folder = tempfile::tempdir().unwrap();
        let store = with_sessions(&folder, change).await;
        let end = stream(&store).await.expect("end").await;
        assert!(end.data["reason"].as_str().unwrap().contains(reason), "{end:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    let mut stream = stream(&store).await;
    let anna = store.json("/api/user").await[0]["ID"].as_i64().unwrap();
    let access = store.running.store().access();
    let bearer = [(header::AUTHORIZATION, format!("Bearer {}", store.admin).parse().unwrap())];
    let admin = access.principal(&bearer.into_iter().collect()).await.unwrap();
    access.end_sessions(anna, &admin).await.unwrap();
    let end = stream.expect("end").await;
    assert_eq!(end.data["reason"], "the session has ended: sign in again");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn d9_not_everybody_with_an_account_may_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Database::Sqlite(folder.path().join("store.db")));
    let sessions = SessionOptions::new("flagops", Some(KEY.into()), "https://facts.example".into());
    let options = SignInOptions {
        github: Some(GithubOptions::new("client", "secret".into())),
        ..SignInOptions::default()
    };
    settings.sign_in = Some(SignInSettings { sessions, options });
    let Err(error) = flagops_store::serve::start(&settings).await else { panic!("it starts") };
    assert!(error.to_string().contains("everybody with an account at GitHub"), "{error}");
}
