//! The forms for secrets. A secret is shown only where somebody asks for it, and the audit
//! says who did.

use axum::{extract::State, response::Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use service::{
    page::{self, Errors, Form, Visit},
    problem::Problem,
};

use super::{
    identity::{Replace, View, render},
    lines, path,
};
use crate::{
    api::request::{Identity, Named},
    fact::{Condition, Context},
    name,
    store::Store,
};

const READ: &str = "secrets-read";
const WRITE: &str = "secrets-write";

/// A new secret, as it is written into the form. Its value is not sent back.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NewSecret {
    pub(super) key: String,
    value: SecretString,
}

/// `POST /ui/identity/{identity}/secret`: adds a secret.
pub(super) async fn add(
    State(store): State<Store>,
    visit: Visit,
    Identity(identity): Identity,
    Form(new): Form<NewSecret>,
) -> Result<Response, Problem> {
    visit.principal.require_for(WRITE, &identity)?;
    let mut errors = Errors::default();
    errors.check("key", name::key(&new.key))?;
    if errors.is_empty() {
        let written = write(&store, &visit, &identity, &new, Condition::Absent).await;
        match written {
            Err(problem) if problem.code() == "precondition_failed" => {
                errors.add("key", "there is a secret with this name: replace it");
            }
            written => {
                if errors.check("value", written)?.is_some() {
                    return Ok(page::redirect(&path(&identity), &format!("Added {}.", new.key)));
                }
            }
        }
    }
    let view = View { secret: new, secret_errors: errors, ..View::default() };
    render(&store, visit, identity, view).await
}

/// The value that replaces another.
#[derive(Deserialize)]
pub(super) struct Replaced {
    value: SecretString,
}

/// `POST /ui/identity/{identity}/secret/{key}`: replaces a secret.
pub(super) async fn replace(
    State(store): State<Store>,
    visit: Visit,
    Named { identity, key }: Named,
    Form(Replaced { value }): Form<Replaced>,
) -> Result<Response, Problem> {
    visit.principal.require_for(WRITE, &identity)?;
    let new = NewSecret { key, value };
    let written = write(&store, &visit, &identity, &new, Condition::None).await;
    let NewSecret { key, .. } = new;
    let mut errors = Errors::default();
    if errors.check("value", written)?.is_some() {
        return Ok(page::redirect(&path(&identity), &format!("Replaced {key}.")));
    }
    let view = View { replace: Some(Replace { key, errors }), ..View::default() };
    render(&store, visit, identity, view).await
}

async fn write(
    store: &Store,
    visit: &Visit,
    identity: &str,
    new: &NewSecret,
    condition: Condition,
) -> Result<i64, Problem> {
    let context = Context::new(visit.principal.name());
    let name = (identity.to_owned(), new.key.clone());
    let value = SecretString::from(lines(new.value.expose_secret()));
    store.secrets().put(store.storage(), context, name, value, condition).await
}

/// `POST /ui/identity/{identity}/secret/{key}/reveal`: shows a secret.
pub(super) async fn reveal(
    State(store): State<Store>,
    visit: Visit,
    Named { identity, key }: Named,
) -> Result<Response, Problem> {
    visit.principal.require_for(READ, &identity)?;
    let context = Context::new(visit.principal.name());
    // Reading a secret writes to the audit.
    let read = store.secrets().one(store.storage(), context, identity.clone(), key.clone());
    let (value, _) = read.await?;
    let view = View { revealed: Some((key, value)), ..View::default() };
    render(&store, visit, identity, view).await
}

/// `POST /ui/identity/{identity}/secret/{key}/delete`: removes a secret.
pub(super) async fn delete(
    State(store): State<Store>,
    visit: Visit,
    Named { identity, key }: Named,
) -> Result<Response, Problem> {
    visit.principal.require_for(WRITE, &identity)?;
    let context = Context::new(visit.principal.name());
    let name = (identity.clone(), key.clone());
    store.secrets().delete(store.storage(), context, name, Condition::None).await?;
    Ok(page::redirect(&path(&identity), &format!("Deleted {key}.")))
}
