//! The change stream: opened, followed, and opened again where it broke off.
//!
//! ```text
//! Closed --delay, open--> Open --event--> event for the caller
//!   ^                      | set changed --> PATCH, or 404: Closed without a delay
//!   +------ error ---------+
//! ```
//!
//! The stream is pulled: nothing happens while nobody waits in [`Changes::next`], and
//! the store keeps the changes, or says that there were too many.

use std::{collections::VecDeque, fmt, sync::Arc};

use http::{
    HeaderName, Method, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{
    event::{ChangeEvent, Incoming},
    response::Received,
    send::{Call, Inner},
    subscription::{Delta, Selected, SharedSet, Subscription},
};
use crate::{
    backoff::Backoff,
    flagops::{
        error::FactsError,
        grammar,
        sse::{Parser, ServerSentEvent},
    },
    http::ClientBody,
};

static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A stream of the changes of facts, from [`FactsClient::changes`](super::FactsClient::changes).
///
/// It reconnects by itself, with growing delays, and goes on where it broke off.
///
/// ```no_run
/// use flagstaff::flagops::{ChangeEvent, FactsClient, Subscription};
///
/// # async fn example(client: FactsClient) -> Result<(), flagstaff::flagops::FactsError> {
/// let mut changes = client.changes(Subscription::prefix("acme-"))?;
/// loop {
///     match changes.next().await {
///         Ok(ChangeEvent::Changed { identity, key, value, .. }) => {
///             println!("{identity}: {key} is {value:?}");
///         }
///         Ok(event) => println!("{event:?}"),
///         Err(error) => eprintln!("interrupted: {error}"),
///     }
/// }
/// # }
/// ```
pub struct Changes {
    inner: Arc<Inner>,
    scope: Scope,
    state: State,
    /// Events that have arrived and were not returned yet.
    events: VecDeque<ChangeEvent>,
    /// The number of the last event, from which the next stream goes on.
    last: Option<u64>,
    backoff: Backoff,
    /// No attempt begins before this time.
    not_before: Option<Instant>,
    /// A change of the set that is being sent.
    sending: Option<Delta>,
    /// Identities that were added and of which the caller has not been notified.
    added: Vec<String>,
}

/// Which identities are followed.
#[derive(Debug)]
enum Scope {
    All,
    Prefix(String),
    Set(SharedSet),
}

#[derive(Debug)]
enum State {
    Closed,
    Open(Box<Open>),
}

#[derive(Debug)]
struct Open {
    /// The method and the URL, for messages.
    request: String,
    body: ClientBody,
    parser: Parser,
    /// The id of the stream, once it is ready.
    stream: Option<String>,
    /// When something arrived last.
    heard: Instant,
}

/// The response to a change of the set.
#[derive(Deserialize)]
struct SetChanged {
    sequence: u64,
}

/// Changes the set of identities of a [`Changes`] stream while somebody waits for its
/// events.
///
/// ```no_run
/// use flagstaff::flagops::{ChangeEvent, FactsClient, Subscription};
///
/// # async fn example(client: FactsClient) -> Result<(), Box<dyn std::error::Error>> {
/// let mut changes = client.changes(Subscription::of(["acme-prod"]))?;
/// let set = changes.handle().ok_or("not a set")?;
/// tokio::spawn(async move { while let Ok(event) = changes.next().await { println!("{event:?}") } });
/// set.add("acme-test")?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ChangesHandle(SharedSet);

impl ChangesHandle {
    /// Adds an identity, which need not exist. [`ChangeEvent::Added`] tells when its
    /// changes are in the stream.
    ///
    /// # Errors
    ///
    /// If the identity is invalid.
    pub fn add(&self, identity: &str) -> Result<(), FactsError> {
        self.0.add(grammar::identity(identity)?);
        Ok(())
    }

    /// Removes an identity. A few more of its changes may arrive.
    pub fn remove(&self, identity: &str) {
        self.0.remove(identity);
    }
}

impl Changes {
    pub(super) fn new(inner: Arc<Inner>, subscription: Subscription) -> Self {
        let scope = match subscription.0 {
            Selected::All => Scope::All,
            Selected::Prefix(prefix) => Scope::Prefix(prefix),
            Selected::Set(set) => Scope::Set(SharedSet::new(set)),
        };
        let backoff = Backoff::new(inner.limits.first_delay, inner.limits.max_delay);
        Self {
            inner,
            scope,
            state: State::Closed,
            events: VecDeque::new(),
            last: None,
            backoff,
            not_before: None,
            sending: None,
            added: Vec::new(),
        }
    }

    /// Returns what changes the set of identities; `None` if the stream does not have a
    /// set, but all identities or a prefix.
    #[must_use]
    pub fn handle(&self) -> Option<ChangesHandle> {
        match &self.scope {
            Scope::Set(set) => Some(ChangesHandle(set.clone())),
            Scope::All | Scope::Prefix(_) => None,
        }
    }

    /// Waits for the next event. It is cancel-safe.
    ///
    /// # Errors
    ///
    /// If the stream was interrupted, or an attempt to open it has failed. That is not
    /// the end: the next call waits for a while and opens the stream again, as often as
    /// it is called. A caller can give up on errors that are not
    /// [temporary](FactsError::is_temporary), such as [`FactsError::Unsupported`].
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub async fn next(&mut self) -> Result<ChangeEvent, FactsError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let advanced = match &mut self.state {
                State::Closed => self.open().await,
                State::Open(_) => self.follow().await,
            };
            if let Err(error) = advanced {
                return Err(self.close(error));
            }
        }
    }

    /// Waits until the next attempt is due, and opens the stream.
    async fn open(&mut self) -> Result<(), FactsError> {
        if let Some(not_before) = self.not_before {
            sleep_until(not_before).await;
        }
        self.set_aside();
        let mut body = None;
        let mut query = Vec::new();
        match &self.scope {
            Scope::All => {}
            Scope::Prefix(prefix) => query.push(("prefix", &**prefix)),
            Scope::Set(set) => {
                let (identities, Delta { add, .. }) = set.begin();
                self.added.extend(add);
                self.added.retain(|identity| identities.contains(identity));
                if identities.is_empty() {
                    // An empty set may mean all identities to a server.
                    set.changed().await;
                    return Ok(());
                }
                body = Some(json!({"identities": identities}));
            }
        }
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut call = Call::new(method, ["changes"]);
        (call.query, call.body) = (query, body);
        call.headers.push((ACCEPT, "text/event-stream".to_owned()));
        call.headers.push((ACCEPT_ENCODING, "identity".to_owned()));
        if let Some(last) = self.last {
            call.headers.push((LAST_EVENT_ID.clone(), last.to_string()));
        }
        let (request, response) = self.inner.begin(&call).await?;
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase());
        let is_stream = kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"));
        if parts.status != StatusCode::OK || !is_stream {
            let body = body.bytes().await.map_err(FactsError::Unreachable)?;
            let received = Received { request, status: parts.status, headers: parts.headers, body };
            return Err(match received.success() {
                Ok(received) => received.unexpected("it is not an event stream".to_owned()),
                Err(error) => error,
            });
        }
        let (parser, heard) = (Parser::default(), Instant::now());
        self.state = State::Open(Box::new(Open { request, body, parser, stream: None, heard }));
        Ok(())
    }

    /// Reads what comes next, or sends a change of the set.
    async fn follow(&mut self) -> Result<(), FactsError> {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        if let (Some(stream), Some(delta)) = (&open.stream, &self.sending) {
            let sent = send(&self.inner, stream, delta).await;
            return self.sent(sent);
        }
        let idle = self.inner.limits.idle.saturating_sub(open.heard.elapsed());
        let set = match &self.scope {
            Scope::Set(set) if open.stream.is_some() => Some(set),
            _ => None,
        };
        let changed = async {
            match set {
                Some(set) => set.changed().await,
                None => std::future::pending().await,
            }
        };
        let part = tokio::select! {
            part = open.body.chunk(idle) => part.map_err(FactsError::Unreachable)?,
            () = changed => {
                self.sending = set.map(SharedSet::take).filter(|delta| !delta.is_empty());
                return Ok(());
            }
        };
        let Some(part) = part else {
            return Err(FactsError::Ended("connection closed".to_owned()));
        };
        open.heard = Instant::now();
        let mut events = Vec::new();
        let parsed = open.parser.push(&part, &mut events);
        for event in events {
            self.receive(&event)?;
        }
        let State::Open(open) = &self.state else { return Ok(()) };
        let request = &open.request;
        parsed.map_err(|error| FactsError::Unexpected {
            request: request.clone(),
            reason: error.to_string(),
        })
    }

    /// Takes one event of the open stream.
    fn receive(&mut self, event: &ServerSentEvent) -> Result<(), FactsError> {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        let unexpected = |reason| FactsError::Unexpected { request: open.request.clone(), reason };
        let incoming = Incoming::of(event).map_err(unexpected)?;
        match incoming {
            Incoming::Ready { sequence, stream } => {
                open.stream = Some(stream);
                self.last = Some(sequence);
                self.backoff.ready(Instant::now());
                self.events.push_back(ChangeEvent::Ready { sequence });
                if !self.added.is_empty() {
                    let identities = std::mem::take(&mut self.added);
                    self.events.push_back(ChangeEvent::Added { sequence, identities });
                }
            }
            Incoming::End(reason) => return Err(FactsError::Ended(reason)),
            Incoming::Unknown => {}
            Incoming::Event(_) if open.stream.is_none() => {
                return Err(unexpected("an event before `ready`".to_owned()));
            }
            Incoming::Event(event) => {
                if let ChangeEvent::Changed { sequence, .. }
                | ChangeEvent::Erased { sequence, .. }
                | ChangeEvent::Reset { sequence } = &event
                {
                    self.last = Some(*sequence);
                }
                self.events.push_back(event);
            }
        }
        Ok(())
    }

    /// Takes the response to a change of the set.
    fn sent(&mut self, sent: Result<SetChanged, FactsError>) -> Result<(), FactsError> {
        match sent {
            Ok(SetChanged { sequence }) => {
                let delta = self.sending.take().unwrap_or_default();
                if !delta.add.is_empty() {
                    let identities = delta.add.into_iter().collect();
                    self.events.push_back(ChangeEvent::Added { sequence, identities });
                }
                Ok(())
            }
            // Another replica has the stream: a new one can have the new set.
            Err(FactsError::NotFound(_)) => {
                self.state = State::Closed;
                self.not_before = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps the identities of a change that was not sent for the next stream.
    fn set_aside(&mut self) {
        self.added.extend(self.sending.take().unwrap_or_default().add);
    }

    /// Closes the stream, and determines when it is opened again.
    fn close(&mut self, error: FactsError) -> FactsError {
        self.state = State::Closed;
        let now = Instant::now();
        let mut delay = self.backoff.failed(now);
        if let FactsError::Unavailable { retry_after: Some(after), .. } = &error {
            delay = delay.max((*after).min(self.inner.limits.max_delay));
        }
        self.not_before = Some(now + delay);
        error
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Changes the set of a stream.
async fn send(inner: &Inner, stream: &str, delta: &Delta) -> Result<SetChanged, FactsError> {
    let body = json!({"add": delta.add, "remove": delta.remove});
    let call = Call::new(Method::PATCH, ["changes", stream]).body(body);
    // It may be repeated: the result is the same.
    let received = inner.send(&Call { is_safe: true, ..call }).await?.success()?;
    received.json("an object with a sequence")
}
