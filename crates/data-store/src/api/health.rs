//! Whether the process lives and can serve, and what it has done.

use axum::{
    extract::State,
    http::{HeaderName, StatusCode, header},
};
use service::{access::Principal, metrics, problem::Problem};

use crate::store::Store;

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> StatusCode {
    StatusCode::OK
}

/// `GET /health/ready`: the database answers.
pub(super) async fn ready(State(store): State<Store>) -> Result<StatusCode, Problem> {
    store.storage().read(|sql| sql.last(crate::fact::CHANGES)).await?;
    Ok(StatusCode::OK)
}

/// `GET /metrics`: metrics, for everybody with a token.
pub(super) async fn metrics(
    State(store): State<Store>,
    _: Principal,
) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], store.metrics().text().unwrap_or_default())
}
