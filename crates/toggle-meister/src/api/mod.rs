//! The HTTP API: that of the original, with additions.
//!
//! | path | handlers |
//! |---|---|
//! | `/api/envs/{env}/toggles` | [`evaluate`] |
//! | `/api/toggles` | [`toggles`] |
//! | `/api/features` | [`features`] |
//! | `/api/envs` | [`environments`] |
//! | `/api/release_notes`, `/api/envs/{env}/release_notes` | [`notes`] |
//! | `/api/employees` | [`employees`] |
//! | `/api/auditlog` | [`audit`] |
//! | `/api/metrics/{feature}` | [`metrics`] |
//! | `/api/envs/{env}/events` | [`events`] |
//! | `/api/token` | [`tokens`] |
//! | `/api/openapi.json`, `/api` | [`openapi`] |
//! | `/heartbeat`, `/health`, `/metrics` | [`health`] |
//!
//! Errors of the original have its form ([`said`]); others are problem details.

mod audit;
mod body;
mod employees;
mod environments;
mod evaluate;
mod events;
mod features;
mod health;
mod metrics;
mod notes;
pub mod openapi;
mod public;
mod said;
mod toggles;
mod tokens;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware::map_response,
    routing::{get, patch},
};
use service::problem::Problem;

use crate::store::Store;

/// The longest body of a request, in bytes.
pub const MAX_BODY: usize = 1 << 20;

/// All endpoints.
pub fn router(store: Store) -> Router {
    let public = Router::new()
        .route("/api/envs/{env}/toggles", get(evaluate::evaluate).options(public::preflight))
        .route("/api/envs/{env}/release_notes", get(notes::published).options(public::preflight))
        .route("/api/envs/{env}/events", get(events::open).options(public::preflight))
        .route("/heartbeat", get(health::heartbeat).options(public::preflight))
        .method_not_allowed_fallback(not_allowed)
        // One layer, since each costs as much as the evaluation of a feature.
        .layer(map_response(async |it| public::allowed(said::said(it))));
    let rest = Router::new()
        .route("/api/toggles", get(toggles::matrix).patch(toggles::switch))
        .route(
            "/api/features",
            get(features::list).post(features::create).options(public::preflight),
        )
        .route("/api/features/{name}", axum::routing::delete(features::delete))
        .route("/api/envs", get(environments::list).post(environments::create))
        .route("/api/envs/{name}", axum::routing::delete(environments::delete))
        .route("/api/release_notes", get(notes::list).post(notes::create))
        .route("/api/release_notes/{id}", patch(notes::edit).delete(notes::delete))
        .route("/api/employees", get(employees::list))
        .route("/api/employees/{username}", patch(employees::edit))
        .route("/api/auditlog", get(audit::list))
        .route("/api/metrics/{feature}", get(metrics::of_feature))
        .route("/api/token", get(tokens::list).post(tokens::create))
        .route("/api/token/{id}", axum::routing::delete(tokens::revoke))
        .route("/api/openapi.json", get(openapi::read))
        .route("/api", get(openapi::page))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "path_not_found", "there is nothing at this path")
        })
        .method_not_allowed_fallback(not_allowed)
        .layer(map_response(async |it| said::said(it)))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    public.merge(rest).with_state(store)
}

async fn not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not have this method: see the header Allow",
    )
}
