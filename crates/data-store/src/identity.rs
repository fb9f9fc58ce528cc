//! Identities, which exist while they have a fact or a secret.

use std::collections::BTreeMap;

use service::{
    access::Principal,
    audit,
    problem::Problem,
    storage::{Sql, StorageError},
    time,
};

use crate::{
    fact::{self, Context},
    secret,
    store::Store,
};

/// What somebody may know of identities.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    /// Whether they have facts.
    pub facts: bool,
    /// Whether they have secrets.
    pub secrets: bool,
}

impl Reads {
    /// What the caller may know.
    ///
    /// # Errors
    ///
    /// 403 where that is nothing.
    pub fn of(principal: &Principal) -> Result<Self, Problem> {
        let reads =
            Self { facts: principal.may("facts-read"), secrets: principal.may("secrets-read") };
        if !reads.facts && !reads.secrets {
            principal.require("facts-read")?;
        }
        Ok(reads)
    }
}

/// An identity in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Whether it has facts.
    pub facts: bool,
    /// Whether it has secrets.
    pub secrets: bool,
}

/// Identities in order: those with the prefix, after `after`, at most `limit`.
///
/// # Errors
///
/// The database fails.
pub fn page(
    sql: &mut Sql<'_>,
    reads: Reads,
    prefix: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Listed>, StorageError> {
    // Each list has a page, so together they have the next page of both.
    let mut found: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    if reads.facts {
        for identity in fact::identities(sql, prefix, after, limit, time::now())? {
            found.entry(identity).or_default().0 = true;
        }
    }
    if reads.secrets {
        for identity in secret::identities(sql, prefix, after, limit)? {
            found.entry(identity).or_default().1 = true;
        }
    }
    let found = found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found.map(|(name, (facts, secrets))| Listed { name, facts, secrets }).collect())
}

/// Erases an identity with its history.
///
/// # Errors
///
/// 403 without the permission to write facts and secrets; 503 where the database is unavailable.
pub async fn erase(store: &Store, principal: &Principal, identity: String) -> Result<(), Problem> {
    principal.require_for("facts-write", &identity)?;
    principal.require_for("secrets-write", &identity)?;
    let context = Context::new(principal.name());
    store
        .write(vec![identity.clone()], move |sql| {
            let facts = fact::erase(sql, &context, &identity)?;
            let secrets = secret::erase(sql, &identity)?;
            if facts || secrets {
                audit::record(sql, &context.actor, "identity.erase", &identity)?;
            }
            Ok(())
        })
        .await
}
