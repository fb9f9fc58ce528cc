//! An engine that runs: its handle, and the task that reads its configuration again.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{
    coordinator::{Command, Coordinator},
    factory::Factory,
    http::Shared,
    parts::{Parts, Source, Target},
    removal,
    status::Status,
};
use crate::{
    http::Server,
    optoggles::{config::Config, machine::Machine},
    source::{FileSource, FlagSource as _},
};

/// How often the configuration is read, where the system tells of no changes.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long sources and targets may take to clean up.
const CLOSING: Duration = Duration::from_secs(2);

/// An engine that runs until it is shut down or dropped.
pub struct Running {
    shared: Shared,
    servers: Servers,
    stop: watch::Sender<bool>,
    reload: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

/// The HTTP servers.
pub(super) struct Servers {
    pub(super) public: Option<Server>,
    pub(super) management: Option<Server>,
}

/// What is needed to read a configuration again.
pub(super) struct Reload {
    pub(super) path: PathBuf,
    pub(super) config: Box<Config>,
    pub(super) factory: Factory,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("address", &self.address())
            .field("management_address", &self.management_address())
            .finish_non_exhaustive()
    }
}

impl Running {
    pub(super) fn start(
        parts: Parts,
        servers: Servers,
        shared: Shared,
        commands: mpsc::Receiver<Command>,
        reload: Option<Reload>,
    ) -> Self {
        let stop = watch::Sender::new(false);
        let (sender, receiver) = mpsc::channel(1);
        let task = Task { parts, shared: shared.clone(), stop: stop.subscribe(), reload };
        let task = tokio::spawn(task.run(commands, receiver));
        Self { shared, servers, stop, reload: sender, task }
    }

    /// The address for callbacks and health, if it was made of a configuration.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.servers.public.as_ref()?.addresses().first().copied()
    }

    /// The address for metrics and details, if there is one.
    #[must_use]
    pub fn management_address(&self) -> Option<SocketAddr> {
        self.servers.management.as_ref()?.addresses().first().copied()
    }

    /// How it is doing. None while it shuts down.
    pub async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.shared.commands.send(Command::Inspect(reply)).await.ok()?;
        answer.await.ok().map(|(status, _)| status)
    }

    /// Returns once every source was asked and every target was written to, or failed.
    pub async fn started(&self) {
        while self.status().await.is_some_and(|status| !status.started) {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lets the changes of a toggle be made that are held back for removing too many users. Returns
    /// how many there are, or none if there is no such toggle.
    pub async fn confirm(&self, toggle: impl Into<String>) -> Option<usize> {
        let (reply, answer) = oneshot::channel();
        self.shared.commands.send(Command::Confirm(toggle.into(), reply)).await.ok()?;
        answer.await.ok()?
    }

    /// Looks at everything again: what sources answer, and what targets hold.
    pub async fn resync(&self) {
        let _ = self.shared.commands.send(Command::Resync).await;
    }

    /// Reads the configuration file again, if it was made of one: what SIGHUP is for.
    pub fn reload(&self) {
        // One that waits will read it all the same.
        let _ = self.reload.try_send(());
    }

    /// Shuts down: finishes what is being written, removes the callbacks from the OPAL clients, and
    /// stops the servers, all within ten seconds.
    pub async fn shutdown(self) {
        let Self { servers, stop, task, .. } = self;
        stop.send_replace(true);
        let _ = task.await;
        for mut server in [servers.public, servers.management].into_iter().flatten() {
            server.drain();
            server.closed_within(Duration::from_millis(500)).await;
        }
    }
}

/// The task that runs coordinators, one after the other.
struct Task {
    parts: Parts,
    shared: Shared,
    stop: watch::Receiver<bool>,
    reload: Option<Reload>,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut asked: mpsc::Receiver<()>) {
        let machine = machine(&self.parts);
        let mut coordinator = Coordinator::new(self.parts.clone(), machine);
        let mut file = self.reload.as_ref().map(|reload| FileSource::new(&reload.path, INTERVAL));
        loop {
            self.route();
            removal::begin(&self.parts, &mut coordinator);
            let halt = watch::Sender::new(false);
            let mut halted = halt.subscribe();
            let mut stop = self.stop.clone();
            let work = coordinator.run(&mut commands, &mut halted);
            let end = async {
                let next = tokio::select! {
                    next = next_parts(&mut self.reload, &self.parts, file.as_mut(), &mut asked) => Some(next),
                    _ = stop.wait_for(|stop| *stop) => None,
                };
                halt.send_replace(true);
                next
            };
            let ((), next) = tokio::join!(work, end);
            let Some(parts) = next else { break };
            let former = std::mem::replace(&mut self.parts, parts);
            coordinator = successor(coordinator, &former, &self.parts);
            close(&former, &self.parts).await;
        }
        close(&self.parts, &Parts::default()).await;
    }

    /// Lets callbacks reach the sources.
    fn route(&self) {
        let sources = self.parts.sources.iter();
        let sources: HashMap<_, _> =
            sources.filter_map(|source| Some((source.id.clone(), source.opal.clone()?))).collect();
        *self.shared.sources.write().unwrap_or_else(PoisonError::into_inner) = sources;
    }
}

fn machine(parts: &Parts) -> Machine {
    let toggles = parts.toggles.iter().map(|entry| (entry.source, entry.targets.clone()));
    Machine::new(parts.settings, toggles)
}

/// Waits until the configuration has changed, and makes parts of it. One that cannot be used is logged,
/// and changes nothing.
async fn next_parts(
    reload: &mut Option<Reload>,
    former: &Parts,
    file: Option<&mut FileSource>,
    asked: &mut mpsc::Receiver<()>,
) -> Parts {
    let (Some(reload), Some(file)) = (reload, file) else { return std::future::pending().await };
    loop {
        tokio::select! {
            read = file.next() => {
                if let Err(error) = read {
                    let path = reload.path.display();
                    tracing::error!(%path, %error, "cannot read the configuration: the former stays");
                    continue;
                }
            }
            Some(()) = asked.recv() => {}
        }
        let config = match Config::load(&reload.path) {
            Ok(config) if config == *reload.config => continue,
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "the configuration cannot be used: the former stays");
                continue;
            }
        };
        let late = late_changes(&reload.config, &config);
        if !late.is_empty() {
            let keys = late.join(", ");
            tracing::warn!(%keys, "changes of these keys take effect at the next start");
        }
        match reload.factory.parts(&config, former).await {
            Ok(parts) => {
                tracing::info!(toggles = parts.toggles.len(), "the configuration was read again");
                *reload.config = config;
                return parts;
            }
            Err(error) => {
                tracing::error!(error = %crate::excerpt::chain(&error), "the configuration cannot be used: the former stays");
            }
        }
    }
}

/// The keys that have changed and that are read at the start alone.
fn late_changes(former: &Config, next: &Config) -> Vec<&'static str> {
    let changed = [
        ("bind", former.bind != next.bind),
        ("managementBind", former.management_bind != next.management_bind),
        ("confirmToken", former.confirm_token != next.confirm_token),
        ("instance", former.instance != next.instance),
        ("state", former.state != next.state),
        ("callbackSecret", former.callback_secret != next.callback_secret),
    ];
    changed.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
}

/// A coordinator of other parts, which knows what the former one knew.
fn successor(former: Coordinator, before: &Parts, after: &Parts) -> Coordinator {
    let mut machine = machine(after);
    let mut known = former.machine;
    for (index, entry) in after.toggles.iter().enumerate() {
        let same_source =
            |other: &Source| Arc::ptr_eq(&other.source, &after.sources[entry.source].source);
        let found = before.toggles.iter().position(|other| {
            other.toggle.rule == entry.toggle.rule
                && other.toggle.key == entry.toggle.key
                && same_source(&before.sources[other.source])
        });
        let Some(found) = found else { continue };
        // A spec that has changed is to be written.
        let same_spec = before.toggles[found].toggle.spec == entry.toggle.spec;
        let same_target = |old: usize, new: usize| {
            let (old, new): (&Target, &Target) = (&before.targets[old], &after.targets[new]);
            same_spec && Arc::ptr_eq(&old.target, &new.target)
        };
        machine.adopt(index, &mut known, found, same_target);
    }
    let mut next = Coordinator::new(after.clone(), machine);
    next.counters = former.counters;
    next.started = former.started;
    next
}

/// Closes the sources and targets that are used no longer.
async fn close(former: &Parts, next: &Parts) {
    let mut closing = JoinSet::new();
    for Source { id, source, .. } in &former.sources {
        if next.sources.iter().any(|other| Arc::ptr_eq(&other.source, source)) {
            continue;
        }
        let (id, source) = (id.clone(), source.clone());
        closing.spawn(async move {
            if timeout(CLOSING, source.close()).await.is_err() {
                tracing::warn!(source = %id, "the source took too long to clean up");
            }
        });
    }
    for Target { id, target, .. } in &former.targets {
        if next.targets.iter().any(|other| Arc::ptr_eq(&other.target, target)) {
            continue;
        }
        let (id, target) = (id.clone(), target.clone());
        closing.spawn(async move {
            if timeout(CLOSING, target.close()).await.is_err() {
                tracing::warn!(target = %id, "the target took too long to clean up");
            }
        });
    }
    while closing.join_next().await.is_some() {}
}
