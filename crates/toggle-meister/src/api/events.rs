//! `GET /api/envs/{env}/events`: server-sent events when toggles of an environment change.
//!
//! An event has no content but the fact: whoever gets it asks for the toggles again.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use flagstaff::http::Peer;
use futures_util::stream;
use service::{problem::Problem, request::InPath};
use tokio::time::timeout;

use crate::{model::environment, store::Store};

/// A comment is sent when there was nothing else for so long.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const EVENT: Bytes = Bytes::from_static(b"event: change\ndata: {}\n\n");
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// `GET /api/envs/{env}/events`
pub(super) async fn open(
    State(store): State<Store>,
    InPath(env): InPath<String>,
    axum::Extension(peer): axum::Extension<Peer>,
) -> Result<Response, Problem> {
    let env = env.to_lowercase();
    let Some(flags) = store.live.flags(&env) else {
        return Err(environment::not_found(&env));
    };
    let mut changes = store.live.changes();
    changes.mark_changed();
    let begin = (changes, flags.current(), peer.draining());
    let body = stream::unfold(begin, move |(mut changes, mut served, draining)| {
        let flags = flags.clone();
        async move {
            loop {
                let woken = tokio::select! {
                    woken = timeout(KEEP_ALIVE, changes.changed()) => woken,
                    () = draining.clone().begun() => return None,
                };
                let event = match woken {
                    Ok(Err(_)) => return None,
                    Err(_) => COMMENT,
                    Ok(Ok(())) => {
                        let now = flags.current();
                        if now.changes_since(&served).is_empty() {
                            continue;
                        }
                        served = now;
                        EVENT
                    }
                };
                return Some((Ok::<_, Infallible>(event), (changes, served, draining)));
            }
        }
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}
