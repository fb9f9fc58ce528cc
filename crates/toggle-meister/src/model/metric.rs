//! How often a feature was asked for, a day.

use service::storage::{Sql, StorageError};

use super::{PRODUCTION, feature::Feature};
use crate::{
    due::{Unused, Use},
    serve::DAY,
};

service::statements! {
    ADD = "INSERT INTO metric (feature, env, day, hits)
        SELECT f.name, e.name, ?3, ?4 FROM feature f, environment e
        WHERE f.name = ?1 AND e.name = ?2
        ON CONFLICT (feature, env, day) DO UPDATE SET hits = metric.hits + ?4";
    OF_FEATURE = "SELECT env, day, hits FROM metric
        WHERE feature = ?1 AND day >= ?2 ORDER BY day, env";
    USES = "SELECT e.name, MAX(m.day), e.flag_client_seen
        FROM environment e LEFT JOIN metric m ON m.env = e.name AND m.feature = ?1
        GROUP BY e.name, e.flag_client_seen ORDER BY e.name";
    UNUSED = "SELECT f.name, f.created, e.flag_client_seen,
        (SELECT MAX(m.day) FROM metric m WHERE m.feature = f.name AND m.env = e.name)
        FROM feature f CROSS JOIN environment e WHERE e.name = ?1";
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
    sql.query(USES, &[(&feature.name).into()], |row| {
        let (asked, client) = (row.optional_int(1)?, row.optional_int(2)?);
        Ok((row.text(0)?, Use::of(today, feature.created / DAY, asked, client)))
    })
}

/// The features that are unused in production. The day is in days since 1970.
///
/// # Errors
///
/// The database fails.
pub fn unused(sql: &mut Sql<'_>, today: i64) -> Result<Unused, StorageError> {
    let features = sql.query(UNUSED, &[PRODUCTION.into()], |row| {
        let (name, created, asked) = (row.text(0)?, row.int(1)?, row.optional_int(3)?);
        let is_unused = Use::of(today, created / DAY, asked, row.optional_int(2)?) == Use::Unused;
        Ok(is_unused.then(|| (name, asked.map_or(created, |day| day * DAY))))
    })?;
    Ok(features.into_iter().flatten().collect())
}

/// Forgets the days before one.
///
/// # Errors
///
/// The database fails.
pub fn purge(sql: &mut Sql<'_>, before: i64) -> Result<(), StorageError> {
    sql.execute(PURGE, &[before.into()]).map(drop)
}
