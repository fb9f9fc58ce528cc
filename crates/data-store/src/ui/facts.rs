//! The forms for facts, and the history of a fact.

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use service::{
    page::{self, Errors, Form, Frame, Visit, moment},
    problem::Problem,
    time,
};

use super::{
    identity::{Edit, View, render},
    lines, path,
};
use crate::{
    api::request::{Identity, Named, Params},
    fact::{self, Condition, Context, Value, Version},
    name,
    store::Store,
};

const READ: &str = "facts-read";
const WRITE: &str = "facts-write";

/// How many versions a page of the history has.
const SHOWN: i64 = 50;

/// A new fact, as it is written into the form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NewFact {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) expires: String,
}

/// `POST /ui/identity/{identity}/fact`: adds a fact.
pub(super) async fn add(
    State(store): State<Store>,
    visit: Visit,
    Identity(identity): Identity,
    Form(mut new): Form<NewFact>,
) -> Result<Response, Problem> {
    visit.principal.require_for(WRITE, &identity)?;
    new.value = lines(&new.value);
    let context = Context::new(visit.principal.name());
    let mut errors = Errors::default();
    errors.check("key", name::key(&new.key))?;
    errors.check("value", fact::check_value(&new.value))?;
    let expires = errors.check("expires", expiry(&new.expires, &context))?.flatten();
    if errors.is_empty() {
        let (of, key) = (identity.clone(), new.key.clone());
        let value = Value { value: new.value.clone(), expires };
        let written = store.write(vec![identity.clone()], move |sql| {
            fact::put(sql, &context, &of, &key, &value, &Condition::Absent)
        });
        let written = written.await.map_err(|problem| match problem.code() {
            "precondition_failed" => Problem::invalid("there is a fact with this key: edit it"),
            _ => problem,
        });
        if errors.check("key", written)?.is_some() {
            return Ok(page::redirect(&path(&identity), &format!("Added {}.", new.key)));
        }
    }
    let view = View { add: new, add_errors: errors, ..View::default() };
    render(&store, visit, identity, view).await
}

/// A changed fact, as it is written into the form.
#[derive(Deserialize)]
pub(super) struct Changed {
    value: String,
    #[serde(default)]
    expires: String,
    change: i64,
}

/// `POST /ui/identity/{identity}/fact/{key}`: changes a fact, unless somebody else did since it
/// was read.
pub(super) async fn edit(
    State(store): State<Store>,
    visit: Visit,
    Named { identity, key }: Named,
    Form(Changed { value, expires, change }): Form<Changed>,
) -> Result<Response, Problem> {
    visit.principal.require_for(WRITE, &identity)?;
    let value = lines(&value);
    let context = Context::new(visit.principal.name());
    let mut errors = Errors::default();
    errors.check("value", fact::check_value(&value))?;
    let at = errors.check("expires", expiry(&expires, &context))?.flatten();
    let mut edit =
        Edit { key: key.clone(), value: value.clone(), expires, change, is_late: false, errors };
    if edit.errors.is_empty() {
        let (of, name) = (identity.clone(), key.clone());
        let value = Value { value, expires: at };
        let condition = Condition::Tags(vec![change]);
        let written = store.write(vec![identity.clone()], move |sql| {
            fact::put(sql, &context, &of, &name, &value, &condition)
        });
        match written.await {
            Ok(_) => return Ok(page::redirect(&path(&identity), &format!("Saved {key}."))),
            Err(problem) if problem.code() == "precondition_failed" => {
                let (of, name) = (identity.clone(), key.clone());
                let now = store.storage().read(move |sql| fact::one(sql, &of, &name, time::now()));
                match now.await? {
                    // Whoever saves again has seen what the page shows now.
                    Some(now) => (edit.change, edit.is_late) = (now.change, true),
                    None => return removed(&store, visit, identity, edit).await,
                }
            }
            Err(problem) => drop(edit.errors.check::<()>("value", Err(problem))?),
        }
    }
    render(&store, visit, identity, View { edit: Some(edit), ..View::default() }).await
}

/// The page after somebody else removed the fact that was edited: what was written is kept in
/// the form that adds one.
async fn removed(
    store: &Store,
    visit: Visit,
    identity: String,
    Edit { key, value, expires, mut errors, .. }: Edit,
) -> Result<Response, Problem> {
    errors.add("key", "somebody else has removed this fact: add it again, or leave it");
    let add = NewFact { key, value, expires };
    render(store, visit, identity, View { add, add_errors: errors, ..View::default() }).await
}

/// `POST /ui/identity/{identity}/fact/{key}/delete`: removes a fact.
pub(super) async fn delete(
    State(store): State<Store>,
    visit: Visit,
    Named { identity, key }: Named,
) -> Result<Response, Problem> {
    visit.principal.require_for(WRITE, &identity)?;
    let context = Context::new(visit.principal.name());
    let (of, name) = (identity.clone(), key.clone());
    store
        .write(vec![identity.clone()], move |sql| {
            fact::delete(sql, &context, &of, &name, &Condition::None)
        })
        .await?;
    Ok(page::redirect(&path(&identity), &format!("Deleted {key}.")))
}

fn expiry(text: &str, context: &Context) -> Result<Option<i64>, Problem> {
    let at = moment(text)?;
    if at.is_some_and(|at| at <= context.now) {
        return Err(Problem::invalid("this time is in the past"));
    }
    Ok(at)
}

/// Which page of a history.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Before {
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "history.html")]
struct History {
    frame: Frame,
    key: String,
    identity: String,
    path: String,
    versions: Vec<Version>,
    next: Option<i64>,
}

/// `GET /ui/identity/{identity}/fact/{key}`: the versions of a fact.
pub(super) async fn history(
    State(store): State<Store>,
    visit: Visit,
    Named { identity, key }: Named,
    Params(Before { before }): Params<Before>,
) -> Result<Response, Problem> {
    visit.principal.require_for(READ, &identity)?;
    let (of, name) = (identity.clone(), key.clone());
    let before = before.unwrap_or(i64::MAX);
    let read = store.storage().read(move |sql| fact::history(sql, &of, &name, before, SHOWN));
    let versions = read.await?;
    if versions.is_empty() && before == i64::MAX {
        return Err(fact::fact_not_found());
    }
    let is_full = i64::try_from(versions.len()) == Ok(SHOWN);
    let next = versions.last().map(|it| it.version).filter(|it| is_full && *it > 1);
    let path = path(&identity);
    page::html(&History { frame: visit.frame, key, identity, path, versions, next })
}
