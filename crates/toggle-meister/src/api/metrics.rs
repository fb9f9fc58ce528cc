//! `GET /api/metrics/{feature}`: how often a feature was asked for.

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
};
use serde_json::{Map, Value, json};
use service::{problem::Problem, request::InPath, time};

use crate::{
    caller::Caller,
    model::{feature, metric},
    name::{is_identifier, said},
    serve::DAY,
    store::Store,
};

/// `GET /api/metrics/{feature}`
pub(super) async fn of_feature(
    State(store): State<Store>,
    _: Caller,
    InPath(feature): InPath<String>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<Value>, Problem> {
    let feature = feature.to_lowercase();
    if !is_identifier(&feature) {
        return Err(said(StatusCode::BAD_REQUEST, "Not a valid feature name"));
    }
    let (mut days, mut environments) = (7_i64, Vec::new());
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "num_days" => {
                days = value
                    .parse()
                    .ok()
                    .filter(|it| (0..=36_500).contains(it))
                    .ok_or_else(|| Problem::invalid("num_days is a number from 0 to 36500"))?;
            }
            "environment" if !value.is_empty() => environments.push(value.to_lowercase()),
            _ => {}
        }
    }
    let from = time::now() / DAY - days;
    // What was counted a moment ago is shown too.
    store.usage.flush(&store.storage, time::now() / DAY).await?;
    let (found, uses) = store
        .read(move |sql| {
            let uses = match feature::get(sql, &feature)? {
                Some(known) => metric::uses(sql, &known, time::now() / DAY)?,
                None => Vec::new(),
            };
            Ok((metric::of(sql, &feature, from)?, uses))
        })
        .await?;
    let wanted = found
        .iter()
        .filter(|it| environments.is_empty() || environments.contains(&it.env))
        .map(|it| json!({"date": day(it.day), "hit_count": it.hits, "environment": it.env}));
    let metrics: Vec<Value> = wanted.collect();
    let by_env = uses.into_iter().map(|(env, it)| (env, it.name().into()));
    Ok(axum::Json(json!({"metrics": metrics, "use": by_env.collect::<Map<_, _>>()})))
}

/// A day as it is written.
fn day(day: i64) -> String {
    time::rfc3339(day * DAY).chars().take(10).collect()
}
