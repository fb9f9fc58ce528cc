//! Permissions, tokens and the audit trail.

use axum::{Json as Body, extract::State, http::StatusCode, response::IntoResponse};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{
    access::{NewToken, Permission, Principal, Token},
    audit::{self, Filter},
    problem::Problem,
};

use super::request::{Json, Number, Params, limit, moment};
use crate::{store::Store, token};

/// `GET /permission`: what somebody may be allowed to do.
pub(super) async fn permissions(
    State(store): State<Store>,
    principal: Principal,
) -> Result<Body<Value>, Problem> {
    principal.require("users-read")?;
    let permissions = store.access().permissions().iter();
    Ok(Body(permissions.map(described).collect::<Vec<_>>().into()))
}

/// A permission with the member names of the original.
pub(super) fn described(permission: &Permission) -> Value {
    json!({ "ID": permission.id, "DisplayName": permission.name })
}

/// `GET /token`: the tokens, without the tokens themselves.
pub(super) async fn tokens(
    State(store): State<Store>,
    principal: Principal,
) -> Result<Body<Vec<Token>>, Problem> {
    principal.require("users-read")?;
    store.access().tokens().await.map(Body)
}

/// A token that is to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    name: String,
    permissions: Vec<String>,
    prefixes: Option<Vec<String>>,
    expires_at: Option<String>,
}

/// `POST /token`: makes a token, which the response shows once.
pub(super) async fn create_token(
    State(store): State<Store>,
    principal: Principal,
    Json(new): Json<TokenRequest>,
) -> Result<impl IntoResponse, Problem> {
    let expires = new.expires_at.map(|at| moment("expires_at", &at)).transpose()?;
    let new =
        NewToken { name: new.name, permissions: new.permissions, prefixes: new.prefixes, expires };
    let (id, token) = token::create(store.access(), &principal, new).await?;
    Ok((StatusCode::CREATED, Body(json!({ "id": id, "token": token.expose_secret() }))))
}

/// `DELETE /token/{id}`: revokes a token.
pub(super) async fn revoke_token(
    State(store): State<Store>,
    principal: Principal,
    Number(id): Number,
) -> Result<(), Problem> {
    token::revoke(store.access(), &principal, id).await
}

/// Which part of the audit trail.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuditPage {
    before: Option<i64>,
    limit: Option<i64>,
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// `GET /audit`: who did what, the newest first.
pub(super) async fn audit(
    State(store): State<Store>,
    principal: Principal,
    Params(page): Params<AuditPage>,
) -> Result<Body<Value>, Problem> {
    principal.require_for_all("admin")?;
    let limit = limit(page.limit, 1_000)?;
    let time = |name, text: Option<String>| text.map(|text| moment(name, &text)).transpose();
    let filter = Filter {
        before: page.before,
        actor: page.actor,
        action: page.action,
        subject: page.subject,
        since: time("since", page.since)?,
        until: time("until", page.until)?,
    };
    let events = store.storage().read(move |sql| audit::page(sql, &filter, limit)).await?;
    Ok(Body(json!({ "events": events })))
}
