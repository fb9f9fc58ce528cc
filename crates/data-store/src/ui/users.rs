//! People who have signed in, what they may do, and who was invited.

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use service::{
    access::{Access, Invitation, Permission, Person, Principal},
    page::{self, Form, Frame, Visit},
    problem::Problem,
};

use crate::{
    api::request::{Number, Params},
    store::Store,
};

/// How many people a page has.
const SHOWN: i64 = 50;

#[derive(Template)]
#[template(path = "users.html")]
struct Users {
    frame: Frame,
    people: Vec<Person>,
    next: Option<i64>,
    invitations: Vec<Invitation>,
    known: &'static [Permission],
    principal: Principal,
    may_write: bool,
    can_sign_in: bool,
}

fn has(person: &Person, permission: &str) -> bool {
    person.permissions.iter().any(|it| it == permission)
}

/// Which page of the people.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct After {
    after: i64,
}

/// `GET /ui/users`: people, and who was invited.
pub(super) async fn list(
    State(store): State<Store>,
    Visit { principal, frame }: Visit,
    Params(After { after }): Params<After>,
) -> Result<Response, Problem> {
    principal.require("users-read")?;
    let access = store.access();
    let people = access.people(after, SHOWN).await?;
    let is_full = i64::try_from(people.len()) == Ok(SHOWN);
    let next = people.last().map(|it| it.id).filter(|_| is_full);
    page::html(&Users {
        frame,
        people,
        next,
        invitations: access.invitations().await?,
        known: access.permissions(),
        may_write: principal.may("users-write"),
        principal,
        can_sign_in: access.sessions().is_some(),
    })
}

/// `POST /ui/users/{id}`: sets what a person may do, as far as the visitor may grant it.
pub(super) async fn change(
    State(store): State<Store>,
    visit: Visit,
    Number(id): Number,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let principal = &visit.principal;
    principal.require("users-write")?;
    let id = number(id);
    let wanted = |permission: &str| {
        fields.iter().any(|(name, value)| name == "permission" && value == permission)
    };
    let person = store.access().person(id).await?;
    // What the visitor may not grant is not in the form.
    let known = store.access().permissions().iter().map(|it| it.id).filter(|it| principal.may(it));
    let known: Vec<&str> = known.collect();
    let differ = |add: bool| -> Vec<String> {
        let differ = known.iter().filter(|it| wanted(it) == add && has(&person, it) != add);
        differ.map(|it| (*it).to_owned()).collect()
    };
    let (granted, revoked) = (differ(true), differ(false));
    // First what is taken away: if the rest fails, nobody has more than they should.
    if !revoked.is_empty() {
        store.access().revoke(id, revoked, principal).await?;
    }
    if !granted.is_empty() {
        store.access().grant(id, granted, principal).await?;
    }
    Ok(page::redirect("/ui/users", &format!("Saved the permissions of {}.", person.login)))
}

/// `POST /ui/users/{id}/sign-out`: ends the sessions of a person.
pub(super) async fn sign_out(
    State(store): State<Store>,
    visit: Visit,
    Number(id): Number,
) -> Result<Response, Problem> {
    let person = writable(store.access(), &visit, id).await?;
    store.access().end_sessions(person.id, &visit.principal).await?;
    Ok(page::redirect("/ui/users", &format!("Signed {} out everywhere.", person.login)))
}

/// `POST /ui/users/{id}/remove`: forgets a person.
pub(super) async fn remove(
    State(store): State<Store>,
    visit: Visit,
    Number(id): Number,
) -> Result<Response, Problem> {
    let person = writable(store.access(), &visit, id).await?;
    store.access().remove_person(person.id, &visit.principal).await?;
    Ok(page::redirect("/ui/users", &format!("Removed {}.", person.login)))
}

async fn writable(access: &Access, visit: &Visit, id: u64) -> Result<Person, Problem> {
    visit.principal.require("users-write")?;
    access.person(number(id)).await
}

fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// An invitation, as the form names it.
#[derive(Deserialize)]
pub(super) struct Withdrawn {
    provider: String,
    name: String,
    permission: String,
}

/// `POST /ui/users/withdraw`: cancels an invitation.
pub(super) async fn withdraw(
    State(store): State<Store>,
    visit: Visit,
    Form(Withdrawn { provider, name, permission }): Form<Withdrawn>,
) -> Result<Response, Problem> {
    visit.principal.require("users-write")?;
    let message = format!("Withdrew the invitation of {name}.");
    store.access().withdraw(provider, name, permission, &visit.principal).await?;
    Ok(page::redirect("/ui/users", &message))
}
