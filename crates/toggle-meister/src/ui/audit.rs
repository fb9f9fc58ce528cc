//! The audit trail.

use askama::Template;
use axum::{extract::State, response::Response};
use serde_json::Value;
use service::{
    audit::Event,
    page::{self, Frame, Trail, TrailQuery},
    problem::Problem,
    request::Params,
};

use super::visit::Visit;
use crate::store::Store;

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

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    trail: Trail,
}

/// `GET /ui/audit`: who did what, the newest first.
pub(super) async fn list(
    State(store): State<Store>,
    visit: Visit,
    Params(query): Params<TrailQuery>,
) -> Result<Response, Problem> {
    let trail = Trail::read(&store.storage, query).await?;
    let is_valid = trail.errors.is_empty();
    let page = Audit { frame: visit.frame, trail };
    if is_valid { page::html(&page) } else { page::invalid(&page) }
}
