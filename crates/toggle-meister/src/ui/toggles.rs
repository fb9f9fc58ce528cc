//! The list of features with their toggles.

use std::cmp::Reverse;

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use service::{
    page::{self, Errors, Form, Frame},
    problem::Problem,
    request::Params,
    time,
};

use super::{
    cell::{Cell, cells, environments},
    text::{age, count, encoded, feature_path},
    visit::Visit,
};
use crate::{
    caller::Caller,
    due::Due,
    model::{
        PRODUCTION,
        feature::{self, Feature},
    },
    role::Action,
    store::Store,
    world::World,
};

/// How many features a page has.
const SHOWN: usize = 100;
/// The cookie with the environments that somebody hides, so that new ones are seen.
const COOKIE: &str = "hidden-envs=";
/// The longest cookie; a browser drops one of more than 4,096 bytes.
const LONGEST: usize = 3_000;

/// What somebody looks for.
#[derive(Default)]
pub(super) struct Search {
    q: String,
    /// Whether only what is due for removal is shown.
    is_due: bool,
    skip: usize,
    /// The environments that are hidden, if the form was sent.
    hidden: Option<Vec<String>>,
}

impl Search {
    fn of(fields: Vec<(String, String)>) -> Self {
        let (mut search, mut envs, mut shown) = (Self::default(), Vec::new(), Vec::new());
        for (name, value) in fields {
            match name.as_str() {
                "q" => search.q = value,
                "due" => search.is_due = true,
                "skip" => search.skip = value.parse().unwrap_or_default(),
                "of" => envs.push(value),
                "env" => shown.push(value),
                _ => {}
            }
        }
        if !envs.is_empty() {
            envs.retain(|it| !shown.contains(it));
            search.hidden = Some(envs);
        }
        search
    }

    /// The path of a page with the same search.
    fn path(&self, skip: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.q.is_empty() {
            query.append_pair("q", &self.q);
        }
        if self.is_due {
            query.append_pair("due", "true");
        }
        if skip > 0 {
            query.append_pair("skip", &skip.to_string());
        }
        let query = query.finish();
        if query.is_empty() { "/ui".to_owned() } else { format!("/ui?{query}") }
    }
}

struct Row {
    name: String,
    path: String,
    age: String,
    by: String,
    due: Option<Due>,
    cells: Vec<Cell>,
}

#[derive(Template)]
#[template(path = "toggles.html")]
struct Toggles {
    frame: Frame,
    caller: Caller,
    search: Search,
    /// Each environment but production, and whether it is shown.
    choice: Vec<(String, bool)>,
    columns: Vec<String>,
    rows: Vec<Row>,
    /// Whether there is no feature at all.
    is_blank: bool,
    due: usize,
    next: Option<String>,
    /// The path of this page.
    back: String,
    /// What was deleted softly: its name, and for how long it still answers.
    deleted: Vec<(String, String)>,
    new: New,
    errors: Errors,
}

/// `GET /ui`: features whose names contain a string, or at least its letters in this order.
pub(super) async fn list(
    State(store): State<Store>,
    visit: Visit,
    headers: HeaderMap,
    Params(fields): Params<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let search = Search::of(fields);
    let cookie = search.hidden.as_ref().map(|it| cookie(it));
    let page = page(&store, visit, &headers, search, New::default(), Errors::default());
    let mut response = page::html(&page)?;
    if let Some(cookie) = cookie.and_then(|it| HeaderValue::from_str(&it).ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn page(
    store: &Store,
    visit: Visit,
    headers: &HeaderMap,
    search: Search,
    new: New,
    errors: Errors,
) -> Toggles {
    let Visit { caller, frame } = visit;
    let now = time::now();
    let world = store.live.world();
    let hidden = search.hidden.clone().or_else(|| remembered(headers)).unwrap_or_default();
    let is_shown = |env: &String| env == PRODUCTION || !hidden.contains(env);
    let envs = environments(&world);
    let choice = envs.iter().filter(|it| *it != PRODUCTION);
    let choice = choice.map(|it| (it.clone(), is_shown(it))).collect();
    let columns: Vec<String> = envs.into_iter().filter(is_shown).collect();

    let unused = store.usage.unused();
    let due = |it: &Feature| Due::named(&world, &unused, &it.name, now);
    let found = find(&world, &search, |it| due(it).is_some());
    let rows = found.iter().skip(search.skip).take(SHOWN).map(|feature| Row {
        name: feature.name.clone(),
        path: feature_path(&feature.name),
        age: age(feature.created, now),
        by: feature.created_by.clone(),
        due: due(feature),
        cells: cells(&caller, &world, &feature.name, &columns, now),
    });
    let rows = rows.collect();
    let listed = || world.features.values().filter(|it| it.feature.deleted.is_none());
    let deleted = world.features.values().filter_map(|it| {
        let left = (it.feature.deleted? + feature::KEPT - now).max(0) / crate::serve::DAY + 1;
        Some((it.feature.name.clone(), count(left, "day")))
    });
    let next = search.skip.saturating_add(SHOWN);
    Toggles {
        rows,
        is_blank: listed().next().is_none(),
        due: listed().filter(|it| due(&it.feature).is_some()).count(),
        next: (found.len() > next).then(|| search.path(next)),
        back: search.path(search.skip),
        deleted: deleted.collect(),
        frame,
        caller,
        search,
        choice,
        columns,
        new,
        errors,
    }
}

/// The features whose names fit, the closest first.
fn find<'a>(
    world: &'a World,
    search: &Search,
    is_due: impl Fn(&Feature) -> bool,
) -> Vec<&'a Feature> {
    let wanted = search.q.trim().to_lowercase();
    let listed = world.features.values().map(|it| &it.feature).filter(|it| it.deleted.is_none());
    let mut found: Vec<&Feature> =
        listed.filter(|it| fits(&it.name, &wanted) && (!search.is_due || is_due(it))).collect();
    found.sort_by_key(|it| Reverse(it.name.contains(&wanted)));
    found
}

/// Whether a name has the letters of a search in their order; spaces do not count.
fn fits(name: &str, wanted: &str) -> bool {
    let mut letters = name.chars();
    wanted.chars().filter(|it| !it.is_whitespace()).all(|it| letters.any(|letter| letter == it))
}

/// The environments that a browser hides.
fn remembered(headers: &HeaderMap) -> Option<Vec<String>> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let value = cookies.flat_map(|it| it.split("; ")).find_map(|it| it.strip_prefix(COOKIE))?;
    let names = value.split(',').map(|it| percent_decode_str(it).decode_utf8_lossy().into_owned());
    Some(names.collect())
}

fn cookie(hidden: &[String]) -> String {
    let names: Vec<String> = hidden.iter().map(|it| encoded(it)).collect();
    let names = Some(names.join(",")).filter(|it| it.len() <= LONGEST).unwrap_or_default();
    format!("{COOKIE}{names}; Path=/ui; Max-Age=31536000; HttpOnly; SameSite=Strict")
}

/// A new feature, as it is written into the form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct New {
    name: String,
}

/// `POST /ui`: creates a feature.
pub(super) async fn create(
    State(store): State<Store>,
    visit: Visit,
    headers: HeaderMap,
    Form(new): Form<New>,
) -> Result<Response, Problem> {
    visit.caller.require(Action::CreateFeature)?;
    let (name, by) = (new.name.trim().to_owned(), visit.caller.name.clone());
    let created = name.clone();
    let mut errors = Errors::default();
    let may = visit.caller.may(Action::ToggleProduction);
    let result = store.write(move |sql| feature::create(sql, &by, &created, may)).await;
    match result {
        Ok(()) => {
            let message = format!("Created {name}. It is off everywhere.");
            return Ok(page::redirect(&feature_path(&name), &message));
        }
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            errors.add("name", problem.detail());
        }
        Err(problem) => drop(errors.check::<()>("name", Err(problem))?),
    }
    page::invalid(&page(&store, visit, &headers, Search::default(), new, errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_letters_in_their_order() {
        assert!(fits("use_feature_toggles", "toggles"));
        assert!(fits("use_feature_toggles", "uft"));
        assert!(fits("use_feature_toggles", "feature tog"));
        assert!(fits("anything", ""));
        assert!(!fits("use_feature_toggles", "tfu"));
        assert!(!fits("a", "aa"));
    }
}
