//! `GET /api/auditlog`: who did what, the newest first.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{
    audit::{self, Event, Filter},
    problem::Problem,
    request::{Params, limit},
    time,
};

use crate::{caller::Caller, store::Store};

/// How many events there are unless somebody asks for more, as in the original.
const SHOWN: i64 = 50;

/// Which events.
#[derive(Deserialize)]
pub(super) struct Wanted {
    limit: Option<i64>,
    before: Option<i64>,
    user: Option<String>,
    event: Option<String>,
    subject: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// `GET /api/auditlog`
pub(super) async fn list(
    State(store): State<Store>,
    _: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<axum::Json<Value>, Problem> {
    let shown = limit(wanted.limit.or(Some(SHOWN)), 1_000)?;
    let filter = Filter {
        before: wanted.before,
        actor: wanted.user,
        action: wanted.event,
        subject: wanted.subject,
        since: moment(wanted.since)?,
        until: moment(wanted.until)?,
    };
    let events = store.read(move |sql| Ok(audit::page(sql, &filter, shown)?)).await?;
    Ok(axum::Json(events.iter().map(event).collect()))
}

fn moment(text: Option<String>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let time = time::parse(&text);
    time.map(Some)
        .ok_or_else(|| Problem::invalid(format!("expected a time in RFC 3339, got {text:?}")))
}

/// An event in the original's form, which has no zone in its date: it is UTC.
fn event(event: &Event) -> Value {
    let data = event.data.clone().unwrap_or_else(|| json!({"subject": event.subject}));
    json!({
        "id": event.id,
        "event": event.action,
        "user": event.actor,
        "date": event.at.trim_end_matches('Z'),
        "event_data": data,
    })
}
