//! The HTTP API.
//!
//! | path | handlers |
//! |---|---|
//! | `/api/identity` | [`identities`] |
//! | `/api/fact` | [`facts`] |
//! | `/api/secret` | [`secrets`] |
//! | `/api/changes` | [`changes`] |
//! | `/api/user` | [`people`] |
//! | `/api/token`, `/api/audit` | [`admin`] |
//! | `/api/openapi.json`, `/api` | [`openapi`] |
//! | `/health`, `/metrics` | [`health`] |
//!
//! `/fact` and `/secret` are served without `/api` too, since the provider of the original
//! calls them so.

mod admin;
mod changes;
mod facts;
mod health;
mod identities;
pub mod openapi;
mod people;
pub(crate) mod request;
mod secrets;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{delete, get, put},
};
use service::problem::Problem;

use self::request::unconditional;
use crate::store::Store;

/// The longest body of a request, in bytes.
pub const MAX_BODY: usize = 4 << 20;

/// All endpoints.
pub fn router(store: Store) -> Router {
    let data = Router::new()
        .route("/fact/{identity}", get(facts::read).patch(facts::merge))
        .route(
            "/fact/{identity}/{key}",
            get(facts::read_one).put(facts::write).delete(facts::delete),
        )
        .route("/fact/{identity}/{key}/history", get(facts::history))
        .route("/secret/{identity}", get(secrets::read))
        .route(
            "/secret/{identity}/{key}",
            get(secrets::read_one).put(secrets::write).delete(secrets::delete),
        );
    let lists = Router::new()
        .route("/fact", get(facts::list).patch(facts::merge_many))
        .route_layer(middleware::from_fn(unconditional));
    let data = data.merge(lists);
    let api = Router::new()
        .route("/identity", get(identities::list))
        .route("/identity/{identity}", delete(identities::erase))
        .route("/changes", get(changes::open).post(changes::open_with))
        .route("/changes/{stream}", put(changes::replace).patch(changes::alter))
        .route("/user", get(people::list))
        .route("/user/{id}", get(people::read))
        .route("/user/{id}/permission", put(people::grant).delete(people::revoke))
        .route("/permission", get(admin::permissions))
        .route("/token", get(admin::tokens).post(admin::create_token))
        .route("/token/{id}", delete(admin::revoke_token))
        .route("/audit", get(admin::audit))
        .route_layer(middleware::from_fn(unconditional))
        .merge(data.clone());
    Router::new()
        .nest("/api", api)
        .route("/api", get(openapi::page))
        .route("/api/openapi.json", get(openapi::read))
        .merge(data)
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(nothing)
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not have this method: see the header Allow",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(store)
}

/// Whatever has no path of its own. A slash at the end of a path leads to the path without it, as in
/// the original.
pub(crate) async fn nothing(method: Method, uri: Uri) -> Response {
    let path = uri.path().trim_end_matches('/');
    // A second slash, which browsers take a backslash for, would begin the name of another host.
    let is_here = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
    if method == Method::GET && is_here && path != uri.path() {
        let query = uri.query().map(|it| format!("?{it}")).unwrap_or_default();
        let location = [(header::LOCATION, format!("{path}{query}"))];
        return (StatusCode::MOVED_PERMANENTLY, location).into_response();
    }
    Problem::new(StatusCode::NOT_FOUND, "path_not_found", "there is nothing at this path")
        .into_response()
}
