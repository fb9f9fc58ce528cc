//! The HTTP endpoints: callbacks and health for everybody, metrics and details for operators.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt as _;

use super::{coordinator::Command, counters::Counters, metrics, status::Status};
use crate::optoggles::{
    callbacks::{self, Tokens},
    secret::Secret,
    source::OpalSource,
};

/// The longest body of a callback that is read, in bytes. It is read to be thrown away.
pub(super) const MAX_CALLBACK: usize = 64 << 20;

/// What the endpoints need to know.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) tokens: Tokens,
    pub(super) confirm_token: Option<Secret>,
    /// The sources that OPAL clients call back, by their ids.
    pub(super) sources: Arc<RwLock<HashMap<String, Arc<OpalSource>>>>,
}

impl Shared {
    async fn inspect(&self) -> Option<(Status, Counters)> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Inspect(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// The endpoints of the original.
pub(super) fn public(shared: Shared) -> Router {
    Router::new()
        .route("/opa_update", post(opa_update))
        .route("/health", get(health))
        .route("/health/live", get(|| async { StatusCode::OK }))
        .route("/health/started", get(started))
        .with_state(shared)
}

/// The endpoints for operators.
pub(super) fn management(shared: Shared) -> Router {
    Router::new()
        .route("/metrics", get(exposition))
        .route("/details", get(details))
        .route("/confirm/{key}", post(confirm))
        .with_state(shared)
}

/// The token of the header `Authorization`, if it is a bearer token.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A callback of an OPAL client: policy or data may have changed.
///
/// What the body says does not matter, and may hold secrets.
async fn opa_update(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let Some(id) = bearer(&headers).and_then(|token| shared.tokens.source(token)) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let source = {
        let sources = shared.sources.read().unwrap_or_else(PoisonError::into_inner);
        sources.get(&id).cloned()
    };
    let Some(source) = source else { return StatusCode::BAD_REQUEST.into_response() };
    source.pulse();
    // Read to the end, else the OPAL client may miss the response and call again.
    let mut body = body.into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
    Json(json!({})).into_response()
}

async fn health(State(shared): State<Shared>) -> StatusCode {
    match shared.inspect().await {
        Some((status, _)) if !status.started => StatusCode::SERVICE_UNAVAILABLE,
        Some((status, _)) if status.healthy => StatusCode::OK,
        Some(_) => StatusCode::INTERNAL_SERVER_ERROR,
        None => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn started(State(shared): State<Shared>) -> StatusCode {
    match shared.inspect().await {
        Some((status, _)) if status.started => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn details(State(shared): State<Shared>) -> Response {
    match shared.inspect().await {
        Some((status, _)) => Json(status).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn exposition(State(shared): State<Shared>) -> Response {
    let Some((status, counters)) = shared.inspect().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, metrics::expose(&status, &counters)).into_response()
}

/// Lets the changes of a toggle that are held back be made.
async fn confirm(
    State(shared): State<Shared>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    let said =
        |status: StatusCode, error: &str| (status, Json(json!({"error": error}))).into_response();
    let token = shared.confirm_token.as_ref().map(Secret::read);
    let Some(token) = token else {
        return said(
            StatusCode::FORBIDDEN,
            "confirmations need `confirmToken` in the configuration",
        );
    };
    let Ok(token) = token else {
        return said(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the token for confirmations cannot be read",
        );
    };
    if !bearer(&headers).is_some_and(|given| callbacks::is(&token, given)) {
        return said(StatusCode::UNAUTHORIZED, "the token is not that for confirmations");
    }
    let (reply, answer) = oneshot::channel();
    // The command must be dropped if it cannot be sent: it holds `reply`, without whose end `answer`
    // never resolves.
    if shared.commands.send(Command::Confirm(key, reply)).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match answer.await {
        Ok(Some(0)) => said(StatusCode::CONFLICT, "no change of this toggle is held back"),
        Ok(Some(changes)) => Json(json!({"confirmed": changes})).into_response(),
        Ok(None) => said(StatusCode::NOT_FOUND, "there is no toggle of this key"),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
