//! Whether the process lives and can serve.

use axum::{extract::State, http::StatusCode};
use service::{problem::Problem, storage::StorageError};

use crate::store::Store;

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> StatusCode {
    StatusCode::OK
}

/// `GET /health/ready`: the database answers.
pub(super) async fn ready(State(store): State<Store>) -> Result<StatusCode, Problem> {
    let sequence = store.storage().read(|sql| sql.last(crate::fact::CHANGES)).await;
    sequence.map_err(|error: StorageError| Problem::from(error))?;
    Ok(StatusCode::OK)
}
