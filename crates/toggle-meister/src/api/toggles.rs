//! `/api/toggles`: the toggles of all features in all environments, and how one is switched.

use axum::{extract::State, http::StatusCode};
use serde_json::{Value, json};
use service::{problem::Problem, request::Json, time};

use super::body::text;
use crate::{
    caller::Caller,
    model::toggle::{self, Switch},
    name::said,
    role::Action,
    store::Store,
    toggle::{Rejected, Wanted},
};

/// `GET /api/toggles`
pub(super) async fn matrix(State(store): State<Store>, _: Caller) -> axum::Json<Value> {
    axum::Json(all(&store))
}

fn all(store: &Store) -> Value {
    let now = time::now();
    let world = store.live.world();
    let mut toggles = Vec::new();
    for known in world.features.values().filter(|it| it.feature.deleted.is_none()) {
        for env in &world.environments {
            let toggle = known.toggles.get(env).map_or(crate::toggle::Toggle::Off, |it| it.toggle);
            let toggle = toggle.at(now);
            let days = match toggle {
                crate::toggle::Toggle::Pause { .. } => 2.0,
                _ => toggle.rollout().map_or(0.0, |it| it.pace.days()),
            };
            let days = if days > 0.0 { json!(days) } else { json!(0) };
            toggles.push(json!({"toggle": {
                "env": env,
                "feature": known.feature.name,
                "state": toggle.state().name(),
                "over_x_days": days,
                "current_percent": toggle.percent(now),
            }}));
        }
    }
    json!({"toggles": toggles})
}

/// `PATCH /api/toggles`
pub(super) async fn switch(
    State(store): State<Store>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<axum::Json<Value>, Problem> {
    let bad = |message: &str| said(StatusCode::BAD_REQUEST, message);
    let Some(asked) = body.get("toggle").filter(|it| it.is_object()) else {
        return Err(bad("No toggle provided"));
    };
    let env = text(asked, "env").unwrap_or_default().to_lowercase();
    caller.require(Action::toggle(&env))?;
    let state = text(asked, "state").unwrap_or_default();
    let wanted = Wanted::parse(state);
    if wanted == Err(Rejected::NoDays) {
        return Err(bad(&Rejected::NoDays.to_string()));
    }
    let feature = text(asked, "feature").unwrap_or_default().to_lowercase();
    let days = state.split(':').nth(1).map(str::to_owned);
    store
        .write(move |sql| {
            // The order in which the original finds fault.
            toggle::require(sql, &env, &feature, wanted == Ok(Wanted::Off))?;
            let rejected = |it: Rejected| said(StatusCode::BAD_REQUEST, it.to_string());
            let switch = Switch { env, feature, wanted: wanted.map_err(rejected)?, days };
            toggle::switch(sql, &caller.name, &switch, time::now())
        })
        .await?;
    Ok(axum::Json(all(&store)))
}
