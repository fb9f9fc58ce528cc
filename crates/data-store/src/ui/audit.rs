//! The audit trail.

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use service::{
    audit::{self, Event, Filter},
    page::{self, Errors, Frame, Visit},
    problem::Problem,
};

use super::{filled, moment};
use crate::{api::request::Params, store::Store};

/// How many events a page has.
const SHOWN: i64 = 100;

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
    fn is_filtered(&self) -> bool {
        [&self.actor, &self.action, &self.subject, &self.since, &self.until]
            .iter()
            .any(|it| !it.is_empty())
    }

    /// The query of the next page.
    fn next(&self, before: i64) -> String {
        let Self { actor, action, subject, since, until, .. } = self;
        let fields = [
            ("actor", actor),
            ("action", action),
            ("subject", subject),
            ("since", since),
            ("until", until),
        ];
        let fields = fields.iter().filter(|it| !it.1.is_empty());
        let query = serde_urlencoded::to_string(fields.collect::<Vec<_>>()).unwrap_or_default();
        format!("{query}&before={before}")
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
    visit.principal.require_for_all("admin")?;
    let mut errors = Errors::default();
    let since = errors.check("since", moment(&wanted.since))?.flatten();
    let until = errors.check("until", moment(&wanted.until))?.flatten();
    let mut events = Vec::new();
    if errors.is_empty() {
        let filter = Filter {
            before: wanted.before,
            actor: filled(&wanted.actor),
            action: filled(&wanted.action),
            // A name may begin and end with spaces.
            subject: Some(wanted.subject.clone()).filter(|it| !it.is_empty()),
            since,
            until,
        };
        let read = store.storage().read(move |sql| audit::page(sql, &filter, SHOWN)).await;
        events = read?;
    }
    let is_full = i64::try_from(events.len()) == Ok(SHOWN);
    let next = events.last().filter(|_| is_full).map(|it| wanted.next(it.id));
    let is_valid = errors.is_empty();
    let page = Audit { frame: visit.frame, wanted, errors, events, next };
    if is_valid { page::html(&page) } else { page::invalid(&page) }
}
