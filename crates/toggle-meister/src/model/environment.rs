//! Environments.

use axum::http::StatusCode;
use serde_json::json;
use service::{
    audit,
    problem::Problem,
    storage::{Sql, StorageError},
    time,
};

use super::{PRODUCTION, change};
use crate::name::{self, said};

service::statements! {
    LIST = "SELECT name FROM environment ORDER BY name";
    EXISTS = "SELECT name FROM environment WHERE name = ?1";
    INSERT = "INSERT INTO environment (name, created) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
    DELETE = "DELETE FROM environment WHERE name = ?1";
    SEEN = "UPDATE environment SET flag_client_seen = ?2
        WHERE name = ?1 AND (flag_client_seen IS NULL OR flag_client_seen < ?2)";
    WATCH = "UPDATE environment SET flag_client_seen = ?1 WHERE flag_client_seen IS NULL";
    LAST_SEEN = "SELECT flag_client_seen FROM environment WHERE name = ?1";
}

/// All environments, sorted.
///
/// # Errors
///
/// The database fails.
pub fn list(sql: &mut Sql<'_>) -> Result<Vec<String>, StorageError> {
    sql.query(LIST, &[], |row| row.text(0))
}

/// Whether there is an environment with a name.
///
/// # Errors
///
/// The database fails.
pub fn exists(sql: &mut Sql<'_>, name: &str) -> Result<bool, StorageError> {
    Ok(sql.query_one(EXISTS, &[name.into()], |row| row.text(0))?.is_some())
}

/// Creates an environment, and returns its name in lower case.
///
/// # Errors
///
/// 400 for a name that is invalid; 409 where it exists.
pub fn create(sql: &mut Sql<'_>, by: &str, name: &str) -> Result<String, Problem> {
    let name = name::environment(name)?;
    if sql.execute(INSERT, &[(&name).into(), time::now().into()])? == 0 {
        let message = format!("The environment name '{name}' already exists");
        return Err(said(StatusCode::CONFLICT, message));
    }
    record(sql, by, "environment.add", &name)?;
    Ok(name)
}

/// Deletes an environment with its toggles and its metrics.
///
/// # Errors
///
/// 400 for `production`; 404 where there is none.
pub fn delete(sql: &mut Sql<'_>, by: &str, name: &str) -> Result<(), Problem> {
    if name == PRODUCTION {
        return Err(Problem::invalid("the environment production cannot be deleted"));
    }
    if sql.execute(DELETE, &[name.into()])? == 0 {
        return Err(not_found(name));
    }
    record(sql, by, "environment.remove", name)
}

/// Notes that a client of flagd's protocols was connected to an environment on a day, in days
/// since 1970.
///
/// # Errors
///
/// The database fails.
pub fn seen(sql: &mut Sql<'_>, env: &str, day: i64) -> Result<(), StorageError> {
    sql.execute(SEEN, &[env.into(), day.into()]).map(drop)
}

/// Notes that a server watches for clients of flagd's protocols from a day on. Nothing is known of
/// the time before, so it counts as if there had been one that day.
///
/// # Errors
///
/// The database fails.
pub fn watch(sql: &mut Sql<'_>, day: i64) -> Result<(), StorageError> {
    sql.execute(WATCH, &[day.into()]).map(drop)
}

/// The last day on which a client of flagd's protocols may have been connected to an environment.
/// `None`: nobody has watched.
///
/// # Errors
///
/// The database fails.
pub fn last_seen(sql: &mut Sql<'_>, env: &str) -> Result<Option<i64>, StorageError> {
    let day = sql.query_one(LAST_SEEN, &[env.into()], |row| row.optional_int(0))?;
    Ok(day.flatten())
}

fn record(sql: &mut Sql<'_>, by: &str, action: &str, name: &str) -> Result<(), Problem> {
    audit::record_with(sql, by, action, name, Some(&json!({"env_name": name})))?;
    Ok(change::note(sql, &change::Changed::Environment(name.to_owned()))?)
}

/// 404 for an environment.
#[must_use]
pub fn not_found(name: &str) -> Problem {
    let detail = format!("there is no environment {name}");
    Problem::new(StatusCode::NOT_FOUND, "environment_not_found", detail)
}
