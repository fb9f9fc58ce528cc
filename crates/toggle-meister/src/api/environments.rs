//! `/api/envs`

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use service::{
    problem::Problem,
    request::{InPath, Json},
};

use super::body::text;
use crate::{caller::Caller, model::environment, name, role::Action, store::Store};

/// `GET /api/envs`
pub(super) async fn list(State(store): State<Store>, _: Caller) -> axum::Json<Value> {
    let world = store.live.world();
    let envs: Vec<Value> = world.environments.iter().map(|name| json!({"name": name})).collect();
    axum::Json(json!({"envs": envs}))
}

/// `POST /api/envs`
pub(super) async fn create(
    State(store): State<Store>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    // The original looks at the name first.
    let name = name::environment(text(&body, "name").unwrap_or_default())?;
    caller.require(Action::CreateEnvironment)?;
    let name = store.write(move |sql| environment::create(sql, &caller.name, &name)).await?;
    Ok((StatusCode::CREATED, axum::Json(json!({"name": name}))).into_response())
}

/// `DELETE /api/envs/{name}`
pub(super) async fn delete(
    State(store): State<Store>,
    caller: Caller,
    InPath(name): InPath<String>,
) -> Result<StatusCode, Problem> {
    caller.require(Action::DeleteEnvironment)?;
    let name = name.to_lowercase();
    store.write(move |sql| environment::delete(sql, &caller.name, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
