//! People who have signed in, with the member names of the original.

use axum::{Json as Body, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use service::{
    access::{Person, Principal},
    problem::Problem,
};

use super::{
    admin::described,
    request::{Json, Number},
};
use crate::store::Store;

/// How many people are read at a time.
const PAGE: i64 = 1_000;

/// `GET /user`: everybody who has signed in.
pub(super) async fn list(
    State(store): State<Store>,
    principal: Principal,
) -> Result<Body<Vec<Value>>, Problem> {
    principal.require("users-read")?;
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let page = store.access().people(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(Body(all)) };
        after = last.id;
        all.extend(page.iter().map(|person| describe(&store, person)));
    }
}

/// `GET /user/{id}`: a person.
pub(super) async fn read(
    State(store): State<Store>,
    principal: Principal,
    Number(id): Number,
) -> Result<Body<Value>, Problem> {
    principal.require("users-read")?;
    let person = store.access().person(number(id)?).await?;
    Ok(Body(describe(&store, &person)))
}

/// Permissions to add or to take away. Without any, nothing changes.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Permissions {
    permissions: Vec<String>,
}

/// `PUT /user/{id}/permission`: adds permissions.
pub(super) async fn grant(
    State(store): State<Store>,
    principal: Principal,
    Number(id): Number,
    Json(body): Json<Permissions>,
) -> Result<(), Problem> {
    principal.require("users-write")?;
    store.access().grant(number(id)?, body.permissions, &principal).await.map(drop)
}

/// `DELETE /user/{id}/permission`: takes permissions away.
pub(super) async fn revoke(
    State(store): State<Store>,
    principal: Principal,
    Number(id): Number,
    Json(body): Json<Permissions>,
) -> Result<(), Problem> {
    principal.require("users-write")?;
    store.access().revoke(number(id)?, body.permissions, &principal).await.map(drop)
}

/// Beyond what the database holds there is nobody.
fn number(id: u64) -> Result<i64, Problem> {
    i64::try_from(id).map_err(|_| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "person_not_found",
            format!("there is no person with the number {id}"),
        )
    })
}

fn describe(store: &Store, person: &Person) -> Value {
    let permissions = store.access().permissions().iter();
    let permissions: Vec<Value> = permissions
        .filter(|it| person.permissions.iter().any(|granted| granted == it.id))
        .map(described)
        .collect();
    json!({
        "ID": person.id,
        "CreatedAt": person.created,
        "UpdatedAt": person.updated,
        "DeletedAt": null,
        "Username": person.login,
        "Email": person.email,
        "SSOProvider": person.provider,
        "SSOID": person.subject,
        "Permissions": permissions,
    })
}
