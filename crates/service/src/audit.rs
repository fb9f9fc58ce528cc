//! The audit trail: who did what to what, and when. Values and secrets are not in it.

use serde::Serialize;
use serde_json::Value;

use crate::{
    storage::{Sql, StorageError},
    time,
};

crate::statements! {
    INSERT = "INSERT INTO audit (id, at, actor, action, subject, data)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    PAGE = "SELECT id, at, actor, action, subject, data FROM audit
        WHERE id < ?1 AND (CAST(?2 AS TEXT) IS NULL OR actor = ?2)
            AND (CAST(?3 AS TEXT) IS NULL OR action = ?3)
            AND (CAST(?4 AS TEXT) IS NULL OR subject = ?4)
            AND at >= ?5 AND at < ?6
        ORDER BY id DESC LIMIT ?7";
    PURGE = "DELETE FROM audit WHERE at < ?1";
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Its number; later events have greater ones.
    pub id: i64,
    /// When, in RFC 3339.
    pub at: String,
    /// Who, as in [`Principal::name`](crate::access::Principal::name).
    pub actor: String,
    /// What was done, such as `fact.write`.
    pub action: String,
    /// To what, such as `acme-prod/tier`.
    pub subject: String,
    /// More of it, if the service writes that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// Which events a page shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Events before this number, for the next page.
    pub before: Option<i64>,
    /// By this actor.
    pub actor: Option<String>,
    /// With this action.
    pub action: Option<String>,
    /// On this subject.
    pub subject: Option<String>,
    /// Not earlier than this, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Earlier than this.
    pub until: Option<i64>,
}

/// Adds an event, in the transaction of what it tells.
///
/// # Errors
///
/// The database fails.
pub fn record(
    sql: &mut Sql<'_>,
    actor: &str,
    action: &str,
    subject: &str,
) -> Result<(), StorageError> {
    record_with(sql, actor, action, subject, None)
}

/// Adds an event with more about it.
///
/// # Errors
///
/// The database fails.
pub fn record_with(
    sql: &mut Sql<'_>,
    actor: &str,
    action: &str,
    subject: &str,
    data: Option<&Value>,
) -> Result<(), StorageError> {
    let id = sql.next("audit")?;
    let data = data.map(Value::to_string);
    let params = [
        id.into(),
        time::now().into(),
        actor.into(),
        action.into(),
        subject.into(),
        data.as_deref().into(),
    ];
    sql.execute(INSERT, &params).map(drop)
}

/// The newest events that the filter lets through, at most `limit`.
///
/// # Errors
///
/// The database fails.
pub fn page(sql: &mut Sql<'_>, filter: &Filter, limit: i64) -> Result<Vec<Event>, StorageError> {
    let params = [
        filter.before.unwrap_or(i64::MAX).into(),
        filter.actor.as_deref().into(),
        filter.action.as_deref().into(),
        filter.subject.as_deref().into(),
        filter.since.unwrap_or(i64::MIN).into(),
        filter.until.unwrap_or(i64::MAX).into(),
        limit.into(),
    ];
    sql.query(PAGE, &params, |row| {
        Ok(Event {
            id: row.int(0)?,
            at: time::rfc3339(row.int(1)?),
            actor: row.text(2)?,
            action: row.text(3)?,
            subject: row.text(4)?,
            data: row.optional_text(5)?.and_then(|it| serde_json::from_str(&it).ok()),
        })
    })
}

/// Deletes events that happened before a time, and returns how many there were.
///
/// # Errors
///
/// The database fails.
pub fn purge(sql: &mut Sql<'_>, before: i64) -> Result<u64, StorageError> {
    sql.execute(PURGE, &[before.into()])
}
