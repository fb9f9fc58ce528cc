//! The change stream: opened, followed, and opened again where it broke off.
//!
//! ```text
//! Closed --delay--> Opening --> Open --event--> event for the caller
//!   ^                  |         | set changed --> PATCH, or 404: Closed without a delay
//!   +------ error -----+---------+
//! ```
//!
//! The number of the last event is sent as `Last-Event-ID` when the stream is opened
//! again, and the store sends what was missed, or `reset` if that is too much.
//!
//! The stream is pulled: nothing happens while nobody waits in [`Changes::next`], and
//! the store keeps the changes, or says that there were too many.

use std::{collections::VecDeque, fmt, pin::Pin, sync::Arc};

use http::{
    HeaderName, Method, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::{Value, json};
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
    sending: Option<Sending>,
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

/// What has begun goes on when the caller stops waiting and waits again.
enum State {
    Closed,
    Opening(Pin<Box<dyn Future<Output = Result<Open, FactsError>> + Send>>),
    Open(Box<Open>),
}

/// A change of the set, and the response to it.
struct Sending {
    delta: Delta,
    response: Pin<Box<dyn Future<Output = Result<SetChanged, FactsError>> + Send>>,
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
                State::Closed => self.prepare().await,
                State::Opening(opening) => opening.await.map(|open| {
                    self.state = State::Open(Box::new(open));
                }),
                State::Open(_) => self.follow().await,
            };
            if let Err(error) = advanced {
                return Err(self.close(error));
            }
        }
    }

    /// Waits until the next attempt is due, and begins to open the stream.
    async fn prepare(&mut self) -> Result<(), FactsError> {
        if let Some(not_before) = self.not_before {
            sleep_until(not_before).await;
        }
        // What was not sent is a part of the new set.
        self.added.extend(self.sending.take().map(|sending| sending.delta.add).unwrap_or_default());
        let (mut prefix, mut set) = (None, None);
        match &self.scope {
            Scope::All => {}
            Scope::Prefix(all) => prefix = Some(all.clone()),
            Scope::Set(shared) => {
                let (identities, Delta { add, .. }) = shared.begin();
                self.added.extend(add);
                self.added.retain(|identity| identities.contains(identity));
                if identities.is_empty() {
                    // An empty set may mean all identities to a server.
                    shared.changed().await;
                    return Ok(());
                }
                set = Some(json!({"identities": identities}));
            }
        }
        self.state =
            State::Opening(Box::pin(open(Arc::clone(&self.inner), prefix, set, self.last)));
        Ok(())
    }

    /// Reads what comes next, or sends a change of the set.
    async fn follow(&mut self) -> Result<(), FactsError> {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        if let Some(sending) = &mut self.sending {
            let response = sending.response.as_mut().await;
            return self.sent(response);
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
                let delta = set.map(SharedSet::take).filter(|delta| !delta.is_empty());
                if let (Some(delta), Some(stream)) = (delta, open.stream.clone()) {
                    let response = Box::pin(send(Arc::clone(&self.inner), stream, delta.clone()));
                    self.sending = Some(Sending { delta, response });
                }
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
                let added =
                    self.sending.take().map(|sending| sending.delta.add).unwrap_or_default();
                if !added.is_empty() {
                    let identities = added.into_iter().collect();
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

/// Opens a stream of a prefix, a set or all identities, after the last number.
async fn open(
    inner: Arc<Inner>,
    prefix: Option<String>,
    set: Option<Value>,
    last: Option<u64>,
) -> Result<Open, FactsError> {
    let method = if set.is_some() { Method::POST } else { Method::GET };
    let mut call = Call::new(method, ["changes"]);
    call.body = set;
    if let Some(prefix) = &prefix {
        call = call.query("prefix", prefix);
    }
    call.headers.push((ACCEPT, "text/event-stream".to_owned()));
    call.headers.push((ACCEPT_ENCODING, "identity".to_owned()));
    if let Some(last) = last {
        call.headers.push((LAST_EVENT_ID.clone(), last.to_string()));
    }
    let (request, response) = inner.begin(&call).await?;
    let (parts, body) = response.into_parts();
    let kind = parts.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase());
    let is_stream = kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"));
    if parts.status == StatusCode::OK && is_stream {
        let (parser, heard) = (Parser::default(), Instant::now());
        return Ok(Open { request, body, parser, stream: None, heard });
    }
    let body = body.bytes().await.map_err(FactsError::Unreachable)?;
    let received = Received { request, status: parts.status, headers: parts.headers, body };
    Err(match received.success() {
        Ok(received) => received.unexpected("it is not an event stream".to_owned()),
        Err(error) => error,
    })
}

/// Changes the set of a stream.
async fn send(inner: Arc<Inner>, stream: String, delta: Delta) -> Result<SetChanged, FactsError> {
    let body = json!({"add": delta.add, "remove": delta.remove});
    let call = Call::new(Method::PATCH, ["changes", &*stream]).body(body);
    // It may be repeated: the result is the same.
    let received = inner.send(&Call { is_safe: true, ..call }).await?.success()?;
    received.json("an object with a sequence")
}
