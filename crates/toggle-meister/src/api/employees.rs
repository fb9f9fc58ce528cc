//! `/api/employees`

use axum::{extract::State, http::StatusCode};
use serde_json::{Value, json};
use service::{
    problem::Problem,
    request::{InPath, Json},
};

use super::body::filled;
use crate::{
    caller::Caller,
    model::employee::{self, Edit},
    name::said,
    role::Role,
    store::Store,
};

/// `GET /api/employees`
pub(super) async fn list(
    State(store): State<Store>,
    _: Caller,
) -> Result<axum::Json<Value>, Problem> {
    let employees = store.read(|sql| Ok(employee::list(sql)?)).await?;
    let employees: Vec<Value> = employees
        .into_iter()
        .map(|it| {
            json!({"username": it.username, "name": it.name, "email": it.email,
                   "role": it.role.name()})
        })
        .collect();
    Ok(axum::Json(json!({"employees": employees})))
}

/// `PATCH /api/employees/{username}`
pub(super) async fn edit(
    State(store): State<Store>,
    caller: Caller,
    InPath(username): InPath<String>,
    Json(body): Json<Value>,
) -> Result<axum::Json<Value>, Problem> {
    if body.get("username").is_some() {
        return Err(said(StatusCode::BAD_REQUEST, "Cannot edit username"));
    }
    let role =
        match body.get("role") {
            None | Some(Value::Null) => None,
            Some(role) => {
                let known = role.as_str().and_then(Role::parse);
                Some(known.ok_or_else(|| {
                    Problem::invalid("a role is one of admin, qa, dev and read_only")
                })?)
            }
        };
    let edit = Edit {
        name: filled(&body, "name")?.map(str::to_owned),
        email: filled(&body, "email")?.map(str::to_owned),
        role,
    };
    if edit.name.is_none() && edit.email.is_none() && edit.role.is_none() {
        return Err(Problem::invalid("there is nothing to change: send name, email or role"));
    }
    let by = caller.editor();
    let edited = store.write(move |sql| employee::edit(sql, &by, &username, &edit)).await?;
    Ok(axum::Json(json!({
        "username": edited.username,
        "name": edited.name,
        "email": edited.email,
        "role": edited.role.number(),
    })))
}
