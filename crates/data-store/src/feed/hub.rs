//! The register of open streams.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use service::access::Principal;
use tokio::sync::mpsc;

use super::Event;

/// How many events may wait for a subscriber before it is told to read anew.
const WAITING: usize = 256;

/// Which identities a subscriber wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Those that begin with this; all, where it is empty.
    Prefix(String),
    /// These, whether they exist or not.
    Identities(HashSet<String>),
}

impl Interest {
    pub(crate) fn covers(&self, identity: &str) -> bool {
        match self {
            Self::Prefix(prefix) => identity.starts_with(prefix.as_str()),
            Self::Identities(identities) => identities.contains(identity),
        }
    }
}

/// A subscriber, for a list.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Its number.
    pub id: u64,
    /// Who it is, as the audit names it.
    pub name: String,
    /// What it wants to hear of.
    pub interest: Interest,
    /// Since when, in milliseconds since 1970.
    pub since: i64,
    /// Whether it does not keep up, and will be told to read anew.
    pub is_behind: bool,
}

/// The register. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<Register>>);

/// Shows how many there are.
impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("streams", &self.lock().entries.len()).finish()
    }
}

#[derive(Default)]
struct Register {
    last_id: u64,
    /// The number of the last change that was handed out.
    sequence: i64,
    entries: HashMap<u64, Entry>,
    /// Who wants to hear of an identity by its name.
    by_identity: HashMap<String, Vec<u64>>,
    /// Who wants to hear of a prefix.
    by_prefix: HashSet<u64>,
}

struct Entry {
    principal: Principal,
    interest: Interest,
    since: i64,
    events: mpsc::Sender<Arc<Event>>,
    /// Events were dropped, because too many were waiting.
    behind: bool,
}

/// A place in the register, given up when it is dropped.
pub(super) struct Place {
    hub: Hub,
    pub(super) id: u64,
    /// The stream contains every change after this.
    pub(super) sequence: i64,
    pub(super) events: mpsc::Receiver<Arc<Event>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.lock().remove(self.id);
    }
}

impl Place {
    /// Whether events were dropped; then the number after which the stream goes on. To be
    /// asked when no event is waiting.
    pub(super) fn caught_up(&self) -> Option<i64> {
        let mut register = self.hub.lock();
        let sequence = register.sequence;
        let entry = register.entries.get_mut(&self.id)?;
        // What has come in since must be read first.
        if !entry.behind || !self.events.is_empty() {
            return None;
        }
        entry.behind = false;
        Some(sequence)
    }

    /// Sets who the subscriber is, after its permissions have changed.
    pub(super) fn set_principal(&self, principal: Principal) {
        if let Some(entry) = self.hub.lock().entries.get_mut(&self.id) {
            entry.principal = principal;
        }
    }
}

impl Hub {
    /// A register for changes after a number.
    #[must_use]
    pub fn new(sequence: i64) -> Self {
        Self(Arc::new(Mutex::new(Register { sequence, ..Register::default() })))
    }

    /// The number of the last change that was handed out.
    #[must_use]
    pub fn sequence(&self) -> i64 {
        self.lock().sequence
    }

    pub(super) fn subscribe(&self, principal: Principal, interest: Interest, now: i64) -> Place {
        let (events, receiver) = mpsc::channel(WAITING);
        let mut register = self.lock();
        register.last_id += 1;
        let id = register.last_id;
        register.index(id, &interest);
        let entry = Entry { principal, interest, since: now, events, behind: false };
        register.entries.insert(id, entry);
        Place { hub: self.clone(), id, sequence: register.sequence, events: receiver }
    }

    /// Changes the identities that a stream is about. Returns the number after which it
    /// contains the changes of new ones, or `None` if this caller has no such stream.
    #[must_use]
    pub fn change(
        &self,
        id: u64,
        principal: &Principal,
        change: impl FnOnce(&mut HashSet<String>),
    ) -> Option<i64> {
        let mut register = self.lock();
        let entry = register.entries.get(&id)?;
        let Interest::Identities(identities) = &entry.interest else { return None };
        if !entry.principal.is(principal) {
            return None;
        }
        let mut identities = identities.clone();
        register.unindex(id);
        change(&mut identities);
        let interest = Interest::Identities(identities);
        register.index(id, &interest);
        register.entries.get_mut(&id)?.interest = interest;
        Some(register.sequence)
    }

    /// Hands out changes that follow those before, up to the number `sequence`.
    pub fn publish(&self, events: Vec<Event>, sequence: i64) {
        let mut register = self.lock();
        for event in events {
            let event = Arc::new(event);
            let named = register.by_identity.get(&event.identity).into_iter().flatten();
            let receivers: Vec<u64> = named.chain(&register.by_prefix).copied().collect();
            for id in receivers {
                register.send(id, &event);
            }
        }
        register.sequence = register.sequence.max(sequence);
    }

    /// Begins again at the number `sequence`: another database has taken the place of the one
    /// whose changes were handed out, and every subscriber has to read anew.
    pub(super) fn restart(&self, sequence: i64) {
        let mut register = self.lock();
        register.sequence = sequence;
        for entry in register.entries.values_mut() {
            entry.behind = true;
        }
    }

    /// How many streams are open, and how many of them do not keep up.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let register = self.lock();
        let behind = register.entries.values().filter(|it| it.behind).count();
        (register.entries.len(), behind)
    }

    /// The open streams.
    #[must_use]
    pub fn subscribers(&self) -> Vec<Subscriber> {
        let register = self.lock();
        let mut subscribers: Vec<_> = register
            .entries
            .iter()
            .map(|(id, entry)| Subscriber {
                id: *id,
                name: entry.principal.name().to_owned(),
                interest: entry.interest.clone(),
                since: entry.since,
                is_behind: entry.behind,
            })
            .collect();
        subscribers.sort_by_key(|it| it.id);
        subscribers
    }

    fn lock(&self) -> MutexGuard<'_, Register> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Register {
    fn index(&mut self, id: u64, interest: &Interest) {
        match interest {
            Interest::Prefix(_) => {
                self.by_prefix.insert(id);
            }
            Interest::Identities(identities) => {
                for identity in identities {
                    self.by_identity.entry(identity.clone()).or_default().push(id);
                }
            }
        }
    }

    fn unindex(&mut self, id: u64) {
        let Some(entry) = self.entries.get(&id) else { return };
        let Interest::Identities(identities) = &entry.interest else {
            self.by_prefix.remove(&id);
            return;
        };
        for identity in identities {
            if let Some(ids) = self.by_identity.get_mut(identity) {
                ids.retain(|it| *it != id);
                if ids.is_empty() {
                    self.by_identity.remove(identity);
                }
            }
        }
    }

    fn remove(&mut self, id: u64) {
        self.unindex(id);
        self.entries.remove(&id);
    }

    fn send(&mut self, id: u64, event: &Arc<Event>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.behind
            || !entry.interest.covers(&event.identity)
            || !entry.principal.covers(&event.identity)
        {
            return;
        }
        // A subscriber that does not keep up misses the rest, and is told so.
        entry.behind = entry.events.try_send(Arc::clone(event)).is_err();
    }
}
