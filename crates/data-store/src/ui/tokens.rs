//! Tokens for machines.

use askama::Template;
use axum::{extract::State, response::Response};
use secrecy::{ExposeSecret as _, SecretString};
use service::{
    access::{NewToken, Permission, Token},
    page::{self, Errors, Form, Frame, Visit, filled, moment},
    problem::Problem,
};

use crate::{api::request::Number, store::Store, token};

/// A new token, as it is written into the form.
#[derive(Default)]
pub(super) struct New {
    name: String,
    permissions: Vec<String>,
    prefixes: String,
    expires: String,
}

impl New {
    fn has(&self, permission: &str) -> bool {
        self.permissions.iter().any(|it| it == permission)
    }
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct Tokens {
    frame: Frame,
    /// With whether the visitor may revoke it.
    list: Vec<(Token, bool)>,
    permissions: Vec<Permission>,
    may_write: bool,
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
    let Visit { principal, frame } = visit;
    principal.require("users-read")?;
    let may_write = principal.may("users-write");
    let list = store.access().tokens().await?.into_iter().map(|it| {
        let may_manage = principal.require_to_manage(&it.permissions, it.prefixes.as_deref());
        let may_revoke = may_write && may_manage.is_ok();
        (it, may_revoke)
    });
    let list = list.collect();
    let known = store.access().permissions().iter();
    // Nobody hands out more than they have.
    let permissions = known.filter(|it| principal.may(it.id)).copied().collect();
    Ok(Tokens { frame, list, permissions, may_write, made: None, new, errors })
}

/// The fields of the form, of which one for each permission.
type Fields = Vec<(String, String)>;

/// `POST /ui/tokens`: makes a token, and shows it once.
pub(super) async fn create(
    State(store): State<Store>,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    visit.principal.require("users-write")?;
    let mut new = New::default();
    for (name, value) in fields {
        match name.as_str() {
            "name" => new.name = value,
            "permission" => new.permissions.push(value),
            "prefixes" => new.prefixes = value,
            "expires" => new.expires = value,
            _ => {}
        }
    }
    let mut errors = Errors::default();
    if filled(&new.name).is_none() {
        errors.add("name", "a token needs a name");
    }
    if new.permissions.is_empty() {
        errors.add("permission", "a token needs at least one permission");
    }
    let expires = errors.check("expires", moment(&new.expires))?.flatten();
    if expires.is_some_and(|at| at <= service::time::now()) {
        errors.add("expires", "this time is in the past");
    }
    if errors.is_empty() {
        let prefixes: Vec<String> = new.prefixes.lines().filter_map(filled).collect();
        let wanted = NewToken {
            name: new.name.clone(),
            permissions: new.permissions.clone(),
            prefixes: (!prefixes.is_empty()).then_some(prefixes),
            expires,
        };
        let made = token::create(store.access(), &visit.principal, wanted).await;
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
    Number(id): Number,
) -> Result<Response, Problem> {
    token::revoke(store.access(), &visit.principal, id).await?;
    Ok(page::redirect("/ui/tokens", "Revoked the token."))
}
