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
    secret::{self, Names},
    store::Store,
};

/// What somebody may know of identities.
#[derive(Clone)]
pub(crate) struct Reads {
    /// Whether they have facts.
    pub(crate) facts: bool,
    /// Which have secrets.
    pub(crate) secrets: Names,
}

impl Reads {
    /// What the caller may know of the identities with a prefix.
    pub(crate) async fn of(
        store: &Store,
        principal: &Principal,
        prefix: &str,
    ) -> Result<Self, Problem> {
        let facts = principal.may("facts-read");
        let may_read_secrets = principal.may("secrets-read");
        if !may_read_secrets {
            principal.require("facts-read")?;
        }
        let secrets =
            if may_read_secrets { store.secrets().names(prefix).await } else { Names::Hidden };
        if secrets.are_missing() && !facts {
            return Err(secret::unavailable());
        }
        Ok(Self { facts, secrets })
    }
}

/// An identity in a list.
pub(crate) struct Listed {
    pub(crate) name: String,
    /// Whether it has facts.
    pub(crate) facts: bool,
    /// Whether it has secrets; `None`: nobody knows.
    pub(crate) secrets: Option<bool>,
}

/// A page of the identities with one of the prefixes, which are in order: those after `after`, at
/// most `limit`, and the last of them if there may be more.
pub(crate) fn page(
    sql: &mut Sql<'_>,
    reads: &Reads,
    prefixes: &[String],
    after: &str,
    limit: i64,
) -> Result<(Vec<Listed>, Option<String>), StorageError> {
    let mut found = Vec::new();
    for prefix in prefixes {
        let left = limit - i64::try_from(found.len()).unwrap_or(limit);
        found.extend(with_prefix(sql, reads, prefix, after, left)?);
        if i64::try_from(found.len()) == Ok(limit) {
            let last = found.last().map(|it| it.name.clone());
            return Ok((found, last));
        }
    }
    Ok((found, None))
}

fn with_prefix(
    sql: &mut Sql<'_>,
    reads: &Reads,
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
    let secrets = reads.secrets.page(sql, prefix, after, limit)?;
    let knows_secrets = secrets.is_some();
    for identity in secrets.unwrap_or_default() {
        found.entry(identity).or_default().1 = true;
    }
    let found = found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found
        .map(|(name, (facts, secrets))| Listed {
            name,
            facts,
            secrets: knows_secrets.then_some(secrets),
        })
        .collect())
}

/// Erases an identity with its history.
pub(crate) async fn erase(
    store: &Store,
    principal: &Principal,
    identity: String,
) -> Result<(), Problem> {
    principal.require_for("facts-write", &identity)?;
    principal.require_for("secrets-write", &identity)?;
    let context = Context::new(principal.name());
    // First what lies outside: if that fails, nothing has changed, and if the rest fails, the
    // same request ends it.
    let outside = store.secrets().erase_outside(store.storage(), &context, &identity).await?;
    let erased = store
        .write(vec![identity.clone()], move |sql| {
            let facts = fact::erase(sql, &context, &identity)?;
            let secrets = secret::erase(sql, &identity)?;
            if facts || secrets || outside {
                audit::record(sql, &context.actor, "identity.erase", &identity)?;
            }
            Ok(())
        })
        .await;
    erased.map_err(|problem| if outside { half_erased(&problem) } else { problem })
}

fn half_erased(problem: &Problem) -> Problem {
    Problem::new(
        problem.status(),
        "half_erased",
        "the secrets were erased, but the facts were not, since the database failed: repeat the \
         request",
    )
}
