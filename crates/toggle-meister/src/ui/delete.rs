//! How a feature is deleted, after a question that says what happens.

use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use service::{
    page::{self, Form, Frame},
    problem::Problem,
    request::{InPath, Params},
    time,
};

use super::{
    cell::{Cell, cells, environments},
    text::{back, count, day, feature_path},
    visit::Visit,
};
use crate::{
    caller::Caller,
    model::{feature, metric},
    role::Action,
    serve::DAY,
    store::Store,
    toggle::State as Is,
};

/// For how many days requests are counted before somebody deletes a feature.
const ASKED: i64 = 7;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct How {
    hard: bool,
    back: String,
}

#[derive(Template)]
#[template(path = "delete.html")]
struct Question {
    frame: Frame,
    caller: Caller,
    name: String,
    path: String,
    cells: Vec<Cell>,
    /// Whether it was deleted softly before.
    is_deleted: bool,
    /// Whether the visitor may delete what is not off in production.
    may_switch_off: bool,
    /// The requests of each environment.
    requests: Vec<String>,
    back: String,
}

impl Question {
    /// Whether the visitor may not delete it, since that would switch it off in production.
    fn is_kept(&self) -> bool {
        !self.may_switch_off && self.cells.last().is_some_and(Cell::is_on)
    }

    /// Whether it is on for everyone in production, so that its notes are published.
    fn is_released(&self) -> bool {
        self.cells.last().is_some_and(|it| it.state == Is::On)
    }

    /// Whether it is on for some users in production, so that its notes are published later.
    fn is_rolling_out(&self) -> bool {
        self.cells.last().is_some_and(Cell::is_partial)
    }
}

/// `GET /ui/feature/{name}/delete`: asks before a feature is deleted.
pub(super) async fn ask(
    State(store): State<Store>,
    Visit { caller, frame }: Visit,
    InPath(name): InPath<String>,
    Params(how): Params<How>,
) -> Result<Response, Problem> {
    caller.require(Action::DeleteFeature)?;
    let now = time::now();
    let today = now / DAY;
    store.usage.flush(&store.storage, today).await?;
    let (of, from) = (name.clone(), today - ASKED + 1);
    let found = store.read(move |sql| Ok(metric::of(sql, &of, from)?)).await?;
    let mut by_env: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
    for metric::Metric { env, day, hits } in found {
        let (sum, _, last) = by_env.entry(env).or_insert((0, day, day));
        (*sum, *last) = (*sum + hits, day);
    }
    let requests = by_env.iter().map(|(env, (sum, first, last))| {
        let (first, last) = (day(*first, today), day(*last, today));
        let when = if first == last { first } else { format!("{first} – {last}") };
        format!("{env}: {} ({when})", count(*sum, "request"))
    });
    let requests = requests.collect();
    let world = store.live.world();
    let known = world.features.get(&name).ok_or_else(|| feature::not_found(&name))?;
    let page = Question {
        cells: cells(&caller, &world, &name, &environments(&world), now),
        may_switch_off: caller.may(Action::ToggleProduction),
        is_deleted: known.feature.deleted.is_some(),
        path: feature_path(&name),
        back: back(&how.back).to_owned(),
        frame,
        caller,
        name,
        requests,
    };
    page::html(&page)
}

/// `POST /ui/feature/{name}/delete`: deletes a feature, softly or for good.
pub(super) async fn delete(
    State(store): State<Store>,
    visit: Visit,
    InPath(name): InPath<String>,
    Form(how): Form<How>,
) -> Result<Response, Problem> {
    let (action, done) = if how.hard {
        (Action::HardDeleteFeature, "It is off everywhere from now on.")
    } else {
        (Action::DeleteFeature, "Programs get the same results as before for 14 days.")
    };
    visit.caller.require(action)?;
    let may = visit.caller.may(Action::ToggleProduction);
    let (by, of) = (visit.caller.name, name.clone());
    let delete = if how.hard { feature::hard_delete } else { feature::soft_delete };
    store.write(move |sql| delete(sql, &by, &of, may)).await?;
    Ok(page::redirect(back(&how.back), &format!("Deleted {name}. {done}")))
}
