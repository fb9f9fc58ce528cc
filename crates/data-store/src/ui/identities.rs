//! The list of identities.

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use service::{
    access::Principal,
    page::{self, Errors, Form, Frame, Visit, filled},
    problem::Problem,
    storage::{Sql, StorageError},
};

use super::path;
use crate::{
    api::request::Params,
    fact::{self, Condition, Context, Value},
    identity::{self, Listed, Reads},
    name,
    store::Store,
};

/// How many identities a page has.
const SHOWN: usize = 50;
/// How many identities are read at a time where no index helps, and how many for one page: a
/// search must not read a million of them at each key.
const AT_ONCE: usize = 2_000;
const SCANNED: usize = 100_000;

/// What somebody looks for, and which page of it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Search {
    q: String,
    after: String,
    scan: String,
}

/// Where the next page begins.
enum Next {
    /// After an identity that begins with what is looked for.
    After(String),
    /// After an identity that was looked at.
    Scan(String),
}

struct Found {
    list: Vec<Listed>,
    next: Option<Next>,
}

#[derive(Template)]
#[template(path = "identities.html")]
struct Identities {
    frame: Frame,
    q: String,
    found: Found,
    /// Whether the secrets cannot be listed at the moment.
    are_missing: bool,
    may_write: bool,
    new: New,
    errors: Errors,
}

/// `GET /ui`: identities whose names contain a string; those that begin with it come first.
pub(super) async fn list(
    State(store): State<Store>,
    visit: Visit,
    Params(search): Params<Search>,
) -> Result<Response, Problem> {
    let new = New { identity: search.q.clone(), ..New::default() };
    page::html(&page(&store, visit, search, new, Errors::default()).await?)
}

async fn page(
    store: &Store,
    visit: Visit,
    search: Search,
    new: New,
    errors: Errors,
) -> Result<Identities, Problem> {
    let Visit { principal, frame } = visit;
    let reads = Reads::of(store, &principal, "").await?;
    let are_missing = reads.secrets.are_missing();
    let may_write = principal.may("facts-write");
    let q = search.q.clone();
    let found = store.storage().read(move |sql| find(sql, &principal, &reads, search)).await?;
    Ok(Identities { frame, q, found, are_missing, may_write, new, errors })
}

fn find(
    sql: &mut Sql<'_>,
    principal: &Principal,
    reads: &Reads,
    search: Search,
) -> Result<Found, StorageError> {
    let Search { q, mut after, scan } = search;
    let mut list = Vec::new();
    // No name contains one, and PostgreSQL rejects some.
    if [&q, &after, &scan].iter().any(|it| it.contains(char::is_control)) {
        return Ok(Found { list, next: None });
    }
    let size = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    if scan.is_empty() {
        let (page, next) = identity::page(sql, reads, &principal.within(&q), &after, size(SHOWN))?;
        list = page;
        if next.is_some() || q.is_empty() {
            return Ok(Found { list, next: next.map(Next::After) });
        }
    }
    let wanted = q.to_lowercase();
    let fits = |it: &Listed| !it.name.starts_with(&q) && it.name.to_lowercase().contains(&wanted);
    let all = principal.within("");
    after = scan;
    for _ in 0..SCANNED / AT_ONCE {
        let (page, next) = identity::page(sql, reads, &all, &after, size(AT_ONCE))?;
        for it in page {
            after.clone_from(&it.name);
            if fits(&it) {
                list.push(it);
                if list.len() == SHOWN {
                    return Ok(Found { list, next: Some(Next::Scan(after)) });
                }
            }
        }
        if next.is_none() {
            return Ok(Found { list, next: None });
        }
    }
    Ok(Found { list, next: Some(Next::Scan(after)) })
}

/// A new identity, with its first fact.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct New {
    identity: String,
    key: String,
    value: String,
}

/// `POST /ui`: adds an identity.
pub(super) async fn create(
    State(store): State<Store>,
    visit: Visit,
    Form(new): Form<New>,
) -> Result<Response, Problem> {
    visit.principal.require("facts-write")?;
    let mut errors = Errors::default();
    errors.check("identity", name::identity(&new.identity))?;
    errors.check("key", name::key(&new.key))?;
    errors.check("value", fact::check_value(&new.value))?;
    if errors.is_empty() {
        visit.principal.require_for("facts-write", &new.identity)?;
        let context = Context::new(visit.principal.name());
        let New { identity, key, value } = &new;
        let (identity, key) = (identity.clone(), key.clone());
        let value = Value { value: value.clone(), expires: None };
        let written = store.write(vec![identity.clone()], move |sql| {
            fact::put(sql, &context, &identity, &key, &value, &Condition::Absent)
        });
        let written = written.await.map_err(|problem| match problem.code() {
            "precondition_failed" => Problem::invalid("the identity has a fact with this key"),
            _ => problem,
        });
        if errors.check("key", written)?.is_some() {
            let message = format!("Added {} with the fact {}.", new.identity, new.key);
            return Ok(page::redirect(&path(&new.identity), &message));
        }
    }
    let search = Search { q: filled(&new.identity).unwrap_or_default(), ..Search::default() };
    page::invalid(&page(&store, visit, search, new, errors).await?)
}
