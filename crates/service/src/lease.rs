//! A lease in the database: a job that one replica runs at a time.
//!
//! A row names the owner and the time until which it owns the job. It is renewed well before
//! that; a replica that dies loses it when the time is over. Unlike a lock of PostgreSQL it
//! survives a pooler that hands connections around. The clocks of the replicas may differ by
//! less than the time that a lease lasts.

use std::time::Duration;

use crate::{
    access::random,
    storage::{Sql, StorageError},
    time,
};

crate::statements! {
    TAKE = "INSERT INTO lease (name, owner, until) VALUES (?1, ?2, ?3)
        ON CONFLICT (name) DO UPDATE SET owner = ?2, until = ?3
        WHERE lease.owner = ?2 OR lease.until <= ?4";
    RELEASE = "DELETE FROM lease WHERE name = ?1 AND owner = ?2";
}

/// A name for the owner of leases that no other process has.
#[must_use]
pub fn owner() -> String {
    let number = random::secret().unwrap_or_else(|| time::now().to_string());
    format!("{}-{number}", std::process::id())
}

/// Takes or renews a lease. Returns whether `owner` has it now.
///
/// # Errors
///
/// The database fails.
pub fn take(
    sql: &mut Sql<'_>,
    name: &str,
    owner: &str,
    now: i64,
    lasts: Duration,
) -> Result<bool, StorageError> {
    let until = now.saturating_add(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX));
    let params = [name.into(), owner.into(), until.into(), now.into()];
    Ok(sql.execute(TAKE, &params)? == 1)
}

/// Gives a lease back, so that another replica need not wait until it is over.
///
/// # Errors
///
/// The database fails.
pub fn release(sql: &mut Sql<'_>, name: &str, owner: &str) -> Result<(), StorageError> {
    sql.execute(RELEASE, &[name.into(), owner.into()]).map(drop)
}
