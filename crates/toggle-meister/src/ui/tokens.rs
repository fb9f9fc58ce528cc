//! Tokens for machines.

use askama::Template;
use axum::{extract::State, response::Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use service::{
    access::{NewToken, Token},
    page::{self, Errors, Form, Frame, filled, moment},
    problem::Problem,
    request::InPath,
};

use super::{TOKENS, visit::Visit};
use crate::{
    role::{Action, Role},
    store::Store,
};

/// A new token, as it is written into the form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct New {
    name: String,
    role: String,
    expires: String,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct Tokens {
    frame: Frame,
    list: Vec<Token>,
    /// The name of a token that was made, and the token.
    made: Option<(String, SecretString)>,
    new: New,
    errors: Errors,
}

/// `GET /ui/tokens`: the tokens, without the tokens themselves.
pub(super) async fn list(State(store): State<Store>, visit: Visit) -> Result<Response, Problem> {
    page::html(&page(&store, visit, New::default(), Errors::default()).await?)
}

async fn page(store: &Store, visit: Visit, new: New, errors: Errors) -> Result<Tokens, Problem> {
    visit.caller.require(Action::ManageTokens)?;
    let list = store.access.tokens().await?;
    Ok(Tokens { frame: visit.frame, list, made: None, new, errors })
}

/// `POST /ui/tokens`: makes a token, and shows it once.
pub(super) async fn create(
    State(store): State<Store>,
    visit: Visit,
    Form(new): Form<New>,
) -> Result<Response, Problem> {
    visit.caller.require(Action::ManageTokens)?;
    let mut errors = Errors::default();
    if filled(&new.name).is_none() {
        errors.add("name", "a token needs a name");
    }
    if Role::parse(&new.role).is_none() {
        errors.add("role", "a role is one of admin, qa, dev and read_only");
    }
    let expires = errors.check("expires", moment(&new.expires))?.flatten();
    if expires.is_some_and(|at| at <= service::time::now()) {
        errors.add("expires", "this time is in the past");
    }
    if errors.is_empty() {
        let wanted = NewToken {
            name: new.name.clone(),
            permissions: vec![new.role.clone()],
            prefixes: None,
            expires,
        };
        let made = store.access.create_token(wanted, &visit.caller.name).await;
        if let Some((_, token)) = errors.check("name", made)? {
            let mut page = page(&store, visit, New::default(), errors).await?;
            page.made = Some((new.name, token));
            return page::html(&page);
        }
    }
    page::invalid(&page(&store, visit, new, errors).await?)
}

/// `POST /ui/tokens/{id}/revoke`: revokes a token.
pub(super) async fn revoke(
    State(store): State<Store>,
    visit: Visit,
    InPath(id): InPath<i64>,
) -> Result<Response, Problem> {
    visit.caller.require(Action::ManageTokens)?;
    store.access.revoke_token(id, &visit.caller.name, |_| Ok(())).await?;
    Ok(page::redirect(TOKENS, "Revoked the token."))
}
