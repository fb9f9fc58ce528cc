//! How often a feature was asked for, a day.

use service::storage::{Sql, StorageError};

use super::{environment, feature::Feature};
use crate::{due::Use, serve::DAY};

service::statements! {
    ADD = "INSERT INTO metric (feature, env, day, hits)
        SELECT f.name, e.name, ?3, ?4 FROM feature f, environment e
        WHERE f.name = ?1 AND e.name = ?2
        ON CONFLICT (feature, env, day) DO UPDATE SET hits = metric.hits + ?4";
    OF_FEATURE = "SELECT env, day, hits FROM metric
        WHERE feature = ?1 AND day >= ?2 ORDER BY day, env";
    LAST = "SELECT MAX(day) FROM metric WHERE feature = ?1 AND env = ?2";
    PURGE = "DELETE FROM metric WHERE day < ?1";
}

/// Requests on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The environment.
    pub env: String,
    /// The day, in days since 1970.
    pub day: i64,
    /// How many requests there were.
    pub hits: i64,
}

/// Adds requests. Those for a feature or an environment that was deleted in the meantime are
/// dropped.
///
/// # Errors
///
/// The database fails.
pub fn add(
    sql: &mut Sql<'_>,
    feature: &str,
    env: &str,
    day: i64,
    hits: i64,
) -> Result<(), StorageError> {
    sql.execute(ADD, &[feature.into(), env.into(), day.into(), hits.into()]).map(drop)
}

/// The requests for a feature from a day on.
///
/// # Errors
///
/// The database fails.
pub fn of(sql: &mut Sql<'_>, feature: &str, from: i64) -> Result<Vec<Metric>, StorageError> {
    sql.query(OF_FEATURE, &[feature.into(), from.into()], |row| {
        Ok(Metric { env: row.text(0)?, day: row.int(1)?, hits: row.int(2)? })
    })
}

/// The last day on which a feature was asked for in an environment.
///
/// # Errors
///
/// The database fails.
pub fn last(sql: &mut Sql<'_>, feature: &str, env: &str) -> Result<Option<i64>, StorageError> {
    let last = sql.query_one(LAST, &[feature.into(), env.into()], |row| row.optional_int(0))?;
    Ok(last.flatten())
}

/// Whether a feature is in use, in each environment. The day is in days since 1970.
///
/// # Errors
///
/// The database fails.
pub fn uses(
    sql: &mut Sql<'_>,
    feature: &Feature,
    today: i64,
) -> Result<Vec<(String, Use)>, StorageError> {
    let mut uses = Vec::new();
    for env in environment::list(sql)? {
        let asked = last(sql, &feature.name, &env)?;
        let client = environment::last_seen(sql, &env)?;
        uses.push((env, Use::of(today, feature.created / DAY, asked, client)));
    }
    Ok(uses)
}

/// Forgets the days before one.
///
/// # Errors
///
/// The database fails.
pub fn purge(sql: &mut Sql<'_>, before: i64) -> Result<(), StorageError> {
    sql.execute(PURGE, &[before.into()]).map(drop)
}
