//! Permissions, tokens and the audit trail.

use axum::{Json as Body, extract::State, http::StatusCode, response::IntoResponse};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{
    access::{NewToken, Permission, Principal, Token},
    audit::{self, Filter},
    problem::Problem,
    time,
};

use super::request::{Json, Number, Params, limit};
use crate::store::Store;

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
    principal.require("users-write")?;
    // Nobody hands out more than they have.
    for permission in &new.permissions {
        principal.require(permission)?;
    }
    if let Some(own) = principal.prefixes() {
        let within = |prefix: &String| own.iter().any(|it| prefix.starts_with(it));
        if !new.prefixes.as_ref().is_some_and(|it| it.iter().all(within)) {
            return Err(Problem::invalid(format!(
                "your token is limited to identities that begin with {}, so the new one needs \
                 prefixes within these",
                own.join(", ")
            )));
        }
    }
    let expires = match new.expires_at {
        None => None,
        Some(at) => Some(time::parse(&at).ok_or_else(|| {
            Problem::invalid("expires_at is a time in RFC 3339, such as 2030-01-31T12:00:00Z")
        })?),
    };
    let token =
        NewToken { name: new.name, permissions: new.permissions, prefixes: new.prefixes, expires };
    let (id, token) = store.access().create_token(token, principal.name()).await?;
    Ok((StatusCode::CREATED, Body(json!({ "id": id, "token": token.expose_secret() }))))
}

/// `DELETE /token/{id}`: revokes a token.
pub(super) async fn revoke_token(
    State(store): State<Store>,
    principal: Principal,
    Number(id): Number,
) -> Result<(), Problem> {
    principal.require("users-write")?;
    let id = i64::try_from(id).unwrap_or(i64::MAX);
    store.access().revoke_token(id, principal.name()).await
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
    principal.require("admin")?;
    let limit = limit(page.limit, 1_000)?;
    let time = |name: &str, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => time::parse(&text)
            .map(Some)
            .ok_or_else(|| Problem::invalid(format!("{name} is a time in RFC 3339"))),
    };
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
