//! Starts the server and its jobs, and stops them.

use std::{future::pending, net::SocketAddr, time::Duration};

use axum::middleware::from_fn_with_state;
use flagstaff::{
    Bucketing, async_trait,
    http::{ClientError, Server},
    server::{Server as FlagServer, ServerError},
    source::{Definition, FlagSource, SourceError},
};
use service::{
    access::{Access, Sessions, SessionsError},
    lease,
    signin::{SignIn, SignInError},
    storage::{Listening, Storage, StorageError},
    time,
};
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    MIGRATIONS, PERMISSIONS, api,
    caller::LOCAL,
    jobs::{self, Jobs, Plan},
    live::Live,
    metrics::{self, Failures},
    model::{
        change,
        employee::{self, Employee},
    },
    role::Role,
    settings::{FlagsSettings, Settings},
    store::{Shared, Store},
    ui,
    usage::Usage,
};

/// How many milliseconds a day has.
pub const DAY: i64 = 24 * 3_600_000;

/// A server that does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database cannot be used.
    #[error("cannot use the database ({database})")]
    Storage {
        /// Which one.
        database: String,
        /// Why not.
        #[source]
        source: StorageError,
    },
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
    /// Flagd's protocols cannot be served.
    #[error("cannot serve the flags")]
    Flags(#[source] ServerError),
    /// Reminders cannot be sent.
    #[error("cannot set up the client for Slack")]
    Slack(#[source] ClientError),
}

/// A running server.
pub struct Running {
    server: Server,
    flags: FlagServer,
    store: Store,
    jobs: JoinSet<()>,
    /// The owner of the lease of the jobs.
    owner: String,
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

    /// The server of flagd's protocols.
    #[must_use]
    pub fn flag_server(&self) -> &FlagServer {
        &self.flags
    }

    /// Where flagd's protocols are served, for people.
    #[must_use]
    pub fn flags(&self) -> String {
        let ports = [
            ("gRPC", self.flags.evaluation_addr()),
            ("sync", self.flags.sync_addr()),
            ("OFREP", self.flags.ofrep_addr()),
        ];
        let served = ports.into_iter().filter_map(|(name, at)| Some(format!("{name} at {}", at?)));
        served.collect::<Vec<_>>().join(", ")
    }

    /// Finishes the requests that have begun, ends the streams, stops the jobs, and writes down
    /// what was counted.
    pub async fn shutdown(mut self) {
        tokio::join!(self.server.shutdown(), self.flags.shutdown());
        self.jobs.shutdown().await;
        let flushed = self.store.usage.flush(&self.store.storage, time::now() / DAY).await;
        let used = self.store.access.flush_use().await;
        let released = jobs::release(&self.store.storage, self.owner).await;
        for result in [flushed, used, released] {
            if let Err(error) = result {
                let error = service::describe(&error);
                tracing::warn!(error, "not everything was written to the database at the end");
            }
        }
    }
}

/// Opens the database of a server, and brings its schema up to date unless that is to be skipped.
///
/// # Errors
///
/// The database cannot be used, or its schema is not that of the program.
pub async fn storage(settings: &Settings) -> Result<Storage, StartError> {
    let database = settings.database.clone();
    let opened = if settings.skip_migrations {
        Storage::open_migrated(database, MIGRATIONS).await
    } else {
        Storage::open(database, MIGRATIONS).await
    };
    opened.map_err(|source| failed(settings, source))
}

fn failed(settings: &Settings, source: StorageError) -> StartError {
    StartError::Storage { database: settings.database.to_string(), source }
}

/// Who may do what.
///
/// # Errors
///
/// The sessions cannot be used.
pub fn access(settings: &Settings, storage: Storage) -> Result<Access, StartError> {
    let required = settings.serving.require_auth;
    Ok(match &settings.sign_in {
        None => Access::new(storage, PERMISSIONS, required),
        Some(sign_in) => {
            let sessions = Sessions::new(sign_in.sessions.clone())?;
            Access::with_sessions(storage, PERMISSIONS, required, sessions)
        }
    })
}

/// Starts a server with its jobs.
///
/// # Errors
///
/// The database cannot be used, or an address cannot be served at.
pub async fn start(settings: &Settings) -> Result<Running, StartError> {
    let storage = storage(settings).await?;
    if !settings.serving.require_auth {
        add_local(&storage).await.map_err(|source| failed(settings, source))?;
    }
    let access = access(settings, storage.clone())?;
    let usage = Usage::default();
    let (set, loaded) = oneshot::channel();
    let flags = flag_server(settings, &settings.flags, usage.clone(), loaded).await;
    let flags = flags.map_err(StartError::Flags)?;
    let live = Live::start(storage.clone(), flags.flags(), usage.clone()).await;
    let live = live.map_err(|source| failed(settings, source))?;
    let _ = set.send(());
    let environment = &settings.flags.default_environment;
    if !live.world().environments.contains(environment) {
        tracing::warn!(
            environment,
            "option flags-default-environment: there is no such environment, so flag clients \
             without a selector have no flags until somebody creates it"
        );
    }
    let failures = Failures::default();
    let metrics = metrics::of(&live, &usage, &failures);
    let store = Store::from(Shared {
        storage,
        access,
        live,
        usage,
        metrics,
        failures,
        production_role: settings.production_role,
    });

    find_unused(&store).await;
    let listen = settings.serving.listen;
    let bind = |source| StartError::Bind { listen, source };
    let mut server = Server::builder().listen(listen).max_body(api::MAX_BODY + 1);
    if let Some(tls) = settings.serving.certificates().map_err(|error| bind(error.into()))? {
        server = server.tls(tls);
    }
    let bound = server.bind().await.map_err(|error| bind(error.into()))?;
    let mut router = api::router(store.clone()).merge(ui::router(store.clone()));
    if let Some(sign_in) = &settings.sign_in {
        router = router.merge(SignIn::new(store.access.clone(), sign_in.options.clone())?.router());
    }
    let router = settings.serving.protect(router);
    let router = router.layer(from_fn_with_state(store.metrics.clone(), service::metrics::count));
    let server = bound.serve(move |_| router.clone());

    let mut jobs = JoinSet::new();
    let refreshing = store.access.clone();
    jobs.spawn(store.live.clone().follow_database(move |version| refreshing.refresh(version)));
    jobs.spawn(store.live.clone().follow_clock());
    jobs.spawn(flush(store.clone(), settings.flush_every));
    jobs.spawn(follow_unused(store.clone()));
    let plan = Plan {
        schedule: settings.schedule,
        slack: settings.slack.clone(),
        audit_days: settings.audit_retention_days,
        metrics_days: settings.metrics_retention_days,
    };
    let client = jobs::client().map_err(StartError::Slack)?;
    let owner = lease::owner();
    jobs.spawn(Jobs::new(store.clone(), plan, client, owner.clone()).run());
    let live = store.live.clone();
    let listening = if settings.notifications {
        store.storage.listen(change::CHANGES, move || live.wake())
    } else {
        None
    };
    Ok(Running { server, flags, store, jobs, owner, _listening: listening })
}

/// A source without flags, which delivers once the flags of the database are set. Until then, the
/// server answers that it is not ready, and not that a flag does not exist.
struct Loaded(Option<oneshot::Receiver<()>>);

#[async_trait]
impl FlagSource for Loaded {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn next(&mut self) -> Result<Definition, SourceError> {
        let Some(loaded) = &mut self.0 else { return pending().await };
        // A start that fails drops the sender, and the server with it.
        let _ = loaded.await;
        self.0 = None;
        Ok(Definition::json(r#"{"flags":{}}"#))
    }
}

/// Serves flagd's protocols. An environment is a flag set. The generation of `fractional` is
/// pinned, since the users of a rollout must not change.
async fn flag_server(
    settings: &Settings,
    flags: &FlagsSettings,
    usage: Usage,
    loaded: oneshot::Receiver<()>,
) -> Result<FlagServer, ServerError> {
    let mut server = FlagServer::builder()
        .source(Loaded(Some(loaded)))
        .without_management()
        .bucketing(Bucketing::String)
        .observer(usage)
        .default_flag_set(&flags.default_environment)
        .lowercase_flag_sets()
        .cors_origins(flags.cors_origins.iter().cloned());
    if let Some((certificate, key)) = &settings.serving.tls {
        let (certificate, key) = (certificate.as_path(), key.as_path());
        server = server.tls(certificate, key);
    }
    server = match flags.evaluation {
        Some(listen) => server.evaluation(listen),
        None => server.without_evaluation(),
    };
    server = match flags.sync {
        Some(listen) => server.sync(listen),
        None => server.without_sync(),
    };
    server = match flags.ofrep {
        Some(listen) => server.ofrep(listen),
        None => server.without_ofrep(),
    };
    server.bind().await
}

/// Makes the employee in whose name everything is done where nobody signs in.
async fn add_local(storage: &Storage) -> Result<(), StorageError> {
    storage
        .write(|sql| {
            if employee::get(sql, LOCAL)?.is_some() {
                return Ok(());
            }
            let local = Employee {
                username: LOCAL.to_owned(),
                name: "Admin User".to_owned(),
                email: "admin.user@sampledomain.com".to_owned(),
                role: Role::Admin,
                person: None,
            };
            employee::insert(sql, &local)
        })
        .await
}

/// Looks up each hour what is unused: that takes a month to change. Never returns.
async fn follow_unused(store: Store) {
    loop {
        tokio::time::sleep(Duration::from_hours(1)).await;
        find_unused(&store).await;
    }
}

async fn find_unused(store: &Store) {
    if let Err(error) = store.usage.find_unused(&store.storage, time::now() / DAY).await {
        let error = service::describe(&error);
        tracing::warn!(error, "cannot look up which features are unused");
    }
}

/// Writes down now and then what was counted in memory. Never returns.
async fn flush(store: Store, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let flushed = store.usage.flush(&store.storage, time::now() / DAY).await;
        let used = store.access.flush_use().await;
        if let Err(error) = flushed.and(used) {
            let error = service::describe(&error);
            tracing::warn!(error, "cannot write down what was counted; it will be tried again");
        }
    }
}
