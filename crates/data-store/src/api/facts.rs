//! Facts.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use service::{access::Principal, problem::Problem, storage::StorageError, time};

use super::request::{
    Identity, IfFact, IfFacts, Json, Named, PAGE, Params, is_known, limit, moment, tag,
};
use crate::{
    fact::{self, Condition, Context, Fact, MAX_FACTS, Value},
    name,
    store::Store,
};

/// Up to which change a response contains everything.
const SEQUENCE: HeaderName = HeaderName::from_static("flagops-sequence");
/// When a fact expires.
const EXPIRES: HeaderName = HeaderName::from_static("flagops-expires");

const READ: &str = "facts-read";
const WRITE: &str = "facts-write";

/// How many facts one bulk write has at most.
const MAX_BULK: usize = 10_000;

/// Which identities a page is about.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Page {
    pub(super) prefix: String,
    pub(super) after: String,
    pub(super) limit: Option<i64>,
}

/// `GET /fact`: identities with their facts, in pages.
pub(super) async fn list(
    State(store): State<Store>,
    principal: Principal,
    Params(page): Params<Page>,
) -> Result<Response, Problem> {
    principal.require(READ)?;
    let limit = limit(page.limit, PAGE)?;
    let prefixes = principal.within(&page.prefix);
    let read = store.storage().read(move |sql| -> Result<_, StorageError> {
        fact::page(sql, &prefixes, &page.after, limit, time::now())
    });
    let fact::Page { facts, next, sequence } = read.await?;
    let mut body = json!({ "facts": facts });
    if let Some(next) = next {
        body["next"] = next.into();
    }
    Ok(([(SEQUENCE, HeaderValue::from(sequence))], axum::Json(body)).into_response())
}

/// `GET /fact/{identity}`: the facts of an identity.
pub(super) async fn read(
    State(store): State<Store>,
    principal: Principal,
    Identity(identity): Identity,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    principal.require_for(READ, &identity)?;
    let page = store.facts(identity).await?;
    let sequence = (SEQUENCE, page.sequence.clone());
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if page.is_empty {
        // No problem details: the original's provider takes an empty object for what it is,
        // and evaluates without facts.
        return Ok((StatusCode::NOT_FOUND, [sequence, json], "{}").into_response());
    }
    let tag = (header::ETAG, page.tag.clone());
    if is_known(&headers, &page.tag)? {
        return Ok((StatusCode::NOT_MODIFIED, [sequence, tag]).into_response());
    }
    Ok(([sequence, tag, json], page.body.clone()).into_response())
}

/// `GET /fact/{identity}/{key}`: one fact.
pub(super) async fn read_one(
    State(store): State<Store>,
    principal: Principal,
    Named { identity, key }: Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    principal.require_for(READ, &identity)?;
    let name = key.clone();
    let read = store.storage().read(move |sql| -> Result<_, Problem> {
        let now = time::now();
        let sequence = sql.last(fact::CHANGES)?;
        if let Some(fact) = fact::one(sql, &identity, &key, now)? {
            return Ok((fact, sequence));
        }
        let any = !fact::identity(sql, &identity, now)?.facts.is_empty();
        Err(if any { fact::fact_not_found() } else { fact::identity_not_found() })
    });
    let (fact, sequence) = read.await?;
    let Fact { value, change, expires, .. } = fact;
    let tag = number_tag(change);
    let mut response = if is_known(&headers, &tag)? {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        axum::Json(BTreeMap::from([(name, value)])).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(SEQUENCE, sequence.into());
    headers.insert(header::ETAG, tag);
    if let Some(expires) = expires.and_then(|at| time::rfc3339(at).parse().ok()) {
        headers.insert(EXPIRES, expires);
    }
    Ok(response)
}

/// A new value, as it is written.
#[derive(Deserialize)]
pub(super) struct NewValue {
    /// The original takes the name of the member in any letter case.
    #[serde(alias = "Value", alias = "VALUE")]
    value: String,
    /// In how many seconds the fact expires.
    expires_in: Option<u32>,
    /// When the fact expires, in RFC 3339.
    expires_at: Option<String>,
}

/// `PUT /fact/{identity}/{key}`: writes a fact.
pub(super) async fn write(
    State(store): State<Store>,
    principal: Principal,
    Named { identity, key }: Named,
    IfFact(condition): IfFact,
    Json(new): Json<NewValue>,
) -> Result<Response, Problem> {
    principal.require_for(WRITE, &identity)?;
    let context = Context::new(principal.name());
    let expires = match (new.expires_in, new.expires_at) {
        (None, None) => None,
        (Some(seconds), None) => Some(context.now + i64::from(seconds) * 1_000),
        (None, Some(at)) => Some(moment("expires_at", &at)?),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("a fact takes either expires_in or expires_at"));
        }
    };
    let value = Value { value: new.value, expires };
    let change = store
        .write(vec![identity.clone()], move |sql| {
            fact::put(sql, &context, &identity, &key, &value, &condition)
        })
        .await?;
    Ok([(header::ETAG, number_tag(change))].into_response())
}

/// `DELETE /fact/{identity}/{key}`: removes a fact.
pub(super) async fn delete(
    State(store): State<Store>,
    principal: Principal,
    Named { identity, key }: Named,
    IfFact(condition): IfFact,
) -> Result<(), Problem> {
    principal.require_for(WRITE, &identity)?;
    let context = Context::new(principal.name());
    store
        .write(vec![identity.clone()], move |sql| {
            if fact::identity(sql, &identity, context.now)?.facts.is_empty() {
                return Err(fact::identity_not_found());
            }
            fact::delete(sql, &context, &identity, &key, &condition)
        })
        .await
}

/// Facts to write, and `null` for those to remove
/// ([JSON Merge Patch](https://www.rfc-editor.org/rfc/rfc7396)).
type Patch = BTreeMap<String, Option<String>>;

/// `PATCH /fact/{identity}`: writes and removes facts of an identity. A fact that expires keeps its
/// expiry.
pub(super) async fn merge(
    State(store): State<Store>,
    principal: Principal,
    Identity(identity): Identity,
    IfFacts(condition): IfFacts,
    Json(patch): Json<Patch>,
) -> Result<Response, Problem> {
    principal.require_for(WRITE, &identity)?;
    check(&patch)?;
    let context = Context::new(principal.name());
    let tag = store
        .write(vec![identity.clone()], move |sql| {
            let current_tag = |sql: &mut _| -> Result<_, StorageError> {
                let facts = fact::identity(sql, &identity, context.now)?.facts;
                let body = serde_json::to_vec(&facts).unwrap_or_default();
                Ok((!facts.is_empty()).then(|| tag(&body)))
            };
            if condition != Condition::None {
                let current = current_tag(sql)?;
                let current = current.as_ref().and_then(|it| it.to_str().ok()).map(str::to_owned);
                condition.check(current.as_ref())?;
            }
            fact::merge(sql, &context, &identity, &patch)?;
            Ok(current_tag(sql)?)
        })
        .await?;
    let mut response = StatusCode::OK.into_response();
    if let Some(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// `PATCH /fact`: writes and removes facts of many identities, all or none.
pub(super) async fn merge_many(
    State(store): State<Store>,
    principal: Principal,
    Json(patches): Json<BTreeMap<String, Patch>>,
) -> Result<(), Problem> {
    principal.require(WRITE)?;
    if patches.values().map(BTreeMap::len).sum::<usize>() > MAX_BULK {
        return Err(Problem::invalid(format!("more than {MAX_BULK} facts in one request")));
    }
    for (identity, patch) in &patches {
        name::identity(identity)?;
        principal.require_for(WRITE, identity)?;
        check(patch)?;
    }
    let context = Context::new(principal.name());
    store
        .write(patches.keys().cloned().collect(), move |sql| {
            patches
                .iter()
                .try_for_each(|(identity, patch)| fact::merge(sql, &context, identity, patch))
        })
        .await
}

fn check(patch: &Patch) -> Result<(), Problem> {
    if i64::try_from(patch.len()).is_ok_and(|it| it > MAX_FACTS) {
        return Err(Problem::invalid(format!("more than {MAX_FACTS} facts for one identity")));
    }
    for (key, value) in patch {
        name::key(key)?;
        if let Some(value) = value {
            fact::check_value(value)?;
        }
    }
    Ok(())
}

/// Which versions a page of the history has.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HistoryPage {
    before: Option<i64>,
    limit: Option<i64>,
}

/// `GET /fact/{identity}/{key}/history`: the last versions of a fact.
pub(super) async fn history(
    State(store): State<Store>,
    principal: Principal,
    Named { identity, key }: Named,
    Params(page): Params<HistoryPage>,
) -> Result<axum::Json<serde_json::Value>, Problem> {
    principal.require_for(READ, &identity)?;
    let limit = limit(page.limit, fact::VERSIONS)?;
    let before = page.before.unwrap_or(i64::MAX);
    let versions =
        store.storage().read(move |sql| fact::history(sql, &identity, &key, before, limit)).await?;
    if versions.is_empty() && page.before.is_none() {
        return Err(fact::fact_not_found());
    }
    Ok(axum::Json(json!({ "versions": versions })))
}

/// The entity tag of a fact: the number of its last change.
pub(super) fn number_tag(change: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{change}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}
