//! What the handlers share: the database, the caller's access, the register of streams, and a
//! cache of facts.

mod cache;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use axum::{extract::FromRef, http::HeaderValue};
use bytes::Bytes;
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};
use service::{
    access::Access,
    metrics::Metrics,
    problem::Problem,
    request::tag,
    storage::{Database, Sql, Storage, StorageError},
    time,
};
use tokio::sync::Notify;

use self::cache::Cache;
use crate::{
    fact::{self, Facts},
    feed::Hub,
    secret::Backend,
};

/// Among how many numbers the identities share that of their last change.
const SHARDS: usize = 4_096;

/// What the handlers share. Cloning is cheap.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    storage: Storage,
    access: Access,
    secrets: Backend,
    hub: Hub,
    metrics: Metrics,
    wake: Arc<Notify>,
    /// `None` on PostgreSQL, where another replica may change a fact at any time. On SQLite only
    /// a command does, which is noticed when its changes are read.
    cache: Option<Mutex<Cache>>,
    /// The last change of an identity, for identities with the same hash: what was read before
    /// it is out of date.
    written: Vec<AtomicI64>,
    hasher: RandomState,
}

/// The facts of an identity, as a response.
#[derive(Debug)]
pub struct Page {
    /// The facts in JSON.
    pub body: Bytes,
    /// The entity tag, made of the content.
    pub tag: HeaderValue,
    /// The number up to which they contain every change.
    pub sequence: HeaderValue,
    /// Whether there is none.
    pub is_empty: bool,
    number: i64,
    expires: Option<i64>,
}

/// Metrics of the stream of changes.
#[derive(Debug)]
struct Collector(Hub);

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let (streams, behind) = self.0.counts();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let mut gauge = |name: &str, help: &str, value: i64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        gauge("streams", "Open streams of changes", number(streams))?;
        gauge("streams_behind", "Streams that do not keep up", number(behind))?;
        gauge("change", "The number of the last change", self.0.sequence())
    }
}

impl FromRef<Store> for Access {
    fn from_ref(store: &Store) -> Self {
        store.0.access.clone()
    }
}

impl Store {
    /// A store on a database whose schema is up to date.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn open(
        storage: Storage,
        access: Access,
        secrets: Backend,
    ) -> Result<Self, StorageError> {
        let (sequence, version) = storage
            .read(|sql| Ok::<_, StorageError>((sql.last(fact::CHANGES)?, sql.last("access")?)))
            .await?;
        access.refresh(version);
        let hub = Hub::new(sequence);
        let streams = hub.clone();
        let metrics = Metrics::new(|registry| {
            registry.register_collector(Box::new(Collector(streams)));
        });
        let alone = matches!(storage.database(), Database::Sqlite(_));
        Ok(Self(Arc::new(Shared {
            storage,
            access,
            secrets,
            hub,
            metrics,
            wake: Arc::default(),
            cache: alone.then(Mutex::default),
            written: (0..SHARDS).map(|_| AtomicI64::new(0)).collect(),
            hasher: RandomState::new(),
        })))
    }

    /// The database.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// Tokens, people and permissions.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// Where secrets are.
    #[must_use]
    pub fn secrets(&self) -> &Backend {
        &self.0.secrets
    }

    /// The open streams.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// Metrics of requests, streams and changes.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What a task that publishes changes waits for.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.0.wake)
    }

    /// Runs a change of the facts of these identities, after which nobody reads what was before.
    ///
    /// # Errors
    ///
    /// Whatever `change` returns, or a problem of the database.
    pub async fn write<T: Send + 'static>(
        &self,
        identities: Vec<String>,
        change: impl FnOnce(&mut Sql<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (result, last) = self
            .0
            .storage
            .write(move |sql| {
                let result = change(sql)?;
                sql.notify(fact::CHANGES)?;
                Ok::<_, Problem>((result, sql.last(fact::CHANGES)?))
            })
            .await?;
        for identity in identities {
            self.written(&identity).fetch_max(last, Ordering::SeqCst);
        }
        self.0.wake.notify_one();
        Ok(result)
    }

    /// The facts of an identity.
    ///
    /// # Errors
    ///
    /// A problem of the database.
    pub async fn facts(&self, identity: String) -> Result<Arc<Page>, Problem> {
        let now = time::now();
        if let Some(page) = self.cached(&identity, now) {
            return Ok(page);
        }
        let name = identity.clone();
        let facts = self.0.storage.read(move |sql| fact::identity(sql, &name, now)).await;
        let page = Arc::new(Page::new(&facts?));
        if let Some(mut cache) = self.cache() {
            cache.put(identity, &page);
        }
        Ok(page)
    }

    /// Notes changes, which another process may have made: what was cached before them is out of
    /// date.
    pub fn note(&self, changes: &[fact::Change]) {
        for change in changes {
            self.written(&change.identity).fetch_max(change.number, Ordering::SeqCst);
        }
    }

    fn written(&self, identity: &str) -> &AtomicI64 {
        let hash = self.0.hasher.hash_one(identity);
        // The remainder is less than the length, which is no more than a usize holds.
        &self.0.written[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }

    fn cached(&self, identity: &str, now: i64) -> Option<Arc<Page>> {
        let page = self.cache()?.get(identity).cloned()?;
        (page.number >= self.written(identity).load(Ordering::SeqCst)
            && page.expires.is_none_or(|at| at > now))
        .then_some(page)
    }

    fn cache(&self) -> Option<MutexGuard<'_, Cache>> {
        self.0.cache.as_ref().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Page {
    fn new(facts: &Facts) -> Self {
        let is_empty = facts.facts.is_empty();
        let body = serde_json::to_vec(&facts.facts).unwrap_or_else(|_| b"{}".to_vec());
        let tag = tag(&body);
        Self {
            body: body.into(),
            tag,
            sequence: facts.sequence.into(),
            is_empty,
            number: facts.sequence,
            expires: facts.expires,
        }
    }
}
