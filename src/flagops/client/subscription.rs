//! Which identities a change stream reports, and the changes of that set.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Which identities a [change stream](super::FactsClient::changes) reports.
///
/// ```
/// use flagstaff::flagops::Subscription;
///
/// let all = Subscription::all();
/// let of_a_customer = Subscription::prefix("acme-");
/// let two = Subscription::of(["acme-prod", "acme-test"]);
/// ```
#[derive(Clone, Debug)]
pub struct Subscription(pub(super) Selected);

#[derive(Clone, Debug)]
pub(super) enum Selected {
    All,
    Prefix(String),
    Set(HashSet<String>),
}

impl Subscription {
    /// All identities that the token may read.
    #[must_use]
    pub fn all() -> Self {
        Self(Selected::All)
    }

    /// The identities whose name begins with `prefix`.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        match prefix.into() {
            prefix if prefix.is_empty() => Self::all(),
            prefix => Self(Selected::Prefix(prefix)),
        }
    }

    /// These identities, which need not exist. The set can be changed with
    /// [`Changes::handle`](super::Changes::handle). Without any, the stream is not opened.
    pub fn of<I: Into<String>>(identities: impl IntoIterator<Item = I>) -> Self {
        Self(Selected::Set(identities.into_iter().map(Into::into).collect()))
    }

    /// The identities of a set.
    pub(super) fn identities(&self) -> impl Iterator<Item = &str> {
        let set = match &self.0 {
            Selected::Set(set) => Some(set),
            Selected::All | Selected::Prefix(_) => None,
        };
        set.into_iter().flatten().map(String::as_str)
    }
}

/// The set of a stream, shared by the stream and its handles.
///
/// A handle changes the set, and the stream takes what has changed and sends it. Many
/// changes while one is sent become one.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedSet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Set>,
    changed: Notify,
}

/// A set, and how it differs from what the store knows.
#[derive(Debug, Default)]
struct Set {
    wanted: HashSet<String>,
    delta: Delta,
}

/// Identities to add and to remove. None is in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) add: HashSet<String>,
    pub(super) remove: HashSet<String>,
}

impl Set {
    /// Notes that the store does not know what is wanted of this identity.
    fn note(&mut self, identity: String) {
        let Delta { add, remove } = &mut self.delta;
        if self.wanted.contains(&identity) {
            remove.remove(&identity);
            add.insert(identity);
        } else {
            add.remove(&identity);
            remove.insert(identity);
        }
    }
}

impl Delta {
    pub(super) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

impl SharedSet {
    pub(super) fn new(wanted: HashSet<String>) -> Self {
        let state = Mutex::new(Set { wanted, delta: Delta::default() });
        Self(Arc::new(Shared { state, changed: Notify::new() }))
    }

    /// Adds an identity. One that was removed a moment ago counts as added again, since its
    /// changes may have been missed meanwhile.
    pub(super) fn add(&self, identity: &str) {
        let mut set = self.lock();
        if set.wanted.insert(identity.to_owned()) {
            set.note(identity.to_owned());
            self.0.changed.notify_one();
        }
    }

    pub(super) fn remove(&self, identity: &str) {
        let mut set = self.lock();
        if set.wanted.remove(identity) {
            set.note(identity.to_owned());
            self.0.changed.notify_one();
        }
    }

    /// The whole set for a new stream, and what was added since the last one.
    pub(super) fn begin(&self) -> (Vec<String>, Delta) {
        let mut set = self.lock();
        (set.wanted.iter().cloned().collect(), std::mem::take(&mut set.delta))
    }

    /// What has changed since the last time.
    pub(super) fn take(&self) -> Delta {
        std::mem::take(&mut self.lock().delta)
    }

    /// Waits until the set may have changed.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(add: &[&str], remove: &[&str]) -> Delta {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Delta { add: set(add), remove: set(remove) }
    }

    #[test]
    fn a_delta_is_what_the_store_does_not_know() {
        let set = SharedSet::new(["a".to_owned()].into());
        set.add("a");
        assert!(set.take().is_empty());
        set.add("b");
        set.remove("a");
        assert_eq!(set.take(), delta(&["b"], &["a"]));
        set.add("c");
        set.remove("c");
        set.remove("b");
        set.add("b");
        assert_eq!(set.take(), delta(&["b"], &["c"]));
        assert_eq!(set.begin(), (vec!["b".to_owned()], delta(&[], &[])));
    }
}
