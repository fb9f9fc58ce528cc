//! Reading facts, their versions and their changes.

use std::collections::BTreeMap;

use serde::Serialize;
use service::{
    storage::{Row, Sql, StorageError},
    time,
};

use super::{CHANGES, sql};
use crate::name;

/// A fact with the number of its last change, which serves as its entity tag.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Its value.
    pub value: String,
    /// How often it has been written.
    pub version: i64,
    /// The number of its last change.
    pub change: i64,
    /// Until when it is valid, in milliseconds since 1970.
    pub expires: Option<i64>,
}

/// The facts of an identity.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The facts by key.
    pub facts: BTreeMap<String, String>,
    /// When the first of them expires.
    pub expires: Option<i64>,
    /// The number up to which they contain every change.
    pub sequence: i64,
}

/// The longest page of identities with their facts, in bytes of their keys and values. A client
/// takes it even where each of them is written as six in JSON.
const MAX_PAGE: i64 = 8 << 20;

/// Identities with their facts.
#[derive(Clone, Debug)]
pub struct Page {
    /// The facts by identity and key.
    pub facts: BTreeMap<String, BTreeMap<String, String>>,
    /// The last of these identities, if there may be more.
    pub next: Option<String>,
    /// The number up to which they contain every change.
    pub sequence: i64,
}

/// A version of a fact.
#[derive(Clone, Debug, Serialize)]
pub struct Version {
    /// Its number, from 1.
    pub version: i64,
    /// Its value; `None`: the fact was removed.
    pub value: Option<String>,
    /// When it was written, in RFC 3339.
    pub at: String,
    /// Who wrote it.
    pub by: String,
}

/// A change of a fact, or the erasure of an identity.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its number.
    pub number: i64,
    /// The identity.
    pub identity: String,
    /// The key, its new value and version; `None`: the identity was erased.
    pub fact: Option<(String, Option<String>, i64)>,
}

/// A fact that has not expired.
///
/// # Errors
///
/// The database fails.
pub fn one(
    sql: &mut Sql<'_>,
    identity: &str,
    key: &str,
    now: i64,
) -> Result<Option<Fact>, StorageError> {
    let fact = stored(sql, identity, key)?;
    Ok(fact.filter(|it| it.expires.is_none_or(|at| at > now)))
}

/// A fact, whether expired or not.
pub(super) fn stored(
    sql: &mut Sql<'_>,
    identity: &str,
    key: &str,
) -> Result<Option<Fact>, StorageError> {
    sql.query_one(sql::ONE, &[identity.into(), key.into()], fact)
}

/// The facts of an identity with their keys, in order.
///
/// # Errors
///
/// The database fails.
pub fn all(
    sql: &mut Sql<'_>,
    identity: &str,
    now: i64,
) -> Result<Vec<(String, Fact)>, StorageError> {
    let params = [identity.into(), now.into()];
    sql.query(sql::ALL_OF_IDENTITY, &params, |row| Ok((row.text(4)?, fact(row)?)))
}

fn fact(row: &Row<'_>) -> Result<Fact, StorageError> {
    Ok(Fact {
        value: row.text(0)?,
        version: row.int(1)?,
        change: row.int(2)?,
        expires: row.optional_int(3)?,
    })
}

/// The facts of an identity, which may be none.
///
/// # Errors
///
/// The database fails.
pub fn identity(sql: &mut Sql<'_>, identity: &str, now: i64) -> Result<Facts, StorageError> {
    let rows = sql.query(sql::OF_IDENTITY, &[identity.into(), now.into()], |row| {
        Ok((row.text(0)?, row.text(1)?, row.optional_int(2)?))
    })?;
    let expires = rows.iter().filter_map(|it| it.2).min();
    let facts = rows.into_iter().map(|(key, value, _)| (key, value)).collect();
    Ok(Facts { facts, expires, sequence: sql.last(CHANGES)? })
}

/// Identities that have facts, in order: those with the prefix, after `after`, at most `limit`.
///
/// # Errors
///
/// The database fails.
pub fn identities(
    sql: &mut Sql<'_>,
    prefix: &str,
    after: &str,
    limit: i64,
    now: i64,
) -> Result<Vec<String>, StorageError> {
    let end = name::after_prefix(prefix);
    let params = [after.into(), prefix.into(), (&end).into(), now.into(), limit.into()];
    sql.query(sql::IDENTITIES, &params, |row| row.text(0))
}

/// A page of identities with their facts: as [`identities`] with one of the prefixes, which are in
/// order, but fewer than `limit` if their facts are long together.
///
/// # Errors
///
/// The database fails.
pub fn page(
    sql: &mut Sql<'_>,
    prefixes: &[String],
    after: &str,
    limit: i64,
    now: i64,
) -> Result<Page, StorageError> {
    let (mut facts, mut size, mut next) = (BTreeMap::new(), 0, None);
    for prefix in prefixes {
        let left = limit - i64::try_from(facts.len()).unwrap_or(limit);
        if add_page(sql, (&mut facts, &mut size), prefix, after, left, now)? {
            next = facts.last_key_value().map(|(last, _)| last.clone());
            break;
        }
    }
    Ok(Page { facts, next, sequence: sql.last(CHANGES)? })
}

/// Adds the identities with a prefix to a page of this size, and says whether some may be left.
fn add_page(
    sql: &mut Sql<'_>,
    (facts, total): (&mut BTreeMap<String, BTreeMap<String, String>>, &mut i64),
    prefix: &str,
    after: &str,
    limit: i64,
    now: i64,
) -> Result<bool, StorageError> {
    let end = name::after_prefix(prefix);
    let params = [after.into(), prefix.into(), (&end).into(), now.into(), limit.into()];
    let mut found = sql.query(sql::SIZES, &params, |row| Ok((row.text(0)?, row.int(1)?)))?;
    // The first is on the page however long its facts are, so that the next page is another.
    let fitting = found.iter().take_while(|(_, size)| {
        let is_first = *total == 0;
        *total += size;
        is_first || *total <= MAX_PAGE
    });
    let fitting = fitting.count();
    let may_be_more = fitting < found.len() || i64::try_from(found.len()) == Ok(limit);
    found.truncate(fitting);
    if let Some((last, _)) = found.pop() {
        let params = [after.into(), prefix.into(), (&last).into(), now.into()];
        let rows = sql.query(sql::OF_IDENTITIES, &params, |row| {
            Ok((row.text(0)?, row.text(1)?, row.text(2)?))
        })?;
        for (identity, key, value) in rows {
            facts.entry(identity).or_default().insert(key, value);
        }
    }
    Ok(may_be_more)
}

/// Versions of a fact before `before`, the newest first.
///
/// # Errors
///
/// The database fails.
pub fn history(
    sql: &mut Sql<'_>,
    identity: &str,
    key: &str,
    before: i64,
    limit: i64,
) -> Result<Vec<Version>, StorageError> {
    let params = [identity.into(), key.into(), before.into(), limit.into()];
    sql.query(sql::HISTORY, &params, |row| {
        Ok(Version {
            version: row.int(0)?,
            value: row.optional_text(1)?,
            at: time::rfc3339(row.int(2)?),
            by: row.text(3)?,
        })
    })
}

/// Whether there is a fact that has expired and was not removed.
///
/// # Errors
///
/// The database fails.
pub fn any_expired(sql: &mut Sql<'_>, now: i64) -> Result<bool, StorageError> {
    let first = sql.query_one(sql::EXPIRED, &[now.into(), 1_i64.into()], |row| row.text(0))?;
    Ok(first.is_some())
}

/// How many changes are read at a time: their values have at most 8 MiB together.
pub const CHANGES_AT_ONCE: i64 = 128;

/// Changes after a number, in order, at most [`CHANGES_AT_ONCE`].
///
/// # Errors
///
/// The database fails.
pub fn changes(sql: &mut Sql<'_>, after: i64) -> Result<Vec<Change>, StorageError> {
    sql.query(sql::CHANGES, &[after.into(), CHANGES_AT_ONCE.into()], |row| {
        let fact = match row.optional_text(2)? {
            Some(key) => Some((key, row.optional_text(3)?, row.int(4)?)),
            None => None,
        };
        Ok(Change { number: row.int(0)?, identity: row.text(1)?, fact })
    })
}
