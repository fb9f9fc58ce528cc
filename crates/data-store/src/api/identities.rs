//! Identities, which exist while they have a fact or a secret.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use service::{access::Principal, problem::Problem};

use super::{
    facts::Page,
    request::{Identity, PAGE, Params, limit},
};
use crate::{
    identity::{self, Listed, Reads},
    store::Store,
};

/// `GET /identity`: identities, and what they have.
pub(super) async fn list(
    State(store): State<Store>,
    principal: Principal,
    Params(page): Params<Page>,
) -> Result<Response, Problem> {
    let single = page.limit.is_some();
    let limit = limit(page.limit, PAGE)?;
    let reads = Reads::of(&store, &principal, &page.prefix).await?;
    let missing = reads.secrets.are_missing();
    let end = if missing { "},\"unavailable\":[\"secrets\"]" } else { "}" };
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
    let wanted = reads.clone();
    let read =
        store.storage().read(move |sql| identity::page(sql, &wanted, &prefix, &after, limit));
    let found = read.await?;
    let next = found.last().filter(|_| i64::try_from(found.len()) == Ok(limit));
    let next = next.map(|it| it.name.clone());
    let mut text = String::new();
    for Listed { name, facts, secrets } in found.iter().filter(|it| principal.covers(&it.name)) {
        let mut has = serde_json::Map::new();
        if reads.facts {
            has.insert("facts".to_owned(), (*facts).into());
        }
        if let Some(secrets) = secrets {
            has.insert("secrets".to_owned(), (*secrets).into());
        }
        text += if text.is_empty() { "" } else { "," };
        text += &json!(name).to_string();
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
    identity::erase(&store, &principal, identity).await
}
