//! Whether the process lives and can serve, and what it has done.

use axum::{
    extract::State,
    http::{HeaderName, StatusCode, header},
};
use service::{metrics::CONTENT_TYPE, storage::StorageError};

use crate::{caller::Caller, model::change::CHANGES, store::Store};

/// `GET /heartbeat`: as in the original, in text.
pub(super) async fn heartbeat(State(store): State<Store>) -> (StatusCode, &'static str) {
    let answered: Result<_, StorageError> = store.storage.read(|sql| sql.last(CHANGES)).await;
    match answered {
        Ok(_) => (StatusCode::OK, "All is well"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "cant access db"),
    }
}

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> StatusCode {
    StatusCode::OK
}

/// `GET /health/ready`: the flags are loaded, which they are before the first request is served.
/// Without the database, evaluations go on from memory, so a replica stays ready.
pub(super) async fn ready() -> StatusCode {
    StatusCode::OK
}

/// `GET /metrics`: metrics, for everybody with a token or a session.
pub(super) async fn metrics(
    State(store): State<Store>,
    _: Caller,
) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], store.metrics.text().unwrap_or_default())
}
