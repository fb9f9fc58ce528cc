//! What one subscriber reads.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, COOKIE},
};
use bytes::Bytes;
use flagstaff::http::Draining;
use serde_json::json;
use service::{
    access::{Access, Principal},
    time,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Event,
    event::write,
    hub::{Hub, Interest, Place},
};

/// A comment is sent when there was nothing else for so long, so that whoever is between
/// keeps the connection, and a broken one is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often a stream looks whether its subscriber may still read it. A change of tokens or
/// permissions is noticed at once; that a token or a session expires is not a change.
const LOOK: Duration = Duration::from_secs(5);

/// A stream of server-sent events. It ends when its token or session expires or is revoked, and
/// when the server shuts down.
pub struct Stream {
    place: Place,
    /// What is to be written first.
    queue: VecDeque<Bytes>,
    access: Access,
    /// What the subscriber proved its identity with, in memory of its own: the request's headers
    /// would keep the buffer that they were read into.
    headers: HeaderMap,
    changes: watch::Receiver<i64>,
    draining: Draining,
    idle: Instant,
    look: Instant,
    ended: bool,
}

impl Stream {
    /// Takes a place in the register. The stream contains every change after
    /// [`sequence`](Self::sequence).
    #[must_use]
    pub fn open(
        hub: &Hub,
        access: &Access,
        principal: Principal,
        headers: &HeaderMap,
        interest: Interest,
        draining: Draining,
    ) -> Self {
        let proofs = headers.iter().filter(|(name, _)| [AUTHORIZATION, COOKIE].contains(name));
        let copies = proofs.filter_map(|(name, value)| {
            Some((name.clone(), HeaderValue::from_bytes(value.as_bytes()).ok()?))
        });
        Self {
            changes: access.changes(),
            place: hub.subscribe(principal, interest, time::now()),
            queue: VecDeque::new(),
            access: access.clone(),
            headers: copies.collect(),
            draining,
            idle: Instant::now() + KEEP_ALIVE,
            look: Instant::now() + LOOK,
            ended: false,
        }
    }

    /// The number after which it contains every change.
    #[must_use]
    pub fn sequence(&self) -> i64 {
        self.place.sequence
    }

    /// Begins the stream after `last`, with the changes that were missed since then.
    pub fn begin(&mut self, last: i64, missed: impl IntoIterator<Item = Event>) {
        let data = json!({ "stream": self.place.id.to_string() });
        self.queue.push_back(write("ready", Some(last), &data));
        self.queue.extend(missed.into_iter().map(|event| event.text));
    }

    /// Begins the stream for a subscriber that has to read everything anew.
    pub fn begin_anew(&mut self) {
        self.begin(self.sequence(), []);
        self.queue.push_back(reset(self.sequence()));
    }

    /// The next bytes to write. `None`: the stream has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.queue.pop_front() {
                self.idle = Instant::now() + KEEP_ALIVE;
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            if let Some(sequence) = self.place.caught_up() {
                self.queue.push_back(reset(sequence));
                continue;
            }
            tokio::select! {
                event = self.place.events.recv() => match event {
                    Some(event) => self.queue.push_back(Arc::unwrap_or_clone(event).text),
                    None => self.ended = true,
                },
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        self.end("the server is shutting down");
                    } else {
                        self.look().await;
                    }
                }
                () = sleep_until(self.look) => self.look().await,
                () = self.draining.clone().begun() => self.end("the server is shutting down"),
                () = sleep_until(self.idle) => self.queue.push_back(Bytes::from_static(b":\n\n")),
            }
        }
    }

    /// Ends the stream if the subscriber may no longer read it. While the database is unavailable,
    /// it may.
    async fn look(&mut self) {
        self.look = Instant::now() + LOOK;
        match self.access.still(&self.headers).await.and_then(|principal| {
            principal.require("facts-read")?;
            Ok(principal)
        }) {
            Ok(principal) => self.place.set_principal(principal),
            Err(problem) if problem.status().is_server_error() => {}
            Err(problem) => self.end(problem.detail()),
        }
    }

    fn end(&mut self, reason: &str) {
        self.queue.push_back(write("end", None, &json!({ "reason": reason })));
        self.ended = true;
    }
}

fn reset(sequence: i64) -> Bytes {
    write("reset", Some(sequence), &json!({}))
}
