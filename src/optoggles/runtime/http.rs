//! The HTTP endpoints: callbacks and health at `bind`, metrics, details and confirmations
//! at `managementBind`.
//!
//! | endpoint | response |
//! |---|---|
//! | `POST /opa_update` | 200 `{}`; 401 without a valid token, 400 for a source that does not exist |
//! | `GET /health` | 200; 500 while anything fails; 503 until everything was tried once |
//! | `GET /health/live` | 200 |
//! | `GET /health/started` | 200; 503 until everything was tried once |
//! | `GET /metrics` | the metrics in Prometheus' text format |
//! | `GET /details` | the [`Status`] in JSON |
//! | `POST /confirm/{key}` | 200 `{"confirmed": 2}`; 401, 403, 404, 409 or 500 with `{"error": ...}` |
//!
//! There are two listeners because the first must be reachable for OPAL clients and
//! probes, while details name every toggle. The routers are made over [`Shared`] and know
//! nothing of sockets. Where the engine has ended, all that need it respond with 503.

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
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::StreamExt as _;

use super::{coordinator::Command, counters::Counters, metrics, status::Status};
use crate::{
    http::Secret,
    optoggles::{
        callbacks::{self, Tokens},
        source::OpalSource,
    },
};

/// The longest body of a callback that is read, in bytes. The content is discarded, so the
/// limit bounds time and not memory.
pub(super) const MAX_CALLBACK: usize = 64 << 20;

/// How everything is doing, and what was counted.
pub(super) type Snapshot = (Status, Counters);

/// The state of the endpoints.
#[derive(Clone)]
pub(super) struct Shared {
    /// The way to the coordinator.
    pub(super) commands: mpsc::Sender<Command>,
    /// What the last coordinator knew, while it is being replaced.
    pub(super) last: watch::Receiver<Option<Snapshot>>,
    /// Verifies the tokens of callbacks.
    pub(super) tokens: Tokens,
    /// The token for confirmations. `None`: confirmations are rejected.
    pub(super) confirm_token: Option<Secret>,
    /// The sources that OPAL clients call back, by id. Replaced when the configuration is
    /// read again.
    pub(super) sources: Arc<RwLock<HashMap<String, Arc<OpalSource>>>>,
}

impl Shared {
    /// Asks the coordinator for its status. While the configuration is being read again, and
    /// nobody can answer, it is the last one. `None` if the engine has ended.
    pub(super) async fn inspect(&self) -> Option<Snapshot> {
        let mut last = self.last.clone();
        let last = async { last.wait_for(Option::is_some).await.ok()?.clone() };
        let (reply, answer) = oneshot::channel();
        let present = async {
            self.commands.send(Command::Inspect(reply)).await.ok()?;
            answer.await.ok()
        };
        tokio::select! {
            biased;
            Some(last) = last, if !self.commands.is_closed() => Some(last),
            present = present => present,
        }
    }
}

/// The endpoints at `bind`, which are those of the original program.
pub(super) fn public(shared: Shared) -> Router {
    Router::new()
        .route("/opa_update", post(opa_update))
        .route("/health", get(health))
        .route("/health/live", get(|| async { StatusCode::OK }))
        .route("/health/started", get(started))
        .with_state(shared)
}

/// The endpoints at `managementBind`, for operators.
pub(super) fn management(shared: Shared) -> Router {
    let confirm = post(confirm).with_state(shared.clone());
    observation(shared).route("/confirm/{key}", confirm)
}

/// The endpoints that change nothing, for an engine that was built from parts.
pub(super) fn observation(shared: Shared) -> Router {
    Router::new()
        .route("/metrics", get(exposition))
        .route("/details", get(details))
        .with_state(shared)
}

/// The bearer token of the header `Authorization`, if there is one
/// ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// `POST /opa_update`: a callback of an OPAL client.
///
/// The token says which source is meant. The body is not looked at: it may be large and
/// contain secrets, and all that matters is that something has changed.
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
    // An OPAL client whose body is not read to its end may see a broken connection instead of
    // the response, and would then call up to five times.
    let mut body = body.into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
    Json(json!({})).into_response()
}

/// `GET /health`.
async fn health(State(shared): State<Shared>) -> StatusCode {
    match shared.inspect().await {
        Some((status, _)) if !status.started => StatusCode::SERVICE_UNAVAILABLE,
        Some((status, _)) if status.healthy => StatusCode::OK,
        Some(_) => StatusCode::INTERNAL_SERVER_ERROR,
        None => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// `GET /health/started`.
async fn started(State(shared): State<Shared>) -> StatusCode {
    match shared.inspect().await {
        Some((status, _)) if status.started => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// `GET /details`.
async fn details(State(shared): State<Shared>) -> Response {
    match shared.inspect().await {
        Some((status, _)) => Json(status).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// `GET /metrics`.
async fn exposition(State(shared): State<Shared>) -> Response {
    let Some((status, counters)) = shared.inspect().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, metrics::expose(&status, &counters)).into_response()
}

/// `POST /confirm/{key}`: releases the changes of a toggle that are held back.
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
            "cannot read the token for confirmations: see `confirmTokenFile`",
        );
    };
    if !bearer(&headers).is_some_and(|given| callbacks::is(&token, given)) {
        return said(StatusCode::UNAUTHORIZED, "the token was rejected: it is not `confirmToken`");
    }
    let (reply, answer) = oneshot::channel();
    // If the command cannot be sent it must be dropped before `answer` is awaited: it holds the
    // other end, and `answer` would wait for ever.
    if shared.commands.send(Command::Confirm(key, reply)).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match answer.await {
        Ok(Some(0)) => said(StatusCode::CONFLICT, "no change of this toggle is held back"),
        Ok(Some(changes)) => Json(json!({"confirmed": changes})).into_response(),
        Ok(None) => said(StatusCode::NOT_FOUND, "there is no toggle with this key"),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_confirmation_does_not_wait_for_an_engine_that_has_ended() {
        let (commands, receiver) = mpsc::channel(1);
        drop(receiver);
        let tokens = Tokens::random().unwrap();
        let confirm_token = Some(Secret::from("hush"));
        let (_, last) = watch::channel(None);
        let shared = Shared { commands, last, tokens, confirm_token, sources: Arc::default() };
        let headers =
            HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer hush".parse().unwrap())]);
        let response = confirm(State(shared), Path("a".to_owned()), headers);
        let response = tokio::time::timeout(Duration::from_secs(10), response).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
