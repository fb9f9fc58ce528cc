//! Changing facts.

use std::collections::BTreeMap;

use service::{
    audit,
    problem::Problem,
    storage::{Sql, StorageError},
    time,
};

use super::{
    CHANGES, LONG, MAX_FACTS, MAX_LONG, VERSIONS, check_value, precondition_failed,
    read::{self, stored},
    sql,
};

/// More changes than a store makes between two backups.
const LOST_AT_MOST: i64 = 1_000_000_000;

/// Who changes something, and when.
#[derive(Clone, Debug)]
pub struct Context {
    /// The caller, as the audit names it.
    pub actor: String,
    /// The time in milliseconds since 1970.
    pub now: i64,
}

impl Context {
    /// A change that is made now.
    #[must_use]
    pub fn new(actor: &str) -> Self {
        Self { actor: actor.to_owned(), now: time::now() }
    }
}

/// A new value.
#[derive(Clone, Debug)]
pub struct Value {
    /// The value.
    pub value: String,
    /// Until when it is valid, in milliseconds since 1970.
    pub expires: Option<i64>,
}

/// What must hold for a change to be made. The entity tag of a fact or a secret is the number of
/// its last change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition<Tag = i64> {
    /// Nothing.
    #[default]
    None,
    /// What is written must not exist.
    Absent,
    /// It must exist.
    Present,
    /// It must have one of these entity tags.
    Tags(Vec<Tag>),
}

impl<Tag: PartialEq> Condition<Tag> {
    /// Checks the condition for something that has this entity tag, if it exists.
    pub(crate) fn check(&self, current: Option<&Tag>) -> Result<(), Problem> {
        let holds = match (self, current) {
            (Self::None, _) | (Self::Absent, None) | (Self::Present, Some(_)) => true,
            (Self::Tags(allowed), Some(tag)) => allowed.contains(tag),
            _ => false,
        };
        if holds { Ok(()) } else { Err(precondition_failed()) }
    }
}

/// Writes a fact. Returns the number of its last change, which is a new one only if the value
/// or the expiry is another than before.
///
/// # Errors
///
/// 400 for an invalid value or too many facts, 412 where the condition does not hold.
pub fn put(
    sql: &mut Sql<'_>,
    context: &Context,
    identity: &str,
    key: &str,
    new: &Value,
    condition: &Condition,
) -> Result<i64, Problem> {
    check_value(&new.value)?;
    if new.expires.is_some_and(|at| at <= context.now) {
        return Err(Problem::invalid("the fact would have expired already"));
    }
    let stored = stored(sql, identity, key)?;
    let current = stored.as_ref().filter(|it| it.expires.is_none_or(|at| at > context.now));
    condition.check(current.map(|it| &it.change))?;
    if let Some(current) = current
        && current.value == new.value
        && current.expires == new.expires
    {
        return Ok(current.change);
    }
    if stored.is_none() {
        let count = sql.query_one(sql::COUNT, &[identity.into()], |row| row.int(0))?;
        if count.is_some_and(|it| it >= MAX_FACTS) {
            return Err(Problem::invalid(format!(
                "the identity has {MAX_FACTS} facts, and more are not allowed"
            )));
        }
    }
    check_long(sql, identity, key, new, stored.as_ref())?;
    let (version, change) = add_version(sql, context, identity, key, Some(&new.value))?;
    let params = [
        identity.into(),
        key.into(),
        (&new.value).into(),
        version.into(),
        change.into(),
        new.expires.into(),
    ];
    sql.execute(sql::UPSERT, &params)?;
    audit::record(sql, &context.actor, "fact.write", &format!("{identity}/{key}"))?;
    Ok(change)
}

/// Checks that an identity has not too much in long values.
fn check_long(
    sql: &mut Sql<'_>,
    identity: &str,
    key: &str,
    new: &Value,
    stored: Option<&read::Fact>,
) -> Result<(), Problem> {
    let length = |value: &str| i64::try_from(value.len()).unwrap_or(i64::MAX);
    let before = stored.map_or(0, |it| length(&it.value));
    let after = length(&new.value);
    if after <= LONG.max(before) {
        return Ok(());
    }
    let params = [identity.into(), key.into(), LONG.into()];
    let others = sql.query_one(sql::LONG, &params, |row| row.optional_int(0))?.flatten();
    if others.unwrap_or(0) + after <= MAX_LONG {
        return Ok(());
    }
    Err(Problem::invalid(format!(
        "the values of the identity that are longer than {LONG} bytes would have more than \
         {MAX_LONG} bytes together, which is not allowed"
    )))
}

/// Removes a fact, if it exists.
///
/// # Errors
///
/// 412 where the condition does not hold.
pub fn delete(
    sql: &mut Sql<'_>,
    context: &Context,
    identity: &str,
    key: &str,
    condition: &Condition,
) -> Result<(), Problem> {
    let current = read::one(sql, identity, key, context.now)?;
    condition.check(current.as_ref().map(|it| &it.change))?;
    if current.is_some() {
        remove(sql, context, identity, key)?;
        audit::record(sql, &context.actor, "fact.delete", &format!("{identity}/{key}"))?;
    }
    Ok(())
}

/// Writes and removes facts of an identity: `None` removes. A fact that expires keeps its expiry,
/// which a merge cannot name.
///
/// # Errors
///
/// 400 for an invalid value or too many facts.
pub fn merge(
    sql: &mut Sql<'_>,
    context: &Context,
    identity: &str,
    patch: &BTreeMap<String, Option<String>>,
) -> Result<(), Problem> {
    for (key, value) in patch {
        match value {
            Some(value) => {
                let current = read::one(sql, identity, key, context.now)?;
                let expires = current.and_then(|it| it.expires);
                let new = Value { value: value.clone(), expires };
                put(sql, context, identity, key, &new, &Condition::None)?;
            }
            None => delete(sql, context, identity, key, &Condition::None)?,
        }
    }
    Ok(())
}

/// Erases the facts of an identity and their history. Returns whether there was anything.
///
/// # Errors
///
/// The database fails.
pub fn erase(sql: &mut Sql<'_>, context: &Context, identity: &str) -> Result<bool, StorageError> {
    if sql.query_one(sql::HAS_HISTORY, &[identity.into()], |row| row.int(0))?.is_none() {
        return Ok(false);
    }
    sql.execute(sql::ERASE_FACTS, &[identity.into()])?;
    sql.execute(sql::ERASE_VERSIONS, &[identity.into()])?;
    let change = sql.next(CHANGES)?;
    let params = [change.into(), identity.into(), context.now.into()];
    sql.execute(sql::INSERT_ERASURE, &params)?;
    Ok(true)
}

/// Removes facts that have expired, at most `limit`. Returns how many there were.
///
/// # Errors
///
/// The database fails.
pub fn expire(sql: &mut Sql<'_>, context: &Context, limit: i64) -> Result<usize, StorageError> {
    let params = [context.now.into(), limit.into()];
    let expired = sql.query(sql::EXPIRED, &params, |row| Ok((row.text(0)?, row.text(1)?)))?;
    for (identity, key) in &expired {
        remove(sql, context, identity, key)?;
    }
    Ok(expired.len())
}

/// Forgets erasures and the history of removed facts from before a time, and raises the
/// horizon, so that no stream resumes from before them.
///
/// # Errors
///
/// The database fails.
pub fn purge(sql: &mut Sql<'_>, before: i64, limit: i64) -> Result<(), StorageError> {
    let removals = sql.query(sql::OLD_REMOVALS, &[before.into(), limit.into()], |row| {
        Ok((row.text(0)?, row.text(1)?, row.int(2)?))
    })?;
    let erasure =
        sql.query_one(sql::LAST_ERASURE, &[before.into()], |row| row.optional_int(0))?.flatten();
    let horizon = removals.iter().map(|it| it.2).chain(erasure).max();
    for (identity, key, _) in &removals {
        sql.execute(sql::FORGET, &[identity.into(), key.into()])?;
    }
    sql.execute(sql::PURGE_ERASURES, &[before.into()])?;
    if let Some(horizon) = horizon {
        sql.execute(sql::RAISE_HORIZON, &[horizon.into()])?;
    }
    Ok(())
}

/// Prepares a backup that is being restored: raises the number of changes above all that may have been given
/// since the backup was made, so that no stream resumes from a change that was lost, and no
/// entity tag stands for two values.
///
/// # Errors
///
/// The database fails.
pub fn after_restore(sql: &mut Sql<'_>) -> Result<(), StorageError> {
    sql.execute(sql::RAISE_CHANGES, &[LOST_AT_MOST.into()])?;
    let last = sql.last(CHANGES)?;
    sql.execute(sql::RAISE_HORIZON, &[last.into()]).map(drop)
}

fn remove(
    sql: &mut Sql<'_>,
    context: &Context,
    identity: &str,
    key: &str,
) -> Result<(), StorageError> {
    add_version(sql, context, identity, key, None)?;
    sql.execute(sql::DELETE, &[identity.into(), key.into()]).map(drop)
}

/// Adds a version and forgets the oldest. Returns its number and that of the change.
fn add_version(
    sql: &mut Sql<'_>,
    context: &Context,
    identity: &str,
    key: &str,
    value: Option<&str>,
) -> Result<(i64, i64), StorageError> {
    let last = sql
        .query_one(sql::LAST_VERSION, &[identity.into(), key.into()], |row| row.optional_int(0))?;
    let version = last.flatten().unwrap_or(0) + 1;
    let change = sql.next(CHANGES)?;
    let params = [
        identity.into(),
        key.into(),
        version.into(),
        change.into(),
        value.into(),
        context.now.into(),
        (&context.actor).into(),
    ];
    sql.execute(sql::INSERT_VERSION, &params)?;
    if version > VERSIONS {
        let oldest = version - VERSIONS;
        sql.execute(sql::TRIM_VERSIONS, &[identity.into(), key.into(), oldest.into()])?;
    }
    Ok((version, change))
}
