//! The audit trail.

use askama::Template;
use axum::{extract::State, response::Response};
use service::{
    page::{self, Frame, Trail, TrailQuery, Visit},
    problem::Problem,
};

use crate::{api::request::Params, store::Store};

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
    visit.principal.require_for_all("admin")?;
    let trail = Trail::read(store.storage(), query).await?;
    let is_valid = trail.errors.is_empty();
    let page = Audit { frame: visit.frame, trail };
    if is_valid { page::html(&page) } else { page::invalid(&page) }
}
