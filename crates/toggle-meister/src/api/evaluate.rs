//! `GET /api/envs/{env}/toggles`: which features are on.

use std::{borrow::Cow, hash::BuildHasher as _};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use flagstaff::evaluator::{Context, FlagSet, ValueRef};
use foldhash::quality::FixedState;
use serde::Serializer as _;
use service::{
    problem::Problem,
    request::{InPath, tags},
};

use crate::{name::said, store::Store};

/// Whoever asks, as a context of the rule.
pub(super) struct Id<'a>(pub(super) &'a str);

impl Context for Id<'_> {
    fn get(&self, name: &str) -> Option<ValueRef<'_>> {
        (name == "targetingKey" && !self.0.is_empty()).then_some(ValueRef::String(self.0))
    }

    fn each(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        if let Some(value) = self.get("targetingKey") {
            visit("targetingKey", value);
        }
    }
}

/// Whether a feature is on. One that is not known is off.
pub(super) fn is_on(flags: &FlagSet, feature: &str, id: &Id<'_>) -> bool {
    flags.evaluate(feature, id).boolean() == Ok(Some(true))
}

/// What is asked.
#[derive(Default)]
struct Query<'a> {
    features: Vec<Cow<'a, str>>,
    id: Cow<'a, str>,
    all: bool,
    no_metrics: bool,
}

impl<'a> Query<'a> {
    fn parse(query: &'a str) -> Self {
        let mut parsed = Self::default();
        if query.contains(['%', '+']) {
            for (name, value) in form_urlencoded::parse(query.as_bytes()) {
                parsed.add(&name, value);
            }
        } else {
            // Decoding costs more than to evaluate the features.
            for pair in query.split('&') {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                parsed.add(name, value.into());
            }
        }
        parsed
    }

    fn add(&mut self, name: &str, value: Cow<'a, str>) {
        match name {
            "feature" if !value.is_empty() => self.features.push(lower(value)),
            "enrollment_id" => self.id = value,
            "all" => self.all = value.eq_ignore_ascii_case("true"),
            "metrics" => self.no_metrics = value.eq_ignore_ascii_case("false"),
            _ => {}
        }
    }
}

/// Names are in lower case; most are written so.
fn lower(name: Cow<'_, str>) -> Cow<'_, str> {
    let is_lower = name.bytes().all(|it| it.is_ascii() && !it.is_ascii_uppercase());
    if is_lower { name } else { name.to_lowercase().into() }
}

pub(super) async fn evaluate(
    State(store): State<Store>,
    InPath(env): InPath<String>,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let env = lower(env.into());
    let flags = store.live.served(&env);
    let id = Id(&query.id);
    let body = if query.all {
        store.usage.saw_client(Some(&env));
        let world = store.live.world();
        let known = world.features.values().filter(|it| it.feature.deleted.is_none());
        let names = known.map(|it| it.feature.name.as_str());
        answer(names.map(|name| (name, is_on(&flags, name, &id))).collect())
    } else {
        if query.features.is_empty() {
            return Err(said(StatusCode::BAD_REQUEST, "No features provided"));
        }
        if query.no_metrics {
            store.usage.saw_client(Some(&env));
        } else {
            store.usage.count(&env, query.features.iter().map(|it| &**it));
        }
        let names = query.features.iter().map(|it| &**it);
        answer(names.map(|name| (name, is_on(&flags, name, &id))).collect())
    };
    let tag = tag(&body);
    if let Some(known) = tags(request.headers(), &header::IF_NONE_MATCH)?
        && known.iter().any(|it| *it == "*" || tag == it.trim_start_matches("W/"))
    {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json), (header::ETAG, tag)], body).into_response())
}

/// An entity tag of the content. It is the same on every replica.
fn tag(body: &[u8]) -> HeaderValue {
    let hash = FixedState::default().hash_one(body);
    HeaderValue::from_str(&format!("\"{hash:016x}-{:x}\"", body.len()))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The answer: a map of names to booleans, sorted, each once.
fn answer(mut answers: Vec<(&str, bool)>) -> Vec<u8> {
    answers.sort_unstable();
    answers.dedup();
    let mut body = Vec::with_capacity(answers.len() * 32);
    // Writing strings and booleans to memory cannot fail.
    let _ = serde_json::Serializer::new(&mut body).collect_map(answers);
    body
}
