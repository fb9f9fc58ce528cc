//! Who may hand out which tokens, and revoke them.

use axum::http::StatusCode;
use secrecy::SecretString;
use service::{
    access::{Access, NewToken, Principal, Token},
    problem::Problem,
};

/// Makes a token and returns its number and the token, which is not stored.
///
/// # Errors
///
/// 400 for an invalid token, 403 for one that may do more than its maker, 503 where the database
/// is unavailable.
pub async fn create(
    access: &Access,
    principal: &Principal,
    new: NewToken,
) -> Result<(i64, SecretString), Problem> {
    principal.require("users-write")?;
    principal.require_to_manage(&new.permissions, new.prefixes.as_deref())?;
    access.create_token(new, principal.name()).await
}

/// Revokes a token.
///
/// # Errors
///
/// 403 without the permission, or for a token that may do more than who revokes it; 404 for a token that
/// does not exist; 503 where the database is unavailable.
pub async fn revoke(access: &Access, principal: &Principal, id: u64) -> Result<(), Problem> {
    principal.require("users-write")?;
    let id = i64::try_from(id).map_err(|_| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "token_not_found",
            format!("there is no token with the number {id}"),
        )
    })?;
    let by = principal.clone();
    let allowed = move |it: &Token| by.require_to_manage(&it.permissions, it.prefixes.as_deref());
    access.revoke_token(id, principal.name(), allowed).await
}
