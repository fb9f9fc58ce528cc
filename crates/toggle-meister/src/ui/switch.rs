//! How a toggle is switched, after a question where customers may notice.

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use service::{
    page::{self, Errors, Form, Frame},
    problem::Problem,
    request::{InPath, Params},
    time,
};

use super::{
    cell::{Cell, environments},
    text::{back, days, encoded, feature_path, short},
    visit::Visit,
};
use crate::{
    model::{
        PRODUCTION, environment, feature,
        toggle::{self, Switch},
    },
    role::Action,
    rollout::PAUSE,
    store::Store,
    toggle::{Rejected, State as Is, Wanted},
};

/// How many days a rollout takes unless somebody says otherwise.
const DAYS: &str = "3";

/// What a toggle is to become, as a link or a form says it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    env: String,
    /// `OFF`, `ON`, `ROLL` or `PAUSE`.
    state: String,
    days: String,
    /// The page to go back to.
    back: String,
}

#[derive(Template)]
#[template(path = "switch.html")]
struct Question {
    frame: Frame,
    name: String,
    path: String,
    cell: Cell,
    asked: Asked,
    /// The other environments in which it is turned on too.
    others: Vec<String>,
    /// When a pause would be over.
    resumes: String,
    back: String,
    errors: Errors,
}

impl Question {
    /// Whether the feature is to be turned on, one way or another.
    fn is_on(&self) -> bool {
        matches!(self.asked.state.as_str(), "ON" | "ROLL")
    }

    fn is_pause(&self) -> bool {
        self.asked.state == "PAUSE"
    }

    fn may_roll(&self) -> bool {
        self.cell.state == Is::Off
    }

    fn verb(&self) -> &'static str {
        match (self.is_on(), self.is_pause()) {
            (true, _) => "Turn on",
            (_, true) => "Pause",
            _ => "Turn off",
        }
    }
}

/// `GET /ui/feature/{name}/switch`: asks before a toggle is switched.
pub(super) async fn ask(
    State(store): State<Store>,
    visit: Visit,
    InPath(name): InPath<String>,
    Params(asked): Params<Asked>,
) -> Result<Response, Problem> {
    visit.caller.require(Action::toggle(&asked.env))?;
    page::html(&question(&store, visit, name, asked, Errors::default())?)
}

fn question(
    store: &Store,
    visit: Visit,
    name: String,
    mut asked: Asked,
    errors: Errors,
) -> Result<Question, Problem> {
    let now = time::now();
    let world = store.live.world();
    if !world.environments.contains(&asked.env) {
        return Err(environment::not_found(&asked.env));
    }
    if !world.features.contains_key(&name) {
        return Err(feature::not_found(&name));
    }
    if asked.days.is_empty() {
        DAYS.clone_into(&mut asked.days);
    }
    let cell = Cell::of(world.toggle(&name, &asked.env), &asked.env, now, true);
    let others = if cell.is_production() {
        let others = environments(&world).into_iter().filter(|it| it != PRODUCTION);
        others.filter(|it| world.toggle(&name, it).on_since(now).is_none()).collect()
    } else {
        Vec::new()
    };
    let back = back(&asked.back).to_owned();
    let (path, resumes) = (feature_path(&name), short(now + PAUSE));
    Ok(Question { frame: visit.frame, name, path, cell, asked, others, resumes, back, errors })
}

/// `POST /ui/feature/{name}/switch`: switches a toggle.
pub(super) async fn switch(
    State(store): State<Store>,
    visit: Visit,
    InPath(name): InPath<String>,
    Form(asked): Form<Asked>,
) -> Result<Response, Problem> {
    visit.caller.require(Action::toggle(&asked.env))?;
    let mut errors = Errors::default();
    let state = match asked.state.as_str() {
        "ROLL" => format!("ROLL:{}", asked.days.trim()),
        state => state.to_owned(),
    };
    match Wanted::parse(&state) {
        Err(rejected @ (Rejected::Days | Rejected::NoDays)) => {
            errors.add("days", &rejected.to_string());
        }
        Err(rejected) => errors.add("state", &rejected.to_string()),
        Ok(wanted) => {
            let days = (asked.state == "ROLL").then(|| asked.days.trim().to_owned());
            let (env, feature) = (asked.env.clone(), name.clone());
            let (switch, by) = (Switch { env, feature, wanted, days }, visit.caller.name.clone());
            let write = store.write(move |sql| toggle::switch(sql, &by, &switch, time::now()));
            if errors.check("state", write.await)?.is_some() {
                let done = done(&store, &name, &asked, wanted);
                return Ok(page::redirect(back(&asked.back), &done));
            }
        }
    }
    page::invalid(&question(&store, visit, name, asked, errors)?)
}

/// What was done, for the next page.
fn done(store: &Store, name: &str, asked: &Asked, wanted: Wanted) -> String {
    let env = &asked.env;
    match wanted {
        Wanted::Off => format!("Turned {name} off in {env}."),
        Wanted::On => format!("Turned {name} on in {env}."),
        Wanted::Roll(_) => {
            format!("{name} is being rolled out in {env} over {}.", days(asked.days.trim()))
        }
        Wanted::Pause => {
            let percent = store.live.world().toggle(name, env).percent(time::now());
            format!("Paused {name} in {env} at {percent} % for 48 hours.")
        }
    }
}

/// The path of the question.
pub(super) fn question_path(path: &str, env: &str, state: &str, back: &str) -> String {
    format!("{path}/switch?env={}&state={state}&back={}", encoded(env), encoded(back))
}
