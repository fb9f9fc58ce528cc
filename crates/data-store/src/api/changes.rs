//! The stream of changes, as server-sent events.

use std::collections::HashSet;

use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flagstaff::http::Draining;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use service::{
    access::Principal,
    problem::Problem,
    request::check_query,
    storage::{Storage, StorageError},
};

use super::request::{Json, Number};
use crate::{
    fact,
    feed::{Event, Interest, Stream},
    name,
    store::Store,
};

/// How many identities one stream is about at most.
const MAX_IDENTITIES: usize = 100_000;

/// How many changes are read at most for a stream to catch up with, and how many bytes those have
/// that it is about.
const MAX_MISSED: i64 = 10_000;
const MAX_MISSED_BYTES: usize = 8 << 20;

/// The identities of a stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identities {
    identities: HashSet<String>,
}

/// A change of the identities of a stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alteration {
    #[serde(default)]
    add: HashSet<String>,
    #[serde(default)]
    remove: HashSet<String>,
}

/// `GET /changes`: changes of all identities, of a prefix, or of those that the query names.
pub(super) async fn open(
    store: State<Store>,
    principal: Principal,
    draining: Extension<Draining>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let interest = interest(query.as_deref().unwrap_or_default())?;
    start(store, principal, draining, headers, interest).await
}

/// `POST /changes`: changes of the identities that the body names.
pub(super) async fn open_with(
    store: State<Store>,
    principal: Principal,
    draining: Extension<Draining>,
    headers: HeaderMap,
    Json(body): Json<Identities>,
) -> Result<Response, Problem> {
    check(&body.identities)?;
    start(store, principal, draining, headers, Interest::Identities(body.identities)).await
}

/// `PUT /changes/{stream}`: replaces the identities of an open stream.
pub(super) async fn replace(
    State(store): State<Store>,
    principal: Principal,
    Number(stream): Number,
    Json(body): Json<Identities>,
) -> Result<Response, Problem> {
    principal.require("facts-read")?;
    check(&body.identities)?;
    changed(store.hub().change(stream, &principal, |it| *it = body.identities))
}

/// `PATCH /changes/{stream}`: adds identities to an open stream and removes some.
pub(super) async fn alter(
    State(store): State<Store>,
    principal: Principal,
    Number(stream): Number,
    Json(body): Json<Alteration>,
) -> Result<Response, Problem> {
    principal.require("facts-read")?;
    check(&body.add)?;
    changed(store.hub().change(stream, &principal, |it| {
        it.extend(body.add);
        it.retain(|identity| !body.remove.contains(identity));
    }))
}

async fn start(
    State(store): State<Store>,
    principal: Principal,
    Extension(draining): Extension<Draining>,
    headers: HeaderMap,
    interest: Interest,
) -> Result<Response, Problem> {
    principal.require("facts-read")?;
    let last = match headers.get("last-event-id") {
        None => None,
        Some(id) => {
            Some(id.to_str().ok().and_then(|it| it.parse::<i64>().ok()).ok_or_else(|| {
                Problem::invalid("the header Last-Event-ID is the number of a change")
            })?)
        }
    };
    let covers = {
        let (principal, interest) = (principal.clone(), interest.clone());
        move |identity: &str| principal.covers(identity) && interest.covers(identity)
    };
    // The place is taken before the past is read, so that nothing falls between them.
    let mut stream =
        Stream::open(store.hub(), store.access(), principal, &headers, interest, draining);
    let now = stream.sequence();
    match last {
        None => stream.begin(now, []),
        Some(last) => match missed(store.storage(), last, now, covers).await? {
            // What the caller has read may be newer than what was handed out here.
            Some(missed) => stream.begin(last.min(now), missed),
            None => stream.begin_anew(),
        },
    }
    let body = stream::unfold(stream, |mut stream| async move {
        stream.next().await.map(|bytes| (Ok::<_, std::convert::Infallible>(bytes), stream))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// The changes after `last` up to `now` that a stream is about. `None`: they are too many, some are
/// forgotten, or `last` is the number of another database.
async fn missed(
    storage: &Storage,
    last: i64,
    now: i64,
    covers: impl Fn(&str) -> bool,
) -> Result<Option<Vec<Event>>, Problem> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    let mut after = last;
    for _ in 0..=MAX_MISSED / fact::CHANGES_AT_ONCE {
        let read = storage.read(move |sql| -> Result<_, StorageError> {
            let (horizon, sequence) = (sql.last(fact::HORIZON)?, sql.last(fact::CHANGES)?);
            Ok((horizon..=sequence, fact::changes(sql, after)?))
        });
        let (kept, changes) = read.await?;
        if !kept.contains(&last) {
            return Ok(None);
        }
        for change in changes.iter().filter(|it| it.number <= now && covers(&it.identity)) {
            let event = Event::from(change);
            bytes += event.text.len();
            events.push(event);
        }
        if bytes > MAX_MISSED_BYTES {
            return Ok(None);
        }
        let is_full = i64::try_from(changes.len()) == Ok(fact::CHANGES_AT_ONCE);
        match changes.last() {
            Some(change) if is_full && change.number < now => after = change.number,
            _ => return Ok(Some(events)),
        }
    }
    Ok(None)
}

/// Reads `prefix=...` or `identity=...&identity=...`.
fn interest(query: &str) -> Result<Interest, Problem> {
    check_query(query)?;
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
        .map_err(|error| Problem::invalid(format!("the query is invalid: {error}")))?;
    let mut prefix = None;
    let mut identities = HashSet::new();
    for (name, value) in pairs {
        match name.as_str() {
            "prefix" => prefix = Some(value),
            "identity" => {
                identities.insert(value);
            }
            _ => {
                return Err(Problem::invalid(format!(
                    "unknown parameter {name:?}: expected prefix or identity"
                )));
            }
        }
    }
    match (prefix, identities.is_empty()) {
        (prefix, true) => Ok(Interest::Prefix(prefix.unwrap_or_default())),
        (None, false) => {
            check(&identities)?;
            Ok(Interest::Identities(identities))
        }
        (Some(_), false) => Err(Problem::invalid("a stream takes either a prefix or identities")),
    }
}

fn check(identities: &HashSet<String>) -> Result<(), Problem> {
    if identities.len() > MAX_IDENTITIES {
        return Err(Problem::invalid(format!("more than {MAX_IDENTITIES} identities")));
    }
    identities.iter().try_for_each(|it| name::identity(it))
}

fn changed(sequence: Option<i64>) -> Result<Response, Problem> {
    let sequence = sequence.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "stream_not_found",
            "this replica has no such stream of yours: connect again with the new identities and \
             Last-Event-ID",
        )
    })?;
    Ok(axum::Json(json!({ "sequence": sequence })).into_response())
}
