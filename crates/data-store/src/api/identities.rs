//! Identities, which exist while they have a fact or a secret.

use std::{future::ready, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
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
    let end = if reads.secrets.are_missing() { "},\"unavailable\":[\"secrets\"]" } else { "}" };
    let prefixes = principal.within(&page.prefix);
    let pages = Arc::new(Pages { store, reads, prefixes });
    let (first, next) = pages.read(page.after, limit).await?;
    let begin = format!("{{\"identities\":{{{}", first.join(","));
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    if single || next.is_none() {
        let next = next.map(|it| format!(",\"next\":{}", json!(it))).unwrap_or_default();
        return Ok((json, format!("{begin}{end}{next}}}")).into_response());
    }
    // Without a limit the response has all identities, and is written as they are read.
    let rest = stream::try_unfold((next, first.is_empty()), move |(next, is_first)| {
        let pages = Arc::clone(&pages);
        async move {
            let Some(after) = next else { return Ok(None) };
            // The connection breaks off: the client sees that the response has no end.
            let broken = |problem: Problem| std::io::Error::other(problem.detail().to_owned());
            let (members, next) = pages.read(after, PAGE).await.map_err(broken)?;
            let separator = if is_first || members.is_empty() { "" } else { "," };
            let is_first = is_first && members.is_empty();
            Ok(Some((format!("{separator}{}", members.join(",")), (next, is_first))))
        }
    });
    let text = |text| stream::once(ready(Ok::<String, std::io::Error>(text)));
    let body = text(begin).chain(rest).chain(text(format!("{end}}}")));
    Ok((json, Body::from_stream(body)).into_response())
}

/// The pages of a list.
struct Pages {
    store: Store,
    reads: Reads,
    prefixes: Vec<String>,
}

impl Pages {
    /// The members of the response for a page of identities, and the last identity if there may be
    /// more.
    async fn read(
        &self,
        after: String,
        limit: i64,
    ) -> Result<(Vec<String>, Option<String>), Problem> {
        let (reads, prefixes) = (self.reads.clone(), self.prefixes.clone());
        let read = self
            .store
            .storage()
            .read(move |sql| identity::page(sql, &reads, &prefixes, &after, limit));
        let (found, next) = read.await?;
        Ok((found.iter().map(|it| self.member(it)).collect(), next))
    }

    fn member(&self, Listed { name, facts, secrets }: &Listed) -> String {
        let mut has = serde_json::Map::new();
        if self.reads.facts {
            has.insert("facts".to_owned(), (*facts).into());
        }
        if let Some(secrets) = secrets {
            has.insert("secrets".to_owned(), (*secrets).into());
        }
        format!("{}:{}", json!(name), json!(has))
    }
}

/// `DELETE /identity/{identity}`: erases an identity with its history.
pub(super) async fn erase(
    State(store): State<Store>,
    principal: Principal,
    Identity(identity): Identity,
) -> Result<(), Problem> {
    identity::erase(&store, &principal, identity).await
}
