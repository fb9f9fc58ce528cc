//! Follows the change stream for the cache or the mirror. The task holds no strong
//! reference while it waits, and is aborted with its owner.
//!
//! **For the cache**, the stream has a set of identities, which grows with each read and
//! shrinks with each eviction. An identity that was read before the stream had it is read
//! again, since it may have changed in between.
//!
//! **For the mirror**, the stream is opened first. Once it is ready, all pages are read,
//! while the stream waits; then it repeats the changes since it was opened, of which the
//! pages contain some. After a reset the pages are read again, and the old facts stay in
//! use until they are replaced.
//!
//! A stream that was cut goes on where it broke off, so nothing has to be read again.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    pin::Pin,
    sync::{Arc, Weak},
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    cache::Change,
    mirror::Pages,
    store::{Follow, Phase, Store},
};
use crate::{
    backoff::Backoff,
    flagops::{
        client::{ChangeEvent, Changes, ListQuery, Subscription},
        error::FactsError,
    },
};

/// How many identities are read at the same time because of the stream.
const READS: usize = 8;

/// The largest page of a mirror.
const PAGE: u32 = 5_000;

/// The first and the longest delay between attempts to load a mirror.
const DELAYS: [std::time::Duration; 2] =
    [std::time::Duration::from_secs(1), std::time::Duration::from_secs(30)];

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The task for a store.
pub(super) fn follow(store: &Arc<Store>) -> Task {
    let (weak, name) = (Arc::downgrade(store), store.client.name());
    let subscription = match &store.options.follow {
        Follow::Mirror(prefix) => Subscription::prefix(prefix),
        Follow::Nothing | Follow::Cached => Subscription::of([] as [&str; 0]),
    };
    let changes = match store.client.changes(subscription) {
        Ok(changes) => changes,
        // It fails only for an invalid identity in a set.
        Err(error) => {
            tracing::warn!(store = name, %error, "cannot follow the changes of facts");
            return Box::pin(async {});
        }
    };
    if let Some(set) = changes.handle() {
        // There is one task for a store.
        let _ = store.set.set(set);
    }
    match &store.options.follow {
        Follow::Mirror(prefix) => Box::pin(mirror(weak, changes, prefix.clone())),
        Follow::Nothing | Follow::Cached => Box::pin(watch(weak, changes)),
    }
}

/// Keeps the cached identities up to date.
async fn watch(store: Weak<Store>, mut changes: Changes) {
    let (mut to_read, mut reads) = (VecDeque::new(), JoinSet::new());
    loop {
        let event = tokio::select! {
            event = changes.next() => Some(event),
            Some(_) = reads.join_next() => None,
        };
        let Some(store) = store.upgrade() else { return };
        match event {
            None => {}
            Some(Ok(event)) => to_read.extend(cached(&store, event)),
            Some(Err(error)) => {
                store.cache().set_connected(false);
                if is_final(&error) {
                    tracing::debug!(%error, "the changes of facts are not followed");
                    return;
                }
                store.failed(&Arc::new(error));
            }
        }
        while reads.len() < READS
            && let Some(identity) = to_read.pop_front()
        {
            let mut ended = store.read(&identity);
            reads.spawn(async move {
                // The sender is dropped when the read has ended.
                let _ = ended.changed().await;
            });
        }
    }
}

/// Applies an event to the cache. Returns the identities to be read.
fn cached(store: &Arc<Store>, event: ChangeEvent) -> Vec<String> {
    let (identity, sequence, change) = match event {
        ChangeEvent::Ready { .. } => {
            store.succeeded();
            store.cache().set_connected(true);
            return Vec::new();
        }
        ChangeEvent::Added { sequence, identities } => {
            return store.cache().subscribed(&identities, sequence);
        }
        ChangeEvent::Reset { sequence } => return store.cache().reset(sequence),
        ChangeEvent::Changed { sequence, identity, key, value } => {
            (identity, sequence, Change::Fact(key, value))
        }
        ChangeEvent::Erased { sequence, identity } => (identity, sequence, Change::Erased),
    };
    let changed = store.cache().apply(&identity, sequence, &change);
    store.versions.changed(changed);
    Vec::new()
}

/// Keeps all facts of a prefix.
///
/// Without pages, changes are dropped: the pages that are read later contain them.
async fn mirror(store: Weak<Store>, mut changes: Changes, prefix: String) {
    let mut backoff = Backoff::new(DELAYS[0], DELAYS[1]);
    // `None` if they have to be loaded once the stream is ready.
    let mut pages: Option<Pages> = None;
    let mut is_ready = false;
    loop {
        if is_ready && pages.is_none() {
            // The stream is not read meanwhile. The store keeps its changes, or resets it.
            let Some(store) = store.upgrade() else { return };
            match load(&store, &prefix).await {
                Ok(loaded) => {
                    pages = Some(loaded);
                    store.succeeded();
                    store.phase.send_replace(Phase::Loaded { lost: None });
                }
                Err(error) => {
                    lost(&store, error);
                    drop(store);
                    sleep(backoff.failed(Instant::now())).await;
                }
            }
            continue;
        }
        let event = changes.next().await;
        let Some(store) = store.upgrade() else { return };
        let (identity, sequence, change) = match event {
            Ok(ChangeEvent::Ready { .. }) => {
                is_ready = true;
                if pages.is_some() {
                    store.succeeded();
                    store.phase.send_replace(Phase::Loaded { lost: None });
                }
                continue;
            }
            Ok(ChangeEvent::Reset { .. }) => {
                pages = None;
                continue;
            }
            Ok(ChangeEvent::Added { .. }) => continue,
            Ok(ChangeEvent::Changed { sequence, identity, key, value }) => {
                (identity, sequence, Change::Fact(key, value))
            }
            Ok(ChangeEvent::Erased { sequence, identity }) => (identity, sequence, Change::Erased),
            Err(error) if is_final(&error) => {
                let name = store.client.name();
                tracing::warn!(store = name, %error, "no mirror: facts are read one by one");
                store.phase.send_replace(Phase::None);
                return;
            }
            Err(error) => {
                lost(&store, error);
                continue;
            }
        };
        if pages.as_ref().is_some_and(|pages| !pages.contain(&identity, sequence)) {
            store.versions.changed(store.mirror.apply(identity, &change, store.options.typing));
        }
    }
}

/// Whether the store has no change stream.
fn is_final(error: &FactsError) -> bool {
    matches!(error, FactsError::Unsupported { .. })
}

/// Notes that the mirror is not up to date any more.
fn lost(store: &Arc<Store>, error: FactsError) {
    store.failed(&Arc::new(error));
    store.phase.send_if_modified(|phase| match phase {
        Phase::Loaded { lost: lost @ None } => {
            *lost = Some(Instant::now());
            true
        }
        Phase::Loading { has_failed: has_failed @ false } => {
            *has_failed = true;
            true
        }
        _ => false,
    });
}

/// Reads all pages into the mirror.
async fn load(store: &Arc<Store>, prefix: &str) -> Result<Pages, FactsError> {
    let (mut pages, mut seen, mut changed) = (Pages::default(), HashSet::new(), BTreeSet::new());
    let mut query = Some(ListQuery::prefix(prefix).limit(PAGE));
    while let Some(next) = query {
        let page = store.client.all_facts(&next).await?;
        let last = page.next.as_ref().and_then(ListQuery::begins_after);
        pages.add(last.map(str::to_owned), page.sequence.unwrap_or_default());
        store.mirror.insert(page.items, store.options.typing, &mut seen, &mut changed);
        query = page.next;
    }
    store.mirror.retain(&seen, &mut changed);
    store.versions.changed(changed);
    Ok(pages)
}
