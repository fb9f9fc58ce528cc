//! GitHub, as far as a sign-in needs it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Form, Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

pub(crate) const CLIENT: &str = "Iv1.things";
pub(crate) const SECRET: &str = "a secret of the app";

/// The server, which ends with the test.
#[derive(Clone, Default)]
pub(crate) struct GithubServer(Arc<Mutex<Server>>);

#[derive(Default)]
pub(crate) struct Server {
    /// Whoever sits before the browser.
    pub(crate) user: Value,
    pub(crate) emails: Value,
    /// `organization` or `organization/team`, with the state of the membership.
    pub(crate) memberships: HashMap<String, &'static str>,
    /// A broken server, which accepts a code again.
    pub(crate) accepts_codes_twice: bool,
    /// The status of everything in the API.
    pub(crate) api_status: Option<StatusCode>,
    codes: HashMap<String, Code>,
    used: HashSet<String>,
    tokens: HashMap<String, String>,
}

#[derive(Clone)]
struct Code {
    challenge: String,
    redirect: String,
    scope: String,
}

type Parameters = HashMap<String, String>;

impl GithubServer {
    /// Starts it, and returns its address.
    pub(crate) async fn start(&self) -> String {
        let router = Router::new()
            .route("/login/oauth/authorize", get(authorize))
            .route("/login/oauth/access_token", post(access_token))
            .route("/api/v3/user", get(user))
            .route("/api/v3/user/emails", get(emails))
            .route("/api/v3/user/memberships/orgs/{organization}", get(organization))
            .route("/api/v3/orgs/{organization}/teams/{team}/memberships/{login}", get(team))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap()
    }

    /// Lets somebody sit down before the browser.
    pub(crate) fn user(&self, id: u64, login: &str) {
        let mut server = self.lock();
        // The display name is somebody else's login, and the public address is not verified.
        server.user =
            json!({"id": id, "login": login, "name": "root", "email": "ceo@things.example"});
        server.emails = json!([
            {"email": "old@example.com", "primary": false, "verified": true},
            {"email": format!("{login}@example.com"), "primary": true, "verified": true},
        ]);
    }

    /// What the token of a request may do, if it is one.
    fn scope(&self, headers: &HeaderMap) -> Result<String, StatusCode> {
        let server = self.lock();
        if let Some(status) = server.api_status {
            return Err(status);
        }
        // Without it, the real one says 403.
        headers.get(header::USER_AGENT).ok_or(StatusCode::FORBIDDEN)?;
        let token = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        let token = token.and_then(|it| it.strip_prefix("Bearer ")).unwrap_or_default();
        server.tokens.get(token).cloned().ok_or(StatusCode::UNAUTHORIZED)
    }
}

async fn authorize(
    State(github): State<GithubServer>,
    Query(parameters): Query<Parameters>,
) -> Redirect {
    assert_eq!(parameters["client_id"], CLIENT);
    assert_eq!(parameters["response_type"], "code");
    assert_eq!(parameters["code_challenge_method"], "S256");
    let mut server = github.lock();
    let code = format!("code-{}", server.codes.len());
    server.codes.insert(
        code.clone(),
        Code {
            challenge: parameters["code_challenge"].clone(),
            redirect: parameters["redirect_uri"].clone(),
            scope: parameters["scope"].clone(),
        },
    );
    Redirect::to(&format!(
        "{}?code={code}&state={}",
        parameters["redirect_uri"], parameters["state"]
    ))
}

async fn access_token(
    State(github): State<GithubServer>,
    headers: HeaderMap,
    Form(form): Form<Parameters>,
) -> Json<Value> {
    assert_eq!(headers[header::ACCEPT], "application/json");
    let mut server = github.lock();
    if form["client_id"] != CLIENT || form["client_secret"] != SECRET {
        return Json(json!({"error": "incorrect_client_credentials", "error_description": "..."}));
    }
    let Some(code) = server.codes.get(&form["code"]).cloned() else {
        return Json(json!({"error": "bad_verification_code"}));
    };
    let first = server.used.insert(form["code"].clone());
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, form["code_verifier"].as_bytes()));
    let valid = code.redirect == form["redirect_uri"] && code.challenge == challenge;
    if !valid || !(first || server.accepts_codes_twice) {
        return Json(json!({"error": "bad_verification_code"}));
    }
    let token = format!("gho_{}", server.tokens.len());
    server.tokens.insert(token.clone(), code.scope.clone());
    Json(
        json!({"access_token": token, "scope": code.scope.replace(' ', ","), "token_type": "bearer"}),
    )
}

async fn user(State(github): State<GithubServer>, headers: HeaderMap) -> Response {
    match github.scope(&headers) {
        Ok(_) => Json(github.lock().user.clone()).into_response(),
        Err(status) => status.into_response(),
    }
}

async fn emails(State(github): State<GithubServer>, headers: HeaderMap) -> Response {
    match github.scope(&headers) {
        Ok(scope) if scope.contains("user:email") => {
            Json(github.lock().emails.clone()).into_response()
        }
        Ok(_) => StatusCode::NOT_FOUND.into_response(),
        Err(status) => status.into_response(),
    }
}

async fn organization(
    State(github): State<GithubServer>,
    Path(organization): Path<String>,
    headers: HeaderMap,
) -> Response {
    membership(&github, &headers, &organization)
}

async fn team(
    State(github): State<GithubServer>,
    Path((organization, team, login)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let own = github.lock().user["login"] == login;
    let name = if own { format!("{organization}/{team}") } else { String::new() };
    membership(&github, &headers, &name)
}

fn membership(github: &GithubServer, headers: &HeaderMap, name: &str) -> Response {
    match github.scope(headers) {
        Ok(scope) if scope.contains("read:org") => match github.lock().memberships.get(name) {
            Some(state) => Json(json!({"state": state, "role": "member"})).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Ok(_) => StatusCode::FORBIDDEN.into_response(),
        Err(status) => status.into_response(),
    }
}
