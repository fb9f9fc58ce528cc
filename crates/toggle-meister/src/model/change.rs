//! What has changed, so that every replica brings its memory up to date.

use service::{
    storage::{Sql, StorageError},
    time,
};

service::statements! {
    INSERT = "INSERT INTO change (number, at, feature, env) VALUES (?1, ?2, ?3, ?4)";
    AFTER = "SELECT number, feature, env FROM change WHERE number > ?1 ORDER BY number LIMIT ?2";
    FIRST = "SELECT MIN(number) FROM change";
    FORGET = "DELETE FROM change";
    PURGE = "DELETE FROM change WHERE at < ?1";
}

/// The sequence that counts changes, and the channel that tells of them.
pub const CHANGES: &str = "change";

/// What a change was of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A feature, or one of its toggles.
    Feature(String),
    /// An environment, with its toggles.
    Environment(String),
    /// The employees.
    Employees,
}

/// Notes a change.
///
/// # Errors
///
/// The database fails.
pub fn note(sql: &mut Sql<'_>, changed: &Changed) -> Result<(), StorageError> {
    let number = sql.next(CHANGES)?;
    let (feature, env) = match changed {
        Changed::Feature(name) => (Some(name.as_str()), None),
        Changed::Environment(name) => (None, Some(name.as_str())),
        Changed::Employees => (None, None),
    };
    let params = [number.into(), time::now().into(), feature.into(), env.into()];
    sql.execute(INSERT, &params).map(drop)
}

/// The changes after a number, each with its own. `None`: some of them are no longer known.
///
/// # Errors
///
/// The database fails.
pub fn after(
    sql: &mut Sql<'_>,
    number: i64,
    limit: i64,
) -> Result<Option<Vec<(i64, Changed)>>, StorageError> {
    let last = sql.last(CHANGES)?;
    let first = sql.query_one(FIRST, &[], |row| row.optional_int(0))?.flatten();
    let is_known = last == number || first.is_some_and(|it| it <= number.saturating_add(1));
    // A database that was restored may have fewer changes than were seen.
    if last < number || !is_known {
        return Ok(None);
    }
    let changes = sql.query(AFTER, &[number.into(), limit.into()], |row| {
        let changed = match (row.optional_text(1)?, row.optional_text(2)?) {
            (Some(feature), _) => Changed::Feature(feature),
            (None, Some(env)) => Changed::Environment(env),
            (None, None) => Changed::Employees,
        };
        Ok((row.int(0)?, changed))
    })?;
    Ok(Some(changes))
}

/// Forgets the changes before a time.
///
/// # Errors
///
/// The database fails.
pub fn purge(sql: &mut Sql<'_>, before: i64) -> Result<(), StorageError> {
    sql.execute(PURGE, &[before.into()]).map(drop)
}

/// Forgets all changes and counts one more, so that every replica reads everything anew.
///
/// # Errors
///
/// The database fails.
pub fn forget(sql: &mut Sql<'_>) -> Result<(), StorageError> {
    sql.execute(FORGET, &[])?;
    sql.next(CHANGES)?;
    sql.notify(CHANGES)
}
