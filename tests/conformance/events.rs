//! The events of the provider, and the handlers that a scenario registers for them.

use std::{collections::HashMap, str::FromStr, sync::Arc, time::Duration};

use flagstaff::{
    ProviderEvent,
    flagd::{ChangedFlags, Events},
};
use tokio::{sync::watch, time};

use crate::support::wait;

/// A kind of event, as a step names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Ready,
    Stale,
    Error,
    Change,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "ready" => Ok(Self::Ready),
            "stale" => Ok(Self::Stale),
            "error" => Ok(Self::Error),
            "change" => Ok(Self::Change),
            _ => Err(format!("there is no {name} event")),
        }
    }
}

impl Kind {
    fn of(event: &ProviderEvent) -> Option<Self> {
        match event {
            ProviderEvent::Ready => Some(Self::Ready),
            ProviderEvent::Stale => Some(Self::Stale),
            ProviderEvent::Error { .. } => Some(Self::Error),
            ProviderEvent::ConfigurationChanged(_) => Some(Self::Change),
            _ => None,
        }
    }
}

/// All events of a scenario's provider, from before it is initialized.
#[derive(Default)]
pub(crate) struct EventLog {
    seen: Arc<watch::Sender<Vec<ProviderEvent>>>,
    /// Where in the log the search for the next event of each kind begins.
    handlers: HashMap<Kind, usize>,
    /// Awaited events come in order, after their cause.
    after: usize,
    awaited: Option<ProviderEvent>,
}

impl EventLog {
    /// Keeps the events until their end.
    pub(crate) fn follow(&self, mut events: Events) {
        let seen = Arc::clone(&self.seen);
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                seen.send_modify(|seen| seen.push(event));
            }
        });
    }

    /// Waits until the provider has emitted READY.
    pub(crate) async fn ready(&self) {
        let ready = |seen: &Vec<ProviderEvent>| seen.contains(&ProviderEvent::Ready);
        wait::until(&self.seen, "the provider to be ready", ready).await;
    }

    /// A handler receives the event that matches the current state (OpenFeature specification
    /// 5.3.3), and later ones.
    pub(crate) fn register(&mut self, kind: Kind) {
        let seen = self.seen.borrow();
        let states =
            |event: &ProviderEvent| Kind::of(event).is_some_and(|kind| kind != Kind::Change);
        let current = seen.iter().rposition(states);
        let matching = current.filter(|index| Kind::of(&seen[*index]) == Some(kind));
        self.handlers.insert(kind, matching.unwrap_or(seen.len()));
    }

    /// A cause happens now: the next awaited event must follow it.
    pub(crate) fn cause(&mut self) {
        self.after = self.seen.borrow().len();
    }

    /// Waits until a handler has received an event that no step has awaited yet.
    pub(crate) async fn executed(&mut self, kind: Kind, within: Duration) -> Result<(), String> {
        let handler = self.handlers.entry(kind).or_default();
        let from = self.after.max(*handler);
        let find = |seen: &Vec<ProviderEvent>| position(seen, kind, from);
        let mut receiver = self.seen.subscribe();
        let _ = time::timeout(within, receiver.wait_for(|seen| find(seen).is_some())).await;
        let seen = self.seen.borrow();
        let Some(index) = find(&seen) else {
            return Err(format!("no {kind:?} within {within:?} after event {from} of {:?}", *seen));
        };
        self.awaited = Some(seen[index].clone());
        *handler = index + 1;
        self.after = index + 1;
        Ok(())
    }

    /// Waits this long, during which no handler may receive an event that no step has awaited.
    pub(crate) async fn not_executed(&self, kind: Kind, during: Duration) -> Result<(), String> {
        // The step says how long.
        time::sleep(during).await;
        let seen = self.seen.borrow();
        match position(&seen, kind, self.handlers.get(&kind).copied().unwrap_or_default()) {
            None => Ok(()),
            Some(index) => Err(format!("event {index} of {:?}", *seen)),
        }
    }

    /// Whether the change that was awaited last names this flag.
    pub(crate) fn names_flag(&self, key: &str) -> Result<(), String> {
        match &self.awaited {
            Some(ProviderEvent::ConfigurationChanged(ChangedFlags::Keys(keys)))
                if keys.iter().any(|changed| changed == key) =>
            {
                Ok(())
            }
            other => Err(format!("the last event awaited does not name `{key}`: {other:?}")),
        }
    }

    /// Whether the last event about the state was a fatal error.
    pub(crate) fn is_fatal(&self) -> bool {
        let seen = self.seen.borrow();
        matches!(seen.last(), Some(ProviderEvent::Error { fatal: true, .. }))
    }
}

fn position(seen: &[ProviderEvent], kind: Kind, from: usize) -> Option<usize> {
    (from..seen.len()).find(|index| Kind::of(&seen[*index]) == Some(kind))
}
