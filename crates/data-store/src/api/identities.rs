//! Identities, which exist while they have a fact or a secret.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use service::{access::Principal, audit, problem::Problem, storage::StorageError, time};

use super::{
    facts::Page,
    request::{Identity, PAGE, Params, limit},
};
use crate::{
    fact::{self, Context},
    secret::{self, Names},
    store::Store,
};

/// `GET /identity`: identities, and what they have.
pub(super) async fn list(
    State(store): State<Store>,
    principal: Principal,
    Params(page): Params<Page>,
) -> Result<Response, Problem> {
    let may_read_secrets = principal.may("secrets-read");
    if !may_read_secrets {
        principal.require("facts-read")?;
    }
    let single = page.limit.is_some();
    let limit = limit(page.limit, PAGE)?;
    let secrets =
        if may_read_secrets { store.secrets().names(&page.prefix).await } else { Names::Hidden };
    if secrets.are_missing() && !principal.may("facts-read") {
        return Err(secret::unavailable());
    }
    let end = if secrets.are_missing() { "},\"unavailable\":[\"secrets\"]" } else { "}" };
    let reads = Reads { facts: principal.may("facts-read"), secrets };
    let (first, next) = read(&store, &principal, &reads, &page.prefix, page.after, limit).await?;
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    if single || next.is_none() {
        let mut text = format!("{{\"identities\":{{{first}{end}");
        if let Some(next) = next {
            text += ",\"next\":";
            text += &json!(next).to_string();
        }
        text.push('}');
        return Ok((json, text).into_response());
    }
    // Without a limit the response has all identities, and is written as they are read.
    let caller = (store, principal, reads, page.prefix);
    let state = (Some(format!("{{\"identities\":{{{first}")), next, caller);
    let body = stream::unfold(Some(state), move |state| async move {
        let (chunk, next, caller) = state?;
        if let Some(chunk) = chunk {
            return Some((Ok(Bytes::from(chunk)), Some((None, next, caller))));
        }
        let Some(after) = next else { return Some((Ok(format!("{end}}}").into()), None)) };
        let (store, principal, reads, prefix) = &caller;
        match read(store, principal, reads, prefix, after, PAGE).await {
            Ok((chunk, next)) => {
                let chunk = if chunk.is_empty() { chunk } else { format!(",{chunk}") };
                Some((Ok(chunk.into()), Some((None, next, caller))))
            }
            // The connection breaks off: the client sees that the response has no end.
            Err(problem) => Some((Err(std::io::Error::other(problem.detail().to_owned())), None)),
        }
    });
    Ok((json, Body::from_stream(body)).into_response())
}

/// What the caller may know.
struct Reads {
    facts: bool,
    secrets: Names,
}

/// The members of the response for a page of identities, and the last identity if there may be
/// more.
async fn read(
    store: &Store,
    principal: &Principal,
    reads: &Reads,
    prefix: &str,
    after: String,
    limit: i64,
) -> Result<(String, Option<String>), Problem> {
    let prefix = prefix.to_owned();
    let (reads_facts, names) = (reads.facts, reads.secrets.clone());
    let found = store.storage().read(move |sql| -> Result<_, StorageError> {
        // Each list has a page, so together they have the next page of both.
        let mut found: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        if reads_facts {
            for identity in fact::identities(sql, &prefix, &after, limit, time::now())? {
                found.entry(identity).or_default().0 = true;
            }
        }
        let secrets = names.page(sql, &prefix, &after, limit)?;
        let knows_secrets = secrets.is_some();
        for identity in secrets.unwrap_or_default() {
            found.entry(identity).or_default().1 = true;
        }
        Ok((found, knows_secrets))
    });
    let (found, knows_secrets) = found.await?;
    let found: Vec<_> =
        found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
    let next = found.last().filter(|_| i64::try_from(found.len()) == Ok(limit));
    let next = next.map(|(identity, _)| identity.clone());
    let mut text = String::new();
    for (identity, (facts, secrets)) in found.iter().filter(|it| principal.covers(&it.0)) {
        let mut has = serde_json::Map::new();
        if reads.facts {
            has.insert("facts".to_owned(), (*facts).into());
        }
        if knows_secrets {
            has.insert("secrets".to_owned(), (*secrets).into());
        }
        text += if text.is_empty() { "" } else { "," };
        text += &json!(identity).to_string();
        text += ":";
        text += &json!(has).to_string();
    }
    Ok((text, next))
}

/// `DELETE /identity/{identity}`: erases an identity with its history.
pub(super) async fn erase(
    State(store): State<Store>,
    principal: Principal,
    Identity(identity): Identity,
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
