//! The pages for people, under `/ui`.
//!
//! | path | handlers |
//! |---|---|
//! | `/ui` | [`toggles`] |
//! | `/ui/feature/{name}` | [`feature`], [`switch`], [`delete`] |
//! | `/ui/notes` | [`notes`] |
//! | `/ui/audit` | [`audit`] |
//! | `/ui/employees` | [`employees`] |
//! | `/ui/environments` | [`environments`] |
//! | `/ui/tokens` | [`tokens`] |
//! | `/ui/events` | [`events`] |
//!
//! The handlers demand the same of the [caller](crate::caller) as those of the API, and call the
//! same functions.

mod audit;
mod cell;
mod chart;
mod delete;
mod employees;
mod environments;
mod events;
mod feature;
mod markdown;
mod notes;
mod switch;
mod text;
mod toggles;
mod tokens;
mod visit;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    http::StatusCode,
    middleware::from_fn_with_state,
    response::Redirect,
    routing::{any, get, post},
};
use service::{
    page::{self, Site},
    problem::Problem,
};

use crate::{api::MAX_BODY, store::Store};

/// The longest form, in bytes: each byte of a field is sent as up to three.
const MAX_FORM: usize = 3 * MAX_BODY;

/// The page for tokens, which not everybody may see.
const TOKENS: &str = "/ui/tokens";

/// The main pages.
static SITE: Site = Site {
    name: "Toggle-Meister",
    home: "/ui",
    pages: &[
        ("Toggles", "/ui", &[]),
        ("Release notes", "/ui/notes", &[]),
        ("Audit trail", "/ui/audit", &[]),
        ("Employees", "/ui/employees", &[]),
        ("Environments", "/ui/environments", &[]),
        ("Tokens", TOKENS, &[]),
    ],
};

impl FromRef<Store> for &'static Site {
    fn from_ref(_: &Store) -> Self {
        &SITE
    }
}

/// All pages.
pub fn router(store: Store) -> Router {
    let feature = "/ui/feature/{name}";
    let pages = Router::new()
        .route("/ui", get(toggles::list).post(toggles::create))
        .route(feature, get(feature::show))
        .route(&format!("{feature}/switch"), get(switch::ask).post(switch::switch))
        .route(&format!("{feature}/delete"), get(delete::ask).post(delete::delete))
        .route("/ui/notes", get(notes::list))
        .route("/ui/notes/new", get(notes::new).post(notes::create))
        .route("/ui/notes/{id}", get(notes::edit).post(notes::save))
        .route("/ui/notes/{id}/delete", post(notes::delete))
        .route("/ui/audit", get(audit::list))
        .route("/ui/employees", get(employees::list))
        .route("/ui/employees/{username}", post(employees::save))
        .route("/ui/environments", get(environments::list).post(environments::create))
        .route("/ui/environments/{name}/delete", post(environments::delete))
        .route(TOKENS, get(tokens::list).post(tokens::create))
        .route("/ui/tokens/{id}/revoke", post(tokens::revoke))
        .route("/ui/events", get(events::open))
        .route("/ui/{*path}", any(nothing))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(from_fn_with_state((store.access.clone(), &SITE), page::finish));
    Router::new()
        .route("/", get(|| async { Redirect::to("/ui") }))
        .merge(pages)
        .merge(page::assets())
        .with_state(store)
}

async fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "path_not_found", "there is no such page")
}
