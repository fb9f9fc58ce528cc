//! How often a feature was asked for, a day.

use service::storage::{Sql, StorageError};

use super::feature::Feature;
use crate::{due::Use, serve::DAY};

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

/// Forgets the days before one.
///
/// # Errors
///
/// The database fails.
pub fn purge(sql: &mut Sql<'_>, before: i64) -> Result<(), StorageError> {
    sql.execute(PURGE, &[before.into()]).map(drop)
}
