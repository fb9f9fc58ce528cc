//! Release notes: for everybody at `/api/envs/{env}/release_notes`, to write at
//! `/api/release_notes`.

use std::collections::{BTreeMap, BTreeSet};

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

use super::{
    body::{filled, text},
    evaluate::{Id, is_on},
};
use crate::{
    caller::Caller,
    model::note::{self, Note, Text},
    name::said,
    role::Action,
    serve::DAY,
    store::Store,
};

/// A note in the original's form. Its date has no zeros before digits.
fn shown(note: &Note) -> Value {
    let day = time::rfc3339(note.created);
    let parts: Vec<i64> = day[..10].split('-').filter_map(|it| it.parse().ok()).collect();
    let date = parts.iter().map(i64::to_string).collect::<Vec<_>>().join("-");
    let mut shown = json!({"id": note.id, "title": note.title, "body": note.body,
                           "feature": note.feature, "date": date});
    // The original has no such notes.
    if note.is_withheld {
        shown["withheld"] = json!(true);
    }
    shown
}

/// `GET /api/release_notes`
pub(super) async fn list(
    State(store): State<Store>,
    _: Caller,
) -> Result<axum::Json<Value>, Problem> {
    let notes = store.read(|sql| Ok(note::list(sql)?)).await?;
    Ok(axum::Json(json!({"release_notes": notes.iter().map(shown).collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
pub(super) struct For {
    #[serde(default)]
    enrollment_id: String,
    num_of_days: Option<i64>,
}

/// `GET /api/envs/{env}/release_notes`
pub(super) async fn published(
    State(store): State<Store>,
    InPath(env): InPath<String>,
    Params(wanted): Params<For>,
) -> Result<axum::Json<Value>, Problem> {
    let env = env.to_lowercase();
    let days = wanted.num_of_days.unwrap_or(90);
    if !(0..=36_500).contains(&days) {
        return Err(Problem::invalid("num_of_days is a number from 0 to 36500"));
    }
    let mut notes = store.read(|sql| Ok(note::list(sql)?)).await?;
    notes.retain(|it| !it.is_withheld);
    let now = time::now();
    let flags = store.live.flags(&env).map(|it| it.current()).unwrap_or_default();
    let world = store.live.world();
    let since = |feature: &str| world.toggle(feature, &env).on_since(now);
    let is_rolling = |feature: &str| world.toggle(feature, &env).at(now).rollout().is_some();
    let id = Id(&wanted.enrollment_id);
    let order = order(&notes, now - days * DAY, since, |feature| {
        is_rolling(feature) && is_on(&flags, feature, &id)
    });
    let mut by_feature: BTreeMap<Option<&str>, Vec<&Note>> = BTreeMap::new();
    for note in &notes {
        by_feature.entry(note.feature.as_deref()).or_default().push(note);
    }
    let found = order.into_iter().flat_map(|it| by_feature.remove(&it).unwrap_or_default());
    let found: Vec<Value> = found.map(shown).collect();
    Ok(axum::Json(json!({"release_notes": found})))
}

/// The features whose notes are shown, in their order; `None` stands for notes without a
/// feature. First come features that are being rolled out to whoever asks, then those that were
/// switched on since `from` and the newest note without a feature, the newest first.
fn order(
    notes: &[Note],
    from: i64,
    since: impl Fn(&str) -> Option<i64>,
    is_rolled_out: impl Fn(&str) -> bool,
) -> Vec<Option<&str>> {
    let features: BTreeSet<&str> = notes.iter().filter_map(|it| it.feature.as_deref()).collect();
    let mut order: Vec<Option<&str>> =
        features.iter().copied().filter(|it| is_rolled_out(it)).map(Some).collect();
    let on = features.iter().filter_map(|it| Some((since(it)?, Some(*it))));
    let mut recent: Vec<(i64, Option<&str>)> = on.filter(|it| it.0 >= from).collect();
    let without = notes.iter().filter(|it| it.feature.is_none()).map(|it| it.created).max();
    recent.extend(without.map(|created| (created, None)));
    recent.sort_unstable_by(|one, other| other.cmp(one));
    order.extend(recent.into_iter().map(|it| it.1));
    order
}

/// `POST /api/release_notes`
pub(super) async fn create(
    State(store): State<Store>,
    caller: Caller,
    Json(mut body): Json<Value>,
) -> Result<axum::Json<Value>, Problem> {
    caller.require(Action::ManageReleaseNotes)?;
    let text = edited(&body, Text::default())?;
    let id = store.write(move |sql| note::create(sql, &caller.name, &text)).await?;
    body["id"] = json!(id);
    Ok(axum::Json(body))
}

/// `PATCH /api/release_notes/{id}`
pub(super) async fn edit(
    State(store): State<Store>,
    caller: Caller,
    InPath(id): InPath<i64>,
    Json(body): Json<Value>,
) -> Result<axum::Json<Value>, Problem> {
    caller.require(Action::ManageReleaseNotes)?;
    let sent = body.clone();
    store
        .write(move |sql| {
            let text = edited(&sent, note::get(sql, id)?.into_text())?;
            note::edit(sql, &caller.name, id, &text)
        })
        .await?;
    Ok(axum::Json(body))
}

/// What a note says after an edit: a field that is missing stays, and null or blank clears it.
fn edited(body: &Value, mut now: Text) -> Result<Text, Problem> {
    if !body.is_object() {
        return Err(said(StatusCode::BAD_REQUEST, "No valid title"));
    }
    if body.get("title").is_some() {
        text(body, "title").unwrap_or_default().trim().clone_into(&mut now.title);
    }
    if body.get("body").is_some() {
        now.body = filled(body, "body")?.map(str::to_owned);
    }
    if body.get("feature").is_some() {
        now.feature = filled(body, "feature")?.map(str::to_lowercase);
        now.is_withheld = false;
    }
    if now.title.is_empty() {
        return Err(said(StatusCode::BAD_REQUEST, "No valid title"));
    }
    Ok(now)
}

/// `DELETE /api/release_notes/{id}`
pub(super) async fn delete(
    State(store): State<Store>,
    caller: Caller,
    InPath(id): InPath<i64>,
) -> Result<Response, Problem> {
    caller.require(Action::ManageReleaseNotes)?;
    store.write(move |sql| note::delete(sql, &caller.name, id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
