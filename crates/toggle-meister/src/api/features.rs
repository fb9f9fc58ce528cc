//! `/api/features`

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use service::{
    problem::Problem,
    request::{InPath, Json, Params},
    time,
};

use super::{body::text, public};
use crate::{
    caller::Caller,
    due::Due,
    model::feature::{self, Feature},
    name::{is_identifier, said},
    role::Action,
    store::Store,
};

#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(default)]
    due: String,
}

/// `GET /api/features`; with `due=true`, those that are due for removal, with details.
pub(super) async fn list(
    State(store): State<Store>,
    Params(which): Params<Which>,
) -> Result<Response, Problem> {
    let is_due = truth("due", &which.due)?;
    let world = store.live.world();
    let known = world.features.values().filter(|it| it.feature.deleted.is_none());
    let features: Vec<Value> = if is_due {
        let (unused, now) = (store.usage.unused(), time::now());
        known.filter_map(|it| Some(details(&it.feature, Due::of(it, &unused, now)?))).collect()
    } else {
        known.map(|it| json!({"name": it.feature.name})).collect()
    };
    Ok(public::allowed(axum::Json(json!({"features": features})).into_response()))
}

/// A parameter that is true or false, in any case. Without it, or without a value, it is false.
fn truth(name: &str, value: &str) -> Result<bool, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(Problem::invalid(format!("{name} is true or false, got {value:?}"))),
    }
}

/// A feature that is due for removal.
fn details(feature: &Feature, due: Due) -> Value {
    json!({
        "name": feature.name,
        "created": time::rfc3339(feature.created),
        "reason": due.reason(),
        "since": time::rfc3339(due.since()),
    })
}

/// `POST /api/features`
pub(super) async fn create(
    State(store): State<Store>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    caller.require(Action::CreateFeature)?;
    let name = text(&body, "name").unwrap_or_default().to_owned();
    let created = name.clone();
    let may = caller.may(Action::ToggleProduction);
    store.write(move |sql| feature::create(sql, &caller.name, &created, may)).await?;
    Ok((StatusCode::CREATED, axum::Json(json!({"name": name}))).into_response())
}

#[derive(Deserialize)]
pub(super) struct How {
    #[serde(default)]
    hard: String,
}

/// `DELETE /api/features/{name}`
pub(super) async fn delete(
    State(store): State<Store>,
    caller: Caller,
    InPath(name): InPath<String>,
    Params(how): Params<How>,
) -> Result<StatusCode, Problem> {
    let is_hard = truth("hard", &how.hard)?;
    caller.require(if is_hard { Action::HardDeleteFeature } else { Action::DeleteFeature })?;
    let name = name.to_lowercase();
    if !is_identifier(&name) {
        return Err(said(StatusCode::BAD_REQUEST, "No valid feature provided"));
    }
    let delete = if is_hard { feature::hard_delete } else { feature::soft_delete };
    let may = caller.may(Action::ToggleProduction);
    store.write(move |sql| delete(sql, &caller.name, &name, may)).await?;
    Ok(StatusCode::NO_CONTENT)
}
