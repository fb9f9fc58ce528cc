//! Environments.

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use service::{
    page::{self, Errors, Form, Frame},
    problem::Problem,
    request::InPath,
    time,
};

use super::{
    cell::environments,
    text::{count, encoded},
    visit::Visit,
};
use crate::{
    caller::Caller,
    model::{PRODUCTION, environment},
    role::Action,
    store::Store,
    toggle::State as Is,
};

struct Row {
    name: String,
    path: String,
    /// How many features are on or under way there, in words.
    on: String,
    is_production: bool,
}

#[derive(Template)]
#[template(path = "environments.html")]
struct Environments {
    frame: Frame,
    caller: Caller,
    rows: Vec<Row>,
    new: New,
    errors: Errors,
}

/// `GET /ui/environments`
pub(super) async fn list(State(store): State<Store>, visit: Visit) -> Result<Response, Problem> {
    page::html(&page(&store, visit, New::default(), Errors::default()))
}

fn page(store: &Store, visit: Visit, new: New, errors: Errors) -> Environments {
    let Visit { caller, frame } = visit;
    let now = time::now();
    let world = store.live.world();
    let rows = environments(&world).into_iter().map(|name| {
        let on =
            world.features.keys().filter(|it| world.toggle(it, &name).at(now).state() != Is::Off);
        let on = count(i64::try_from(on.count()).unwrap_or(i64::MAX), "feature");
        let path = format!("/ui/environments/{}", encoded(&name));
        Row { is_production: name == PRODUCTION, name, path, on }
    });
    let rows = rows.collect();
    Environments { frame, caller, rows, new, errors }
}

/// A new environment, as it is written into the form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct New {
    name: String,
}

/// `POST /ui/environments`: creates an environment.
pub(super) async fn create(
    State(store): State<Store>,
    visit: Visit,
    Form(new): Form<New>,
) -> Result<Response, Problem> {
    visit.caller.require(Action::CreateEnvironment)?;
    let (name, by) = (new.name.trim().to_owned(), visit.caller.name.clone());
    let mut errors = Errors::default();
    match store.write(move |sql| environment::create(sql, &by, &name)).await {
        Ok(name) => {
            let message = format!("Created {name}. All features are off there.");
            return Ok(page::redirect("/ui/environments", &message));
        }
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            errors.add("name", problem.detail());
        }
        Err(problem) => drop(errors.check::<()>("name", Err(problem))?),
    }
    page::invalid(&page(&store, visit, new, errors))
}

/// `POST /ui/environments/{name}/delete`: deletes an environment.
pub(super) async fn delete(
    State(store): State<Store>,
    visit: Visit,
    InPath(name): InPath<String>,
) -> Result<Response, Problem> {
    visit.caller.require(Action::DeleteEnvironment)?;
    let message = format!("Deleted {name}.");
    store.write(move |sql| environment::delete(sql, &visit.caller.name, &name)).await?;
    Ok(page::redirect("/ui/environments", &message))
}
