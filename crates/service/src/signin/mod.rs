//! How people sign in: with GitHub, or with an issuer of OpenID Connect such as Google.
//!
//! [`SignIn::router`] has these routes, for any service:
//!
//! | route | does |
//! |---|---|
//! | `GET /login` | offers the providers |
//! | `GET /auth/login` | sends the browser to a provider (`provider`, if there are two), and later to a page of the service (`next`) |
//! | `GET /auth/github/callback`, `GET /auth/oidc/callback` or [another](OidcOptions::callback) | ends what the provider has confirmed with a session |
//! | `POST /auth/logout` | ends the session |
//!
//! ```text
//! /auth/login -- state, nonce, verifier in a signed cookie --> provider
//!                                                                 |
//! session <-- completed once <-- profile, allowed? <-- code <-- callback, same browser and state
//! ```
//!
//! A client address can begin and complete only so many sign-ins in a minute
//! ([`SignInOptions::steps_per_minute`]).
//!
//! Who may sign in is always limited. What somebody may do then is not a matter of the sign-in:
//! see [`access`](crate::access).

mod attempt;
mod failure;
mod github;
mod oidc;
mod options;
mod page;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State, rejection::QueryRejection},
    http::{
        HeaderMap, HeaderName, HeaderValue, Request, Response as HttpResponse, StatusCode, header,
    },
    middleware::{Next, from_fn_with_state, map_response},
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use flagstaff::http::{Client, ClientError};
use openidconnect::{RedirectUrl, url::form_urlencoded};
use serde::{Deserialize, Serialize};

pub use self::options::{Claim, GithubOptions, OidcOptions, SignInError, SignInOptions};
use self::{
    attempt::{Attempt, LASTS, local},
    failure::Failure,
    github::Github,
    oidc::Oidc,
    options::OIDC_CALLBACK,
    page::{Link, Login, page},
};
use crate::{
    access::{Access, NewSession, Profile, SessionOptions, Sessions, cross_site},
    limit::Limit,
    page::Frame,
    problem::Problem,
};

/// The limits on what a provider can cost.
const MAX_BODY: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// With whom people sign in.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Provider {
    Github,
    Oidc,
}

impl Provider {
    /// As in [`PROVIDERS`](crate::access::PROVIDERS).
    fn id(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Oidc => "oidc",
        }
    }
}

/// How people sign in, as a program reads it from its options.
#[derive(Clone, Debug)]
pub struct SignInSettings {
    /// How they keep their sessions.
    pub sessions: SessionOptions,
    /// With whom they sign in.
    pub options: SignInOptions,
}

impl SignInSettings {
    /// Checks what a start would reject.
    ///
    /// # Errors
    ///
    /// An option is invalid, or everybody could sign in.
    pub fn check(&self) -> Result<(), crate::program::Failure> {
        providers(&Sessions::new(self.sessions.clone())?, &self.options)?;
        Ok(())
    }
}

/// The sign-in of a service. Cloning is cheap.
#[derive(Clone)]
pub struct SignIn(Arc<Shared>);

struct Shared {
    access: Access,
    sessions: Sessions,
    frame: Frame,
    limit: Limit,
    github: Option<Github>,
    oidc: Option<Oidc>,
    /// The path of the redirect URI of the issuer.
    callback: String,
}

/// Those with whom people sign in.
fn providers(
    sessions: &Sessions,
    options: &SignInOptions,
) -> Result<(Option<Github>, Option<Oidc>), SignInError> {
    let client = options.client.clone().max_redirects(0).max_body(MAX_BODY);
    let http = client.timeout(TIMEOUT).build()?;
    let redirect = |path: &str| {
        let url = format!("{}{path}", sessions.origin());
        RedirectUrl::new(url.clone()).map_err(|_| SignInError::Option {
            option: "option public-url",
            value: url,
            reason: "expected a URL",
        })
    };
    let github = options
        .github
        .as_ref()
        .map(|options| Github::new(options, redirect("/auth/github/callback")?, http.clone()));
    let oidc = options
        .oidc
        .as_ref()
        .map(|options| Oidc::new(options, redirect(&options.callback)?, http.clone()));
    Ok((github.transpose()?, oidc.transpose()?))
}

impl SignIn {
    /// Checks the options. No provider is contacted before somebody signs in.
    ///
    /// # Errors
    ///
    /// `access` has no sessions, an option is invalid, or everybody could sign in.
    pub fn new(access: Access, options: SignInOptions) -> Result<Self, SignInError> {
        let sessions = access.sessions().ok_or(SignInError::NoSessions)?.clone();
        let (github, oidc) = providers(&sessions, &options)?;
        let callback = options.oidc.map_or(OIDC_CALLBACK.to_owned(), |it| it.callback);
        let frame = Frame::outside(options.service);
        let limit = Limit::per_minute(options.steps_per_minute);
        Ok(Self(Arc::new(Shared { access, sessions, frame, limit, github, oidc, callback })))
    }

    /// Its routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/auth/login", get(begin))
            .route("/auth/github/callback", get(complete_github))
            .route(&self.0.callback, get(complete_oidc))
            .route_layer(from_fn_with_state(self.clone(), limit))
            .route("/login", get(show_login))
            .route("/auth/logout", post(sign_out))
            .layer(map_response(private))
            .with_state(self.clone())
    }

    /// The providers with their names.
    fn providers(&self) -> impl Iterator<Item = (Provider, &str)> {
        let github = self.0.github.as_ref().map(|_| (Provider::Github, github::NAME));
        let oidc = self.0.oidc.as_ref().map(|it| (Provider::Oidc, it.name()));
        github.into_iter().chain(oidc)
    }

    fn name(&self, provider: Provider) -> String {
        let name = self.providers().find(|it| it.0 == provider).map(|it| it.1);
        name.unwrap_or(provider.id()).to_owned()
    }

    async fn begin(&self, wanted: &Begin) -> Result<Response, Failure> {
        let provider = self
            .providers()
            .map(|it| it.0)
            .find(|it| wanted.provider.as_deref().is_none_or(|wanted| wanted == it.id()))
            .ok_or_else(|| {
                Problem::invalid("this service has no such provider: choose one of those offered")
            })?;
        let attempt = Attempt::begin(provider, wanted.next.as_deref()).ok_or_else(no_cookie)?;
        let url = match (provider, &self.0.github, &self.0.oidc) {
            (Provider::Github, Some(github), _) => github.authorize(&attempt),
            (Provider::Oidc, _, Some(oidc)) => oidc.authorize(&attempt).await?,
            _ => return Err(Failure::Stale),
        };
        let cookie = attempt.cookie(&self.0.sessions).ok_or_else(no_cookie)?;
        Ok(([(header::SET_COOKIE, cookie)], Redirect::to(url.as_str())).into_response())
    }

    async fn complete(
        &self,
        provider: Provider,
        headers: &HeaderMap,
        callback: Result<Query<Callback>, QueryRejection>,
    ) -> Response {
        let Ok(Query(callback)) = callback else { return Failure::Stale.page(&self.0.frame) };
        let sessions = &self.0.sessions;
        let state = callback.state.as_deref().unwrap_or_default();
        let Some(attempt) = Attempt::read(sessions, headers, provider, state) else {
            return Failure::Stale.page(&self.0.frame);
        };
        let mut response = match self.session(headers, &attempt, callback).await {
            Ok(cookie) => {
                ([(header::SET_COOKIE, cookie)], Redirect::to(&attempt.next)).into_response()
            }
            Err(failure) => failure.page(&self.0.frame),
        };
        if let Some(cookie) = Attempt::no_cookie(sessions) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    /// Begins a session for who has signed in, and returns its cookie.
    async fn session(
        &self,
        headers: &HeaderMap,
        attempt: &Attempt,
        callback: Callback,
    ) -> Result<HeaderValue, Failure> {
        let provider = self.name(attempt.provider);
        match (callback.error.as_deref(), callback.code) {
            (Some("access_denied"), _) => Err(Failure::Cancelled(provider)),
            (Some(code), _) => {
                Err(Failure::Unconfirmed(provider, format!("the error code is {code:.100}")))
            }
            (None, None) => Err(Failure::Stale),
            (None, Some(code)) => {
                let profile = self.profile(attempt, code, callback.iss.as_deref()).await?;
                let new = NewSession {
                    profile,
                    attempt: attempt.hash(),
                    attempt_lasts: LASTS,
                    replaces: self.0.sessions.session(headers),
                };
                let key = self.0.access.sign_in(new).await?;
                Ok(self.0.sessions.session_cookie(&key).ok_or_else(no_cookie)?)
            }
        }
    }

    async fn profile(
        &self,
        attempt: &Attempt,
        code: String,
        issuer: Option<&str>,
    ) -> Result<Profile, Failure> {
        match (attempt.provider, &self.0.github, &self.0.oidc) {
            (Provider::Github, Some(github), _) => github.profile(attempt, code).await,
            (Provider::Oidc, _, Some(oidc)) => oidc.profile(attempt, code, issuer).await,
            // The configuration has changed since the cookie was set.
            _ => Err(Failure::Stale),
        }
    }
}

/// The path that lets somebody sign in and then shows them a page, for a handler whose caller is
/// not signed in.
#[must_use]
pub fn login_path(next: &str) -> String {
    format!("/login?{}", query(&[("next", local(Some(next)))]))
}

/// The parameters of `/login` and `/auth/login`.
#[derive(Deserialize)]
struct Begin {
    provider: Option<String>,
    next: Option<String>,
}

/// What a provider sends back.
#[derive(Deserialize)]
struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

async fn show_login(State(sign_in): State<SignIn>, Query(wanted): Query<Begin>) -> Response {
    let next = local(wanted.next.as_deref());
    let links = sign_in.providers().map(|(provider, name)| {
        let query = query(&[("provider", provider.id()), ("next", next)]);
        Link { name, href: format!("/auth/login?{query}") }
    });
    page(StatusCode::OK, &Login { frame: &sign_in.0.frame, links: links.collect() })
}

async fn begin(State(sign_in): State<SignIn>, Query(wanted): Query<Begin>) -> Response {
    let begun = sign_in.begin(&wanted).await;
    begun.unwrap_or_else(|failure| failure.page(&sign_in.0.frame))
}

async fn complete_github(
    State(sign_in): State<SignIn>,
    headers: HeaderMap,
    callback: Result<Query<Callback>, QueryRejection>,
) -> Response {
    sign_in.complete(Provider::Github, &headers, callback).await
}

async fn complete_oidc(
    State(sign_in): State<SignIn>,
    headers: HeaderMap,
    callback: Result<Query<Callback>, QueryRejection>,
) -> Response {
    sign_in.complete(Provider::Oidc, &headers, callback).await
}

async fn sign_out(
    State(sign_in): State<SignIn>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let sessions = &sign_in.0.sessions;
    cross_site::reject(&parts, sessions.own_origin(), true)?;
    sign_in.0.access.sign_out(&parts.headers).await?;
    let cookie = sessions.no_session_cookie().ok_or_else(no_cookie)?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}

/// Rejects the next step of a client that has taken too many: with a page for a browser, with
/// problem details for everybody else.
async fn limit(
    State(sign_in): State<SignIn>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let Err(problem) = sign_in.0.limit.check(request.extensions()) else {
        return next.run(request).await;
    };
    let accept = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok());
    if accept.is_some_and(|it| it.contains("text/html")) {
        return Failure::Problem(problem).page(&sign_in.0.frame);
    }
    problem.into_response()
}

/// Keeps responses out of caches, and codes out of the header `referer`.
async fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn no_cookie() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "cannot make a cookie")
}

/// Sends a request of the libraries to a provider.
async fn send(
    client: Client,
    request: Request<Vec<u8>>,
) -> Result<HttpResponse<Vec<u8>>, SendError> {
    options::address("the address of a provider", &request.uri().to_string())
        .map_err(|error| SendError::Insecure(error.to_string()))?;
    let (mut parts, body) = request.into_parts();
    // GitHub's API demands one.
    parts.headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static("flagstaff"));
    if let Some(value) = parts.headers.get_mut(header::AUTHORIZATION) {
        value.set_sensitive(true);
    }
    let response = client.send(Request::from_parts(parts, body)).await?;
    let (parts, body) = response.into_parts();
    Ok(HttpResponse::from_parts(parts, body.bytes().await?.into()))
}

/// Why a provider has no response.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("{0}")]
    Insecure(String),
    #[error(transparent)]
    Client(#[from] ClientError),
}
