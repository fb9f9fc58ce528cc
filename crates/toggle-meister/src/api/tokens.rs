//! `/api/token`: tokens for automation. A token has a role.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{
    access::NewToken,
    problem::Problem,
    request::{InPath, Json},
    time,
};

use crate::{caller::Caller, role::Action, store::Store};

/// `GET /api/token`: the tokens, without the tokens themselves.
pub(super) async fn list(
    State(store): State<Store>,
    caller: Caller,
) -> Result<axum::Json<Value>, Problem> {
    caller.require(Action::ManageTokens)?;
    let tokens = store.access.tokens().await?;
    let tokens = tokens.into_iter().map(|it| {
        json!({
            "id": it.id,
            "name": it.name,
            "role": it.permissions.join(" "),
            "created": it.created,
            "created_by": it.created_by,
            "expires": it.expires,
            "last_used": it.last_used,
        })
    });
    Ok(axum::Json(json!({"tokens": tokens.collect::<Vec<_>>()})))
}

/// A token that is to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    name: String,
    role: String,
    expires_at: Option<String>,
}

/// `POST /api/token`: makes a token, which the answer shows once.
pub(super) async fn create(
    State(store): State<Store>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    caller.require(Action::ManageTokens)?;
    let wanted: Wanted = serde_json::from_value(body)
        .map_err(|error| Problem::invalid(format!("the token request is invalid: {error}")))?;
    let expires = match wanted.expires_at {
        None => None,
        Some(at) => Some(time::parse(&at).ok_or_else(|| {
            Problem::invalid("expires_at is a time in RFC 3339, such as 2030-01-31T12:00:00Z")
        })?),
    };
    let new =
        NewToken { name: wanted.name, permissions: vec![wanted.role], prefixes: None, expires };
    let (id, token) = store.access.create_token(new, &caller.name).await?;
    let body = json!({"id": id, "token": token.expose_secret()});
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}

/// `DELETE /api/token/{id}`: revokes a token.
pub(super) async fn revoke(
    State(store): State<Store>,
    caller: Caller,
    InPath(id): InPath<i64>,
) -> Result<StatusCode, Problem> {
    caller.require(Action::ManageTokens)?;
    store.access.revoke_token(id, &caller.name, |_| Ok(())).await?;
    Ok(StatusCode::NO_CONTENT)
}
