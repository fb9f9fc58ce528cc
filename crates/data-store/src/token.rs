//! Who may hand out which tokens, and revoke them.

use secrecy::SecretString;
use service::{
    access::{Access, NewToken, Principal},
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
    access.create_token(new, principal.name()).await
}

/// Revokes a token.
///
/// # Errors
///
/// 403 without the permission, 404 for a token that does not exist, 503 where the database is
/// unavailable.
pub async fn revoke(access: &Access, principal: &Principal, id: u64) -> Result<(), Problem> {
    principal.require("users-write")?;
    let id = i64::try_from(id).unwrap_or(i64::MAX);
    access.revoke_token(id, principal.name()).await
}
