//! Secrets, encrypted in the database or kept by AWS Secrets Manager: [`Backend`] is the seam.
//!
//! In the database, a secret is sealed with a key of its own, which is derived from one of the [`Keys`] and a
//! random salt. Its identity and name are part of what is authenticated, so that nobody who
//! can write to the database can pass one secret off as another.

#[cfg(feature = "aws")]
mod aws;
mod backend;
mod keys;
mod sql;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use secrecy::SecretString;
use service::{
    audit,
    problem::Problem,
    storage::{Sql, StorageError},
};

#[cfg(feature = "aws")]
pub use self::aws::{AwsError, SecretsManager};
pub use self::{
    backend::Backend,
    keys::{Keys, KeysError},
};
pub(crate) use self::{backend::Names, sql::ALL as STATEMENTS};
use crate::fact::{CHANGES, Condition, Context, MAX_FACTS};

/// The longest secret, in bytes.
pub const MAX_SECRET: usize = 64 << 10;

/// The secrets of an identity by name; `None` if it has none.
///
/// # Errors
///
/// The database fails, or a secret cannot be decrypted.
pub fn read(
    sql: &mut Sql<'_>,
    keys: &Keys,
    context: &Context,
    identity: &str,
) -> Result<Option<BTreeMap<String, SecretString>>, Problem> {
    let rows = sql.query(sql::OF_IDENTITY, &[identity.into()], |row| {
        Ok((row.text(0)?, row.text(1)?, row.bytes(2)?))
    })?;
    if rows.is_empty() {
        return Ok(None);
    }
    audit::record(sql, &context.actor, "secret.read", identity)?;
    let open = |(name, key_id, sealed): (String, String, Vec<u8>)| {
        let value = keys.open(&key_id, identity, &name, &sealed)?;
        Ok((name, value))
    };
    rows.into_iter().map(open).collect::<Result<_, KeysError>>().map(Some).map_err(unreadable)
}

/// The names of an identity's secrets, in order.
///
/// # Errors
///
/// The database fails.
pub fn names(sql: &mut Sql<'_>, identity: &str) -> Result<Vec<String>, StorageError> {
    sql.query(sql::NAMES, &[identity.into()], |row| row.text(0))
}

/// A secret and the number of its last change.
///
/// # Errors
///
/// 404 if it does not exist; the database fails, or it cannot be decrypted.
pub fn one(
    sql: &mut Sql<'_>,
    keys: &Keys,
    context: &Context,
    identity: &str,
    name: &str,
) -> Result<(SecretString, i64), Problem> {
    let row = sql.query_one(sql::ONE, &[identity.into(), name.into()], |row| {
        Ok((row.text(0)?, row.bytes(1)?, row.int(2)?))
    })?;
    let Some((key_id, sealed, change)) = row else {
        exists(sql, identity)?;
        return Err(secret_not_found());
    };
    audit::record(sql, &context.actor, "secret.read", &format!("{identity}/{name}"))?;
    Ok((keys.open(&key_id, identity, name, &sealed).map_err(unreadable)?, change))
}

/// Writes a secret. Returns the number of the change, which is a new one even where the value
/// is the same: it is sealed anew, with the current key.
///
/// # Errors
///
/// 400 for too many secrets, 412 where the condition does not hold.
pub fn put(
    sql: &mut Sql<'_>,
    keys: &Keys,
    context: &Context,
    (identity, name): (&str, &str),
    value: &SecretString,
    condition: &Condition,
) -> Result<i64, Problem> {
    let current = last_change(sql, identity, name)?;
    condition.check(current.as_ref())?;
    if current.is_none() {
        let count = sql.query_one(sql::COUNT, &[identity.into()], |row| row.int(0))?;
        if count.is_some_and(|it| it >= MAX_FACTS) {
            return Err(Problem::invalid(format!(
                "the identity has {MAX_FACTS} secrets, and more are not allowed"
            )));
        }
    }
    let sealed = keys.seal(identity, name, value).map_err(unreadable)?;
    let change = sql.next(CHANGES)?;
    let params = [
        identity.into(),
        name.into(),
        keys.current().into(),
        sealed.as_slice().into(),
        change.into(),
    ];
    sql.execute(sql::UPSERT, &params)?;
    audit::record(sql, &context.actor, "secret.write", &format!("{identity}/{name}"))?;
    Ok(change)
}

/// Removes a secret, if it exists.
///
/// # Errors
///
/// 404 for an identity without secrets, 412 where the condition does not hold.
pub fn delete(
    sql: &mut Sql<'_>,
    context: &Context,
    identity: &str,
    name: &str,
    condition: &Condition,
) -> Result<(), Problem> {
    exists(sql, identity)?;
    let current = last_change(sql, identity, name)?;
    condition.check(current.as_ref())?;
    if current.is_some() {
        sql.execute(sql::DELETE, &[identity.into(), name.into()])?;
        audit::record(sql, &context.actor, "secret.delete", &format!("{identity}/{name}"))?;
    }
    Ok(())
}

/// Erases the secrets of an identity. Returns whether there were any.
///
/// # Errors
///
/// The database fails.
pub fn erase(sql: &mut Sql<'_>, identity: &str) -> Result<bool, StorageError> {
    Ok(sql.execute(sql::ERASE, &[identity.into()])? > 0)
}

/// Identities that have secrets, in order, as [`fact::identities`](crate::fact::identities).
///
/// # Errors
///
/// The database fails.
pub fn identities(
    sql: &mut Sql<'_>,
    prefix: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, StorageError> {
    let end = crate::name::after_prefix(prefix);
    let params = [after.into(), prefix.into(), (&end).into(), limit.into()];
    sql.query(sql::IDENTITIES, &params, |row| row.text(0))
}

/// Seals secrets that were sealed with another than the current key anew, at most `limit`.
///
/// # Errors
///
/// The database fails.
pub fn reseal(sql: &mut Sql<'_>, keys: &Keys, limit: i64) -> Result<(), Problem> {
    let rows = sql.query(sql::OTHER_KEYS, &[keys.current().into(), limit.into()], |row| {
        Ok((row.text(0)?, row.text(1)?, row.text(2)?, row.bytes(3)?))
    })?;
    for (identity, name, key_id, sealed) in &rows {
        // One that cannot be read, which is logged, keeps no other from being sealed.
        let Ok(value) = keys.open(key_id, identity, name, sealed).map_err(unreadable) else {
            continue;
        };
        let sealed = keys.seal(identity, name, &value).map_err(unreadable)?;
        let params =
            [identity.into(), name.into(), keys.current().into(), sealed.as_slice().into()];
        sql.execute(sql::RESEAL, &params)?;
    }
    Ok(())
}

/// 404 for an identity that has no secret.
#[must_use]
pub fn identity_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "identity_not_found", "the identity has no secrets")
}

fn secret_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "secret_not_found", "the identity has no such secret")
}

/// 503: AWS Secrets Manager is unreachable.
pub(crate) fn unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "secrets_unavailable",
        "AWS Secrets Manager is unavailable: try again later",
    )
}

/// How many secrets are sealed with each key, by its id.
///
/// # Errors
///
/// The database fails.
pub fn sealed(sql: &mut Sql<'_>) -> Result<Vec<(String, i64)>, StorageError> {
    sql.query(sql::BY_KEY, &[], |row| Ok((row.text(0)?, row.int(1)?)))
}

/// Whether the key with this id opens a secret that was sealed with it.
///
/// # Errors
///
/// The database fails.
pub fn opens(sql: &mut Sql<'_>, keys: &Keys, id: &str) -> Result<bool, StorageError> {
    let one = sql.query_one(sql::OF_KEY, &[id.into()], |row| {
        Ok((row.text(0)?, row.text(1)?, row.bytes(2)?))
    })?;
    Ok(one.is_none_or(|(identity, name, sealed)| keys.open(id, &identity, &name, &sealed).is_ok()))
}

fn exists(sql: &mut Sql<'_>, identity: &str) -> Result<(), Problem> {
    let count = sql.query_one(sql::COUNT, &[identity.into()], |row| row.int(0))?;
    if count.is_some_and(|it| it > 0) { Ok(()) } else { Err(identity_not_found()) }
}

fn last_change(sql: &mut Sql<'_>, identity: &str, name: &str) -> Result<Option<i64>, StorageError> {
    sql.query_one(sql::ONE, &[identity.into(), name.into()], |row| row.int(2))
}

/// The client learns that a secret cannot be read, and the log why.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: KeysError) -> Problem {
    tracing::error!(error = service::describe(&error), "a secret cannot be used");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "secret_unreadable",
        "the secret cannot be decrypted: the log of the server says which key is missing",
    )
}
