//! The pages for people, under `/ui`.
//!
//! | path | handlers |
//! |---|---|
//! | `/ui` | [`identities`] |
//! | `/ui/identity/{identity}` | [`identity`], [`facts`], [`secrets`] |
//! | `/ui/users` | [`users`] |
//! | `/ui/tokens` | [`tokens`] |
//! | `/ui/audit` | [`audit`] |
//! | `/ui/streams` | [`streams`] |
//!
//! The handlers demand the same permissions as those of the API and call the same functions.

mod audit;
mod facts;
mod identities;
mod identity;
mod secrets;
mod streams;
mod tokens;
mod users;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    middleware::from_fn_with_state,
    response::Redirect,
    routing::{any, get, post},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use service::page::{self, Site};

use crate::{api, secret::MAX_SECRET, store::Store};

/// The name of the service on its pages.
pub const NAME: &str = "FlagOps store";

/// The longest form, in bytes: each byte of a value is sent as three.
const MAX_FORM: usize = 4 * MAX_SECRET;

/// The main pages. The first permission of those that know a page lets somebody see it.
static SITE: Site = Site {
    name: NAME,
    home: "/ui",
    pages: &[
        ("Identities", "/ui", &["facts-read", "secrets-read"]),
        ("Users", "/ui/users", &["users-read"]),
        ("Tokens", "/ui/tokens", &["users-read"]),
        ("Audit", "/ui/audit", &["admin"]),
        ("Streams", "/ui/streams", &["admin"]),
    ],
};

impl FromRef<Store> for &'static Site {
    fn from_ref(_: &Store) -> Self {
        &SITE
    }
}

/// All pages.
pub fn router(store: Store) -> Router {
    let one = "/ui/identity/{identity}";
    let fact = "/ui/identity/{identity}/fact/{key}";
    let secret = "/ui/identity/{identity}/secret/{key}";
    let pages = Router::new()
        .route("/ui", get(identities::list).post(identities::create))
        .route(one, get(identity::show))
        .route(&format!("{one}/erase"), post(identity::erase))
        .route(&format!("{one}/fact"), post(facts::add))
        .route(fact, get(facts::history).post(facts::edit))
        .route(&format!("{fact}/delete"), post(facts::delete))
        .route(&format!("{one}/secret"), post(secrets::add))
        .route(secret, post(secrets::replace))
        .route(&format!("{secret}/reveal"), post(secrets::reveal))
        .route(&format!("{secret}/delete"), post(secrets::delete))
        .route("/ui/tokens", get(tokens::list).post(tokens::create))
        .route("/ui/tokens/{id}/revoke", post(tokens::revoke))
        .route("/ui/users", get(users::list))
        .route("/ui/users/withdraw", post(users::withdraw))
        .route("/ui/users/{id}", post(users::change))
        .route("/ui/users/{id}/sign-out", post(users::sign_out))
        .route("/ui/users/{id}/remove", post(users::remove))
        .route("/ui/audit", get(audit::list))
        .route("/ui/streams", get(streams::list))
        .route("/ui/{*path}", any(api::nothing))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(from_fn_with_state((store.access().clone(), &SITE), page::finish));
    Router::new()
        .route("/", get(|| async { Redirect::to("/ui") }))
        .merge(pages)
        .merge(page::assets())
        .with_state(store)
}

/// The path of an identity's page.
fn path(identity: &str) -> String {
    format!("/ui/identity/{}", utf8_percent_encode(identity, NON_ALPHANUMERIC))
}

/// What somebody wrote into a field of several lines: browsers end lines with `\r\n`.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// A time in RFC 3339, for people.
fn short(time: &str) -> String {
    let second = time.split(['.', 'Z']).next().unwrap_or(time);
    format!("{} UTC", second.replace('T', " "))
}
