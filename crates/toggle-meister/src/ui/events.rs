//! `GET /ui/events`: server-sent events for open pages, which read themselves anew.

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
use tokio::time::timeout;

use super::visit::Visit;
use crate::store::Store;

/// A comment is sent when there was nothing else for so long.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const READY: Bytes = Bytes::from_static(b"event: ready\ndata: {}\n\n");
const CHANGE: Bytes = Bytes::from_static(b"event: change\ndata: {}\n\n");
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// `GET /ui/events`: `ready` at the start, and `change` when a feature, a toggle, an environment
/// or an employee has changed, or a rollout has made a step.
pub(super) async fn open(
    State(store): State<Store>,
    _: Visit,
    axum::Extension(peer): axum::Extension<Peer>,
) -> Response {
    let begin = (store.live.changes(), peer.draining(), true);
    let body = stream::unfold(begin, |(mut changes, draining, is_first)| async move {
        if is_first {
            return Some((Ok::<_, Infallible>(READY), (changes, draining, false)));
        }
        let woken = tokio::select! {
            woken = timeout(KEEP_ALIVE, changes.changed()) => woken,
            () = draining.clone().begun() => return None,
        };
        let event = match woken {
            Ok(Err(_)) => return None,
            Ok(Ok(())) => CHANGE,
            Err(_) => COMMENT,
        };
        Some((Ok(event), (changes, draining, false)))
    });
    let kind = HeaderValue::from_static("text/event-stream");
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response()
}
