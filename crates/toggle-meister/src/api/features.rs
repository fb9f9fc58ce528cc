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
    due,
    model::{
        PRODUCTION,
        feature::{self, Feature},
    },
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
pub(super) async fn list(State(store): State<Store>, Params(which): Params<Which>) -> Response {
    let world = store.live.world();
    let known = world.features.values().filter(|it| it.feature.deleted.is_none());
    let features: Vec<Value> = if which.due.eq_ignore_ascii_case("true") {
        let now = time::now();
        known.filter_map(|it| Some(details(&it.feature, due::due_feature(it, now)?))).collect()
    } else {
        known.map(|it| json!({"name": it.feature.name})).collect()
    };
    public::allowed(axum::Json(json!({"features": features})).into_response())
}

/// A feature that has been ON in production since a time.
fn details(feature: &Feature, since: i64) -> Value {
    json!({
        "name": feature.name,
        "created": time::rfc3339(feature.created),
        "since": time::rfc3339(since),
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
    let may = caller.require_toggle(&store, PRODUCTION).is_ok();
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
    let is_hard = how.hard.eq_ignore_ascii_case("true");
    caller.require(if is_hard { Action::HardDeleteFeature } else { Action::DeleteFeature })?;
    let name = name.to_lowercase();
    if !is_identifier(&name) {
        return Err(said(StatusCode::BAD_REQUEST, "No valid feature provided"));
    }
    let delete = if is_hard { feature::hard_delete } else { feature::soft_delete };
    store.write(move |sql| delete(sql, &caller.name, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
