//! Facts of the original, read from its Redis once.
//!
//! The original stores a fact as a string under the key `<identity>:<fact>`, and takes the
//! first colon for the separator. Keys are read in pages, and Redis is never written to. What
//! cannot be a fact is skipped and reported by its name.

use std::collections::BTreeMap;

use redis::{Connection, RedisError};
use secrecy::{ExposeSecret as _, SecretString};
use service::problem::Problem;

use crate::{
    fact::{self, Context},
    name,
    store::Store,
};

/// How many keys are asked for at a time, and written in one transaction.
const PAGE: usize = 500;

/// The actor in the audit.
const ACTOR: &str = "import";

/// What was imported.
#[derive(Debug, Default)]
pub struct Report {
    /// How many keys were facts.
    pub facts: usize,
    /// How many of these were new, or had another value.
    pub changed: usize,
    /// What was skipped.
    pub skipped: Vec<Skipped>,
}

/// A key that was skipped.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// Its name; bytes that are not UTF-8 are escaped.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// An import that failed. What it wrote before remains; it can be repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The URL is invalid. It may have a password, so it is not repeated.
    #[error(
        "the URL of Redis is invalid: expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or \
         rediss:// for TLS"
    )]
    Url(#[source] RedisError),
    /// Redis is unreachable, or rejects a command.
    #[error("cannot read from Redis")]
    Redis(#[from] RedisError),
    /// The facts cannot be written.
    #[error("cannot write facts: {}", .0.detail())]
    Store(Problem),
    /// A task that it needs has ended.
    #[error("the import was interrupted")]
    Interrupted,
}

/// A page of keys with what is stored under them, and where the next page begins.
struct Page {
    facts: Vec<(String, String, String)>,
    skipped: Vec<Skipped>,
    next: u64,
}

/// Reads the facts in the Redis at `url` and writes them to the store; without a store, it
/// only says what it would write.
///
/// # Errors
///
/// Redis or the store fails.
pub async fn import(url: &SecretString, store: Option<&Store>) -> Result<Report, ImportError> {
    // The client of Redis takes what the process has; another may have been chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = redis::Client::open(url.expose_secret()).map_err(ImportError::Url)?;
    let mut connection = Some(blocking(move || client.get_connection()).await?);
    let mut report = Report::default();
    let mut cursor = 0;
    loop {
        let Some(mut used) = connection.take() else { return Err(ImportError::Interrupted) };
        let (used, page) = blocking(move || {
            let page = read(&mut used, cursor)?;
            Ok((used, page))
        })
        .await?;
        connection = Some(used);
        report.facts += page.facts.len();
        report.skipped.extend(page.skipped);
        if let Some(store) = store {
            let (changed, skipped) = write(store, page.facts).await.map_err(ImportError::Store)?;
            report.changed += changed;
            report.facts -= skipped.len();
            report.skipped.extend(skipped);
        }
        if page.next == 0 {
            return Ok(report);
        }
        cursor = page.next;
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RedisError> + Send + 'static,
) -> Result<T, ImportError> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|_| ImportError::Interrupted)?.map_err(ImportError::Redis)
}

fn read(redis: &mut Connection, cursor: u64) -> Result<Page, RedisError> {
    let (next, keys): (u64, Vec<Vec<u8>>) =
        redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(PAGE).query(redis)?;
    let mut page = Page { facts: Vec::new(), skipped: Vec::new(), next };
    if keys.is_empty() {
        return Ok(page);
    }
    let values: Vec<Option<Vec<u8>>> = redis::cmd("MGET").arg(&keys).query(redis)?;
    for (key, value) in keys.into_iter().zip(values) {
        let fact = if let Some(value) = value {
            fact(&key, value)
        } else {
            let kind: String = redis::cmd("TYPE").arg(&key).query(redis)?;
            if kind == "none" {
                // It was deleted after the page was read.
                continue;
            }
            Err(format!("holds a {kind}, not a string"))
        };
        match fact {
            Ok(fact) => page.facts.push(fact),
            Err(reason) => {
                let key = String::from_utf8_lossy(&key).escape_debug().to_string();
                page.skipped.push(Skipped { key, reason });
            }
        }
    }
    Ok(page)
}

/// The identity, the key and the value of a fact, or why it is not one.
fn fact(key: &[u8], value: Vec<u8>) -> Result<(String, String, String), String> {
    let key = std::str::from_utf8(key).map_err(|_| "the name is not UTF-8".to_owned())?;
    let (identity, fact) = key.split_once(':').ok_or("the name has no colon")?;
    let value = String::from_utf8(value).map_err(|_| "the value is not UTF-8".to_owned())?;
    let rules = name::identity(identity)
        .and_then(|()| name::key(fact))
        .and_then(|()| fact::check_value(&value));
    rules.map_err(|problem| problem.detail().to_owned())?;
    Ok((identity.to_owned(), fact.to_owned(), value))
}

/// Writes the facts of a page in one transaction. Returns how many were new or had another
/// value, and which the store rejected.
async fn write(
    store: &Store,
    facts: Vec<(String, String, String)>,
) -> Result<(usize, Vec<Skipped>), Problem> {
    if facts.is_empty() {
        return Ok((0, Vec::new()));
    }
    let identities = facts.iter().map(|it| it.0.clone()).collect();
    store
        .write(identities, move |sql| {
            let context = Context::new(ACTOR);
            let (mut changed, mut skipped) = (0, Vec::new());
            for (identity, key, value) in facts {
                let before = sql.last(fact::CHANGES)?;
                let patch = BTreeMap::from([(key.clone(), Some(value))]);
                match fact::merge(sql, &context, &identity, &patch) {
                    Ok(()) => changed += usize::from(sql.last(fact::CHANGES)? != before),
                    // Too many facts: the others are still wanted.
                    Err(problem) if problem.status().is_client_error() => {
                        let key = format!("{identity}:{key}").escape_debug().to_string();
                        skipped.push(Skipped { key, reason: problem.detail().to_owned() });
                    }
                    Err(problem) => return Err(problem),
                }
            }
            Ok((changed, skipped))
        })
        .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_first_colon_separates_identity_and_key() {
        let (identity, key, value) = fact(b"acme:a:b", b"v".to_vec()).unwrap();
        assert_eq!((&*identity, &*key, &*value), ("acme", "a:b", "v"));
    }

    #[test]
    fn what_the_grammar_forbids_is_not_a_fact() {
        let long = format!("{}:k", "x".repeat(161));
        for key in [":k", "a:", "a", "a:b/c", "..:k", "a\n:k", &long] {
            assert!(fact(key.as_bytes(), b"v".to_vec()).is_err(), "{key:?}");
        }
        for value in [vec![], vec![0xff], vec![0], vec![b'x'; (64 << 10) + 1]] {
            assert!(fact(b"a:k", value).is_err());
        }
        assert!(fact(b"a\xff:k", b"v".to_vec()).is_err());
    }
}
