//! Who is connected to the stream of changes.

use askama::Template;
use axum::{extract::State, response::Response};
use service::{
    page::{self, Frame, Visit},
    problem::Problem,
    storage::Database,
    time,
};

use crate::{
    feed::{Interest, Subscriber},
    store::Store,
};

/// How many identities of a subscriber are named.
const NAMED: usize = 5;

struct Row {
    name: String,
    interest: String,
    since: String,
    is_behind: bool,
}

impl From<Subscriber> for Row {
    fn from(subscriber: Subscriber) -> Self {
        let Subscriber { name, interest, since, is_behind, .. } = subscriber;
        let interest = match interest {
            Interest::Prefix(prefix) if prefix.is_empty() => "all identities".to_owned(),
            Interest::Prefix(prefix) => format!("identities that begin with {prefix}"),
            Interest::Identities(identities) => {
                let mut named: Vec<_> = identities.into_iter().collect();
                named.sort();
                let more = named.len().saturating_sub(NAMED);
                named.truncate(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{}{more}", named.join(", "))
            }
        };
        Self { name, interest, since: time::rfc3339(since), is_behind }
    }
}

#[derive(Template)]
#[template(path = "streams.html")]
struct Streams {
    frame: Frame,
    rows: Vec<Row>,
    /// Whether there may be other replicas, whose streams are not listed.
    is_one_of_several: bool,
}

/// `GET /ui/streams`: who is connected to this replica.
pub(super) async fn list(State(store): State<Store>, visit: Visit) -> Result<Response, Problem> {
    visit.principal.require_for_all("admin")?;
    let rows = store.hub().subscribers().into_iter().map(Row::from).collect();
    let is_one_of_several = matches!(store.storage().database(), Database::Postgres(_));
    page::html(&Streams { frame: visit.frame, rows, is_one_of_several })
}
