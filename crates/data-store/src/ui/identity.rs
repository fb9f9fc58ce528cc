//! The page of an identity: its facts and its secrets.

use askama::Template;
use axum::{extract::State, response::Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use service::{
    access::Principal,
    page::{self, Errors, Frame, Visit},
    problem::Problem,
    storage::StorageError,
    time,
};

use super::{facts::NewFact, path, secrets::NewSecret};
use crate::{
    api::request::{Identity, Params},
    fact::{self, Fact},
    identity,
    store::Store,
};

/// How much of a value is shown in the list.
const SHOWN: usize = 300;

/// What of the page is open, and what was written into its forms.
#[derive(Default)]
pub(super) struct View {
    pub(super) edit: Option<Edit>,
    pub(super) add: NewFact,
    pub(super) add_errors: Errors,
    pub(super) secret: NewSecret,
    pub(super) secret_errors: Errors,
    pub(super) replace: Option<Replace>,
    pub(super) revealed: Option<(String, SecretString)>,
}

/// The form that changes a fact.
pub(super) struct Edit {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) expires: String,
    /// The last change that whoever edits has seen.
    pub(super) change: i64,
    /// Somebody else has changed the fact since.
    pub(super) is_late: bool,
    pub(super) errors: Errors,
}

/// The form that replaces a secret.
pub(super) struct Replace {
    pub(super) key: String,
    pub(super) errors: Errors,
}

/// What the visitor may do with the facts or the secrets of the identity.
struct May {
    read: bool,
    write: bool,
}

impl May {
    fn of(principal: &Principal, identity: &str, read: &str, write: &str) -> Self {
        let may = |permission| principal.require_for(permission, identity).is_ok();
        Self { read: may(read), write: may(write) }
    }
}

struct Row {
    key: String,
    value: String,
    is_cut: bool,
    expires: Option<String>,
    edit: Option<Edit>,
}

struct SecretRow {
    key: String,
    value: Option<SecretString>,
    replace: Option<Replace>,
}

enum Secrets {
    Listed(Vec<SecretRow>),
    /// The server keeps none.
    Nowhere,
    /// They cannot be read, and why.
    Unavailable(String),
}

#[derive(Template)]
#[template(path = "identity.html")]
struct Page {
    frame: Frame,
    identity: String,
    path: String,
    may_facts: May,
    may_secrets: May,
    facts: Vec<Row>,
    add: NewFact,
    add_errors: Errors,
    secrets: Secrets,
    secret: NewSecret,
    secret_errors: Errors,
}

/// Which form of the page is open.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Open {
    edit: Option<String>,
    replace: Option<String>,
}

/// `GET /ui/identity/{identity}`: an identity.
pub(super) async fn show(
    State(store): State<Store>,
    visit: Visit,
    Identity(identity): Identity,
    Params(open): Params<Open>,
) -> Result<Response, Problem> {
    let mut view = View::default();
    if let Some(key) = open.edit {
        visit.principal.require_for("facts-write", &identity)?;
        visit.principal.require_for("facts-read", &identity)?;
        let (of, name) = (identity.clone(), key.clone());
        let read = store.storage().read(move |sql| fact::one(sql, &of, &name, time::now()));
        // Somebody may have removed it in the meantime: then the page shows that.
        view.edit = read.await?.map(|fact| {
            let (expires, errors) = (moment(fact.expires), Errors::default());
            Edit { key, value: fact.value, expires, change: fact.change, is_late: false, errors }
        });
    }
    view.replace = open.replace.map(|key| Replace { key, errors: Errors::default() });
    render(&store, visit, identity, view).await
}

/// The page.
pub(super) async fn render(
    store: &Store,
    visit: Visit,
    identity: String,
    view: View,
) -> Result<Response, Problem> {
    let Visit { principal, frame } = visit;
    let may_facts = May::of(&principal, &identity, "facts-read", "facts-write");
    let may_secrets = May::of(&principal, &identity, "secrets-read", "secrets-write");
    if !may_facts.read && !may_secrets.read {
        principal.require_for("facts-read", &identity)?;
    }
    let View { mut edit, add, add_errors, secret, secret_errors, mut replace, mut revealed } = view;
    let is_invalid = !add_errors.is_empty()
        || !secret_errors.is_empty()
        || edit.as_ref().is_some_and(|it| it.is_late || !it.errors.is_empty())
        || replace.as_ref().is_some_and(|it| !it.errors.is_empty());
    let (of, read_facts) = (identity.clone(), may_facts.read);
    let read = store.storage().read(move |sql| -> Result<_, StorageError> {
        let facts = if read_facts { fact::all(sql, &of, time::now())? } else { Vec::new() };
        Ok(facts)
    });
    let facts = read.await?;
    let secrets = if may_secrets.read {
        store.secrets().list(store.storage(), identity.clone()).await
    } else {
        Ok(Some(Vec::new()))
    };
    let facts = facts.into_iter().map(|(key, Fact { mut value, expires, .. })| {
        let end = value.floor_char_boundary(SHOWN);
        let is_cut = end < value.len();
        value.truncate(end);
        let edit = edit.take_if(|it| it.key == key);
        Row { key, value, is_cut, expires: expires.map(time::rfc3339), edit }
    });
    let facts = facts.collect();
    let row = |key: String| {
        let value = revealed.take_if(|it| it.0 == key).map(|it| it.1);
        let replace = replace.take_if(|it| it.key == key);
        SecretRow { key, value, replace }
    };
    let secrets = match secrets {
        Ok(Some(names)) => Secrets::Listed(names.into_iter().map(row).collect()),
        Ok(None) => Secrets::Nowhere,
        // The facts can be shown all the same.
        Err(problem) => Secrets::Unavailable(page::sentence(problem.detail())),
    };
    let page = Page {
        frame,
        path: path(&identity),
        identity,
        may_facts,
        may_secrets,
        facts,
        add,
        add_errors,
        secrets,
        secret,
        secret_errors,
    };
    if is_invalid { page::invalid(&page) } else { page::html(&page) }
}

/// The value of a field for a date and a time.
fn moment(time: Option<i64>) -> String {
    // The field has no time zone.
    let text = time.map(|it| time::rfc3339(it - it.rem_euclid(1_000))).unwrap_or_default();
    text.trim_end_matches('Z').to_owned()
}

/// `POST /ui/identity/{identity}/erase`: erases an identity.
pub(super) async fn erase(
    State(store): State<Store>,
    visit: Visit,
    Identity(identity): Identity,
) -> Result<Response, Problem> {
    identity::erase(&store, &visit.principal, identity.clone()).await?;
    Ok(page::redirect("/ui", &format!("Erased {identity}.")))
}
