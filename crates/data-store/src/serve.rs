//! Starts the server and its jobs, and stops them.

use std::{net::SocketAddr, time::Duration};

use axum::middleware::from_fn_with_state;
use flagstaff::http::Server;
use service::{
    access::{Access, Sessions, SessionsError},
    audit, metrics,
    problem::Problem,
    signin::{SignIn, SignInError},
    storage::{Listening, Storage, StorageError},
    time,
};
use tokio::task::JoinSet;

use crate::{
    MIGRATIONS, PERMISSIONS, api,
    fact::{self, Context},
    feed,
    secret::{self, Backend},
    settings::Settings,
    store::Store,
    ui,
};

/// How many connections may be open: a stream of changes has one for as long as it is open, and a
/// server full of them has to answer requests as well.
const CONNECTIONS: usize = 50_000;

/// How many facts that have expired are removed in one transaction, and how often that is
/// looked for. Whoever reads them does not see them from the moment on at which they expire.
const EXPIRE_AT_ONCE: i64 = 500;
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// How often the use of tokens is written down.
const FLUSH_EVERY: Duration = Duration::from_mins(1);

/// How often old history and audit are purged.
const PURGE_EVERY: Duration = Duration::from_hours(1);

/// How many secrets are sealed with the current key in one transaction.
const RESEAL_AT_ONCE: i64 = 1_000;

/// For how long the history of removed facts and erasures is kept, in milliseconds.
const REMOVALS_ARE_KEPT: i64 = 90 * 24 * 3_600 * 1_000;

/// A server that does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database cannot be opened.
    #[error("cannot open the database ({database})")]
    Storage {
        /// Which one.
        database: String,
        /// Why not.
        #[source]
        source: StorageError,
    },
    /// AWS Secrets Manager cannot be used.
    #[cfg(feature = "aws")]
    #[error("cannot use AWS Secrets Manager")]
    Aws(#[from] secret::AwsError),
    /// The sessions of people cannot be used.
    #[error(transparent)]
    Sessions(#[from] SessionsError),
    /// The sign-in cannot be used.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The address cannot be served at.
    #[error("cannot serve at {listen}")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A running server.
pub struct Running {
    server: Server,
    store: Store,
    jobs: JoinSet<()>,
    _listening: Option<Listening>,
}

impl Running {
    /// The address that it serves at.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.addresses().first().map(ToString::to_string).unwrap_or_default()
    }

    /// What its handlers share.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Finishes the requests that have begun, ends the streams, and stops the jobs.
    pub async fn shutdown(mut self) {
        self.server.shutdown().await;
        self.jobs.shutdown().await;
        if let Err(error) = self.store.access().flush_use().await {
            let error = service::describe(&error);
            tracing::warn!(error, "the last use of tokens was not written down");
        }
    }
}

/// Opens the database of a server, and brings its schema up to date.
///
/// # Errors
///
/// The database cannot be opened, or its schema is newer than the program.
pub async fn open(settings: &Settings) -> Result<Store, StartError> {
    let database = settings.database.to_string();
    let failed = |source| StartError::Storage { database: database.clone(), source };
    let storage = Storage::open(settings.database.clone(), MIGRATIONS).await.map_err(failed)?;
    let mut access = Access::new(storage.clone(), PERMISSIONS, settings.serving.require_auth);
    if let Some(sign_in) = &settings.sign_in {
        let sessions = Sessions::new(sign_in.sessions.clone())?;
        access = Access::with_sessions(
            storage.clone(),
            PERMISSIONS,
            settings.serving.require_auth,
            sessions,
        );
    }
    Store::open(storage, access, backend(settings).await?).await.map_err(failed)
}

/// Where the secrets are.
#[cfg_attr(not(feature = "aws"), allow(clippy::unused_async))]
async fn backend(settings: &Settings) -> Result<Backend, StartError> {
    #[cfg(feature = "aws")]
    if let crate::settings::SecretsProvider::Aws { recovery_days } = settings.secrets_provider {
        let manager = secret::SecretsManager::connect(recovery_days).await?;
        return Ok(Backend::Aws(std::sync::Arc::new(manager)));
    }
    Ok(settings.secrets_keys.clone().map_or(Backend::Nowhere, Backend::Database))
}

/// Starts a server with its jobs.
///
/// # Errors
///
/// The database cannot be opened, or the address cannot be served at.
pub async fn start(settings: &Settings) -> Result<Running, StartError> {
    let store = open(settings).await?;
    let listen = settings.serving.listen;
    let bind = |source| StartError::Bind { listen, source };
    let mut server =
        Server::builder().listen(listen).max_body(api::MAX_BODY + 1).max_connections(CONNECTIONS);
    if let Some(tls) = settings.serving.certificates().map_err(|error| bind(error.into()))? {
        server = server.tls(tls);
    }
    let bound = server.bind().await.map_err(|error| bind(error.into()))?;
    let mut router = api::router(store.clone()).merge(ui::router(store.clone()));
    if let Some(sign_in) = &settings.sign_in {
        let sign_in = SignIn::new(store.access().clone(), sign_in.options.clone())?;
        router = router.merge(sign_in.router());
    }
    let router = settings.serving.protect(router);
    let router = router.layer(from_fn_with_state(store.metrics().clone(), metrics::count));
    let server = bound.serve(move |_| router.clone());

    let mut jobs = JoinSet::new();
    let (storage, access) = (store.storage().clone(), store.access().clone());
    let noting = store.clone();
    let note = move |changes: &[fact::Change]| noting.note(changes);
    jobs.spawn(feed::tail(storage, store.hub().clone(), access, store.wake(), note));
    jobs.spawn(every(EXPIRE_EVERY, store.clone(), async |store| expire(store).await));
    jobs.spawn(every(FLUSH_EVERY, store.clone(), async |store| {
        store.access().flush_use().await.map_err(Problem::from)
    }));
    let days = settings.audit_retention_days;
    jobs.spawn(every(PURGE_EVERY, store.clone(), async move |store| purge(store, days).await));
    let wake = store.wake();
    let listening = store.storage().listen(fact::CHANGES, move || wake.notify_one());
    Ok(Running { server, store, jobs, _listening: listening })
}

/// Runs a job again and again. A failure has been logged where it became a problem.
async fn every(pause: Duration, store: Store, job: impl AsyncFn(&Store) -> Result<(), Problem>) {
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let _ = job(&store).await;
    }
}

/// Removes facts that have expired, so that the stream of changes has them. Two replicas that
/// do it at the same time do no harm: the second finds nothing.
async fn expire(store: &Store) -> Result<(), Problem> {
    loop {
        let now = time::now();
        let any = store.storage().read(move |sql| fact::any_expired(sql, now)).await;
        if !any? {
            return Ok(());
        }
        store
            .write(Vec::new(), |sql| {
                let context = Context::new("expiry");
                Ok(fact::expire(sql, &context, EXPIRE_AT_ONCE)?)
            })
            .await?;
    }
}

/// Forgets what is too old, and seals secrets with the current key. Replicas that do it at the
/// same time do no harm.
async fn purge(store: &Store, audit_days: i64) -> Result<(), Problem> {
    let (storage, now) = (store.storage(), time::now());
    let begin = now - audit_days * 24 * 3_600 * 1_000;
    // Each by itself: what fails in one keeps none of the others from its work.
    let sessions = store.access().purge_sessions().await;
    let events = storage.write(move |sql| audit::purge(sql, begin)).await;
    let facts = storage.write(move |sql| fact::purge(sql, now - REMOVALS_ARE_KEPT, 10_000)).await;
    let secrets = match store.secrets().keys() {
        Some(keys) => storage.write(move |sql| secret::reseal(sql, &keys, RESEAL_AT_ONCE)).await,
        None => Ok(()),
    };
    sessions?;
    events?;
    facts?;
    secrets
}
