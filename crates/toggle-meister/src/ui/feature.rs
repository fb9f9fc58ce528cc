//! The page of a feature.

use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::State, response::Response};
use service::{
    audit::{self, Event, Filter},
    page::{self, Frame},
    problem::Problem,
    request::InPath,
    storage::{Sql, StorageError},
    time,
};

use super::{
    cell::{Cell, cells, environments},
    chart::{Bars, Curve},
    notes::Shown,
    text::{age, count, days, feature_path, short},
    visit::Visit,
};
use crate::{
    caller::Caller,
    due::{Due, Use},
    model::{feature, metric, note},
    role::Action,
    rollout::PAUSE,
    serve::DAY,
    store::Store,
    toggle::Toggle,
    world::World,
};

/// For how many days requests are shown.
const DAYS: i64 = 30;
/// How many events of the audit trail are shown.
const EVENTS: i64 = 20;

/// A toggle with the picture of its rollout.
struct Card {
    cell: Cell,
    rollout: Option<Picture>,
}

/// A rollout that is under way.
struct Picture {
    curve: Curve,
    started: String,
    /// How long it takes, in words.
    days: String,
    /// What comes next, and when.
    next: String,
    /// How many users have the feature whatever the curve says, in words that end in the verb.
    enrolled: Option<String>,
}

#[derive(Template)]
#[template(path = "feature.html")]
struct Page {
    frame: Frame,
    caller: Caller,
    name: String,
    path: String,
    created: String,
    by: String,
    age: String,
    due: Option<Due>,
    is_deleted: bool,
    cards: Vec<Card>,
    bars: Vec<Bars>,
    notes: Vec<Shown>,
    events: Vec<Event>,
}

/// `GET /ui/feature/{name}`: a feature.
pub(super) async fn show(
    State(store): State<Store>,
    Visit { caller, frame }: Visit,
    InPath(name): InPath<String>,
) -> Result<Response, Problem> {
    let now = time::now();
    let from = now / DAY - DAYS + 1;
    let envs = environments(&store.live.world());
    store.usage.flush(&store.storage, now / DAY).await?;
    let (of, subjects) = (name.clone(), envs.clone());
    let read = store.read(move |sql| {
        let notes = note::list(sql)?.into_iter().filter(|it| it.feature.as_ref() == Some(&of));
        let notes = notes.map(Shown::of).collect();
        let known = feature::get(sql, &of)?.ok_or_else(|| feature::not_found(&of))?;
        let uses = metric::uses(sql, &known, now / DAY)?;
        Ok((metric::of(sql, &of, from)?, uses, notes, events(sql, &of, &subjects)?))
    });
    let (metrics, uses, notes, events) = read.await?;
    let world = store.live.world();
    let known = world.features.get(&name).ok_or_else(|| feature::not_found(&name))?;
    let is_deleted = known.feature.deleted.is_some();
    let cards = cells(&caller, &world, &name, &envs, now).into_iter().map(|cell| {
        let rollout = picture(&world, &name, &cell.env, now);
        Card { cell, rollout }
    });
    let page = Page {
        path: feature_path(&name),
        created: time::rfc3339(known.feature.created),
        by: known.feature.created_by.clone(),
        age: age(known.feature.created, now),
        due: Due::named(&world, &store.usage.unused(), &name, now),
        is_deleted,
        cards: cards.collect(),
        bars: bars(metrics, uses, &envs, from),
        frame,
        caller,
        name,
        notes,
        events,
    };
    page::html(&page)
}

/// The picture of the rollout that is under way in an environment.
fn picture(world: &World, feature: &str, env: &str, now: i64) -> Option<Picture> {
    let toggle = world.toggle(feature, env).at(now);
    let rollout = toggle.rollout()?;
    let end = rollout.start.saturating_add(rollout.pace.total());
    let (seen, next) = if let Toggle::Pause { at, .. } = toggle {
        let over = short(at.saturating_add(PAUSE));
        let end = short(end.saturating_add(PAUSE));
        (at, format!("Paused until {over}, then it goes on; everyone has it at {end}."))
    } else {
        let next = short(toggle.next(now).unwrap_or(end));
        (now, format!("The next step is at {next}; everyone has it at {}.", short(end)))
    };
    let held = world.features.get(feature).and_then(|it| it.toggles.get(env));
    Some(Picture {
        curve: Curve::at(rollout.pace.index(seen.saturating_sub(rollout.start))),
        started: short(rollout.start),
        days: days(&rollout.pace.days().to_string()),
        next,
        enrolled: held.and_then(|it| enrolled(it.enrolled.len())),
    })
}

/// How many imported users have a feature, in words that end in the verb, if there are any.
fn enrolled(users: usize) -> Option<String> {
    let verb = match users {
        0 => return None,
        1 => "has",
        _ => "have",
    };
    let users = i64::try_from(users).unwrap_or(i64::MAX);
    Some(format!("{} {verb}", count(users, "imported user")))
}

/// The requests of each environment and whether the feature is in use there, in the order of the
/// environments.
fn bars(
    metrics: Vec<metric::Metric>,
    uses: Vec<(String, Use)>,
    envs: &[String],
    from: i64,
) -> Vec<Bars> {
    let uses: BTreeMap<String, Use> = uses.into_iter().collect();
    let mut by_env: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for metric::Metric { env, day, hits } in metrics {
        by_env.entry(env).or_default().push((day, hits));
    }
    let bars = envs.iter().map(|env| {
        let days = by_env.remove(env).unwrap_or_default();
        Bars::of(env.clone(), uses.get(env).copied(), from, &days)
    });
    bars.collect()
}

/// The newest events of a feature and its toggles.
fn events(sql: &mut Sql<'_>, name: &str, envs: &[String]) -> Result<Vec<Event>, StorageError> {
    let mut events = Vec::new();
    let toggles = envs.iter().map(|env| format!("{env}/{name}"));
    for subject in toggles.chain([name.to_owned()]) {
        let filter = Filter { subject: Some(subject), ..Filter::default() };
        events.extend(audit::page(sql, &filter, EVENTS)?);
    }
    events.sort_unstable_by_key(|it| std::cmp::Reverse(it.id));
    events.truncate(usize::try_from(EVENTS).unwrap_or(usize::MAX));
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_imported_users_and_the_verb_agree() {
        assert_eq!(enrolled(0), None);
        assert_eq!(enrolled(1).as_deref(), Some("1 imported user has"));
        assert_eq!(enrolled(1_234).as_deref(), Some("1,234 imported users have"));
    }
}
