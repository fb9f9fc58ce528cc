//! When people were last reminded that a feature is due for removal.

use std::collections::HashMap;

use service::storage::{Sql, StorageError};

service::statements! {
    ALL_OF_THEM = "SELECT feature, at FROM reminder";
    NOTE = "INSERT INTO reminder (feature, at) SELECT name, ?2 FROM feature WHERE name = ?1
        ON CONFLICT (feature) DO UPDATE SET at = ?2";
}

/// When people were last reminded of each feature.
///
/// # Errors
///
/// The database fails.
pub fn last(sql: &mut Sql<'_>) -> Result<HashMap<String, i64>, StorageError> {
    let rows = sql.query(ALL_OF_THEM, &[], |row| Ok((row.text(0)?, row.int(1)?)))?;
    Ok(rows.into_iter().collect())
}

/// Notes that people were reminded of a feature. One that was deleted meanwhile is left out.
///
/// # Errors
///
/// The database fails.
pub fn note(sql: &mut Sql<'_>, feature: &str, at: i64) -> Result<(), StorageError> {
    sql.execute(NOTE, &[feature.into(), at.into()]).map(drop)
}
