//! The audit trail.

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::Value;
use service::{
    audit::{self, Event, Filter},
    page::{self, Errors, Frame},
    problem::Problem,
    request::Params,
};

use super::{
    text::{filled, moment},
    visit::Visit,
};
use crate::store::Store;

/// How many events a page has.
const SHOWN: i64 = 100;

/// The events that there are, in words.
const EVENTS: &[(&str, &str)] = &[
    ("toggle.switch", "Switch a toggle"),
    ("feature.add", "Create feature"),
    ("feature.remove", "Delete feature"),
    ("feature.delete", "Delete feature for good"),
    ("environment.add", "Create environment"),
    ("environment.remove", "Delete environment"),
    ("release_note.create", "Create release note"),
    ("release_note.edit", "Edit release note"),
    ("release_note.delete", "Delete release note"),
    ("employee.add", "Add employee"),
    ("employee.edit", "Edit employee"),
    ("token.create", "Create token"),
    ("token.revoke", "Revoke token"),
    ("session.begin", "Sign in"),
    ("session.end", "Sign out"),
    ("import", "Import from the original"),
];

/// What an event is, in words.
pub(super) fn said(event: &Event) -> String {
    let state = event.data.as_ref().and_then(|it| it.get("new_state")).and_then(Value::as_str);
    if let ("toggle.switch", Some(state)) = (event.action.as_str(), state) {
        return match state {
            "ON" => "Turn feature on".to_owned(),
            "OFF" => "Turn feature off".to_owned(),
            "ROLL" => "Roll feature out".to_owned(),
            "PAUSE" => "Pause rollout".to_owned(),
            other => format!("Turn feature {other}"),
        };
    }
    let known = EVENTS.iter().find(|it| it.0 == event.action);
    known.map_or_else(|| event.action.clone(), |it| it.1.to_owned())
}

/// The details of an event, on lines of their own.
pub(super) fn pretty(data: &Value) -> String {
    serde_json::to_string_pretty(data).unwrap_or_default()
}

/// Which part of the trail, as it is written into the form.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    actor: String,
    action: String,
    subject: String,
    since: String,
    until: String,
    before: Option<i64>,
}

impl Wanted {
    fn fields(&self) -> [(&'static str, &String); 5] {
        let Self { actor, action, subject, since, until, .. } = self;
        [
            ("actor", actor),
            ("action", action),
            ("subject", subject),
            ("since", since),
            ("until", until),
        ]
    }

    fn is_filtered(&self) -> bool {
        self.fields().iter().any(|it| !it.1.is_empty())
    }

    /// The query of the next page.
    fn next(&self, before: i64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.fields().into_iter().filter(|it| !it.1.is_empty()));
        query.append_pair("before", &before.to_string()).finish()
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    wanted: Wanted,
    errors: Errors,
    events: Vec<Event>,
    next: Option<String>,
}

/// `GET /ui/audit`: who did what, the newest first.
pub(super) async fn list(
    State(store): State<Store>,
    visit: Visit,
    Params(wanted): Params<Wanted>,
) -> Result<Response, Problem> {
    let mut errors = Errors::default();
    let since = errors.check("since", moment(&wanted.since))?.flatten();
    let until = errors.check("until", moment(&wanted.until))?.flatten();
    let mut events = Vec::new();
    if errors.is_empty() {
        let filter = Filter {
            before: wanted.before,
            actor: filled(&wanted.actor),
            action: filled(&wanted.action),
            subject: filled(&wanted.subject),
            since,
            until,
        };
        events = store.read(move |sql| Ok(audit::page(sql, &filter, SHOWN)?)).await?;
    }
    let is_full = i64::try_from(events.len()) == Ok(SHOWN);
    let next = events.last().filter(|_| is_full).map(|it| wanted.next(it.id));
    let is_valid = errors.is_empty();
    let page = Audit { frame: visit.frame, wanted, errors, events, next };
    if is_valid { page::html(&page) } else { page::invalid(&page) }
}
