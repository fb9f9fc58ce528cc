//! Features, and how they are deleted.
//!
//! A feature that was deleted softly answers as before for 14 days, so that programs that still
//! ask for it do not change. It is in no list and can only be switched off. After that, or if it
//! is deleted for good, or created anew, nothing of it remains but the audit trail.

use axum::http::StatusCode;
use serde_json::json;
use service::{
    audit,
    problem::Problem,
    storage::{Row, Sql, StorageError},
    time,
};

use super::{PRODUCTION, change, note, toggle};
use crate::{
    caller::forbidden,
    name::{self, said},
    toggle::Toggle,
};

service::statements! {
    LIST = "SELECT name, created, created_by, deleted FROM feature ORDER BY name";
    GET = "SELECT name, created, created_by, deleted FROM feature WHERE name = ?1";
    INSERT = "INSERT INTO feature (name, created, created_by) VALUES (?1, ?2, ?3)";
    SOFT_DELETE = "UPDATE feature SET deleted = ?2 WHERE name = ?1 AND deleted IS NULL";
    DELETE = "DELETE FROM feature WHERE name = ?1";
}

/// How long a feature that was deleted softly is kept, in milliseconds.
pub const KEPT: i64 = 14 * 24 * 3_600_000;

/// A feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// When it was created, in milliseconds since 1970.
    pub created: i64,
    /// By whom.
    pub created_by: String,
    /// When it was deleted softly, if it was.
    pub deleted: Option<i64>,
}

impl Feature {
    /// Whether it was deleted softly so long ago that it is to be deleted for good.
    #[must_use]
    pub fn is_overdue(&self, now: i64) -> bool {
        self.deleted.is_some_and(|at| at < now.saturating_sub(KEPT))
    }
}

/// All features, also those that were deleted softly.
///
/// # Errors
///
/// The database fails.
pub fn list(sql: &mut Sql<'_>) -> Result<Vec<Feature>, StorageError> {
    sql.query(LIST, &[], read)
}

/// A feature.
///
/// # Errors
///
/// The database fails.
pub fn get(sql: &mut Sql<'_>, name: &str) -> Result<Option<Feature>, StorageError> {
    sql.query_one(GET, &[name.into()], read)
}

fn read(row: &Row<'_>) -> Result<Feature, StorageError> {
    Ok(Feature {
        name: row.text(0)?,
        created: row.int(1)?,
        created_by: row.text(2)?,
        deleted: row.optional_int(3)?,
    })
}

/// Creates a feature. One with the same name that was deleted softly is deleted for good first,
/// which switches it off in production: `may_switch_off` says whether that is allowed.
///
/// # Errors
///
/// 400 for a name that is invalid; 409 where it exists, or where it was deleted softly and may not
/// be switched off.
pub fn create(
    sql: &mut Sql<'_>,
    by: &str,
    name: &str,
    may_switch_off: bool,
) -> Result<(), Problem> {
    name::feature(name)?;
    match get(sql, name)? {
        Some(Feature { deleted: None, .. }) => {
            let message = format!("The feature name '{name}' already exists");
            return Err(said(StatusCode::CONFLICT, message));
        }
        Some(_) if !may_switch_off && toggle::get(sql, name, PRODUCTION)? != Toggle::Off => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "feature_in_production",
                format!(
                    "{name} was deleted and is still served in production: somebody who may \
                     switch toggles there has to switch it off first"
                ),
            ));
        }
        Some(_) => remove(sql, by, name)?,
        None => {}
    }
    sql.execute(INSERT, &[name.into(), time::now().into(), by.into()])?;
    record(sql, by, "feature.add", name)
}

/// Deletes a feature softly, which switches it off in 14 days. One that is deleted already stays so.
///
/// # Errors
///
/// 404 where there is none; 403 where it is not off in production and may not be switched off.
pub fn soft_delete(
    sql: &mut Sql<'_>,
    by: &str,
    name: &str,
    may_switch_off: bool,
) -> Result<(), Problem> {
    let feature = get(sql, name)?.ok_or_else(|| not_found(name))?;
    if feature.deleted.is_some() {
        return Ok(());
    }
    require_off(sql, name, may_switch_off)?;
    sql.execute(SOFT_DELETE, &[name.into(), time::now().into()])?;
    note::detach(sql, name, false)?;
    record(sql, by, "feature.remove", name)
}

/// Deletes a feature for good, with its toggles and its metrics.
///
/// # Errors
///
/// 404 where there is none; 403 where it is not off in production and may not be switched off.
pub fn hard_delete(
    sql: &mut Sql<'_>,
    by: &str,
    name: &str,
    may_switch_off: bool,
) -> Result<(), Problem> {
    get(sql, name)?.ok_or_else(|| not_found(name))?;
    require_off(sql, name, may_switch_off)?;
    remove(sql, by, name)
}

/// Demands that a feature is off in production, unless it may be switched off there.
fn require_off(sql: &mut Sql<'_>, name: &str, may_switch_off: bool) -> Result<(), Problem> {
    let is_off = may_switch_off || toggle::get(sql, name, PRODUCTION)? == Toggle::Off;
    if is_off { Ok(()) } else { Err(forbidden()) }
}

/// Deletes a feature for good if it was deleted softly long enough ago.
///
/// # Errors
///
/// The database fails.
pub fn clean_up(sql: &mut Sql<'_>, by: &str, name: &str, now: i64) -> Result<(), Problem> {
    match get(sql, name)? {
        Some(feature) if feature.is_overdue(now) => remove(sql, by, name),
        _ => Ok(()),
    }
}

fn remove(sql: &mut Sql<'_>, by: &str, name: &str) -> Result<(), Problem> {
    note::detach(sql, name, true)?;
    sql.execute(DELETE, &[name.into()])?;
    record(sql, by, "feature.delete", name)
}

fn record(sql: &mut Sql<'_>, by: &str, action: &str, name: &str) -> Result<(), Problem> {
    audit::record_with(sql, by, action, name, Some(&json!({"feature_name": name})))?;
    Ok(change::note(sql, &change::Changed::Feature(name.to_owned()))?)
}

/// 404 for a feature.
#[must_use]
pub fn not_found(name: &str) -> Problem {
    let detail = format!("there is no feature {name}");
    Problem::new(StatusCode::NOT_FOUND, "feature_not_found", detail)
}
