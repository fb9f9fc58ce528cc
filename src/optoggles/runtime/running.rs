//! A running engine: its handle [`Running`], and the task behind it.
//!
//! The task runs one [`Coordinator`] at a time. When the configuration file has changed,
//! it makes new [`Parts`], stops the coordinator, and starts a successor:
//!
//! ```text
//! 1. load the file        invalid: log it, keep everything
//! 2. make new parts       impossible (an address in use): log it, keep everything
//! 3. stop the coordinator, let writes that are under way end
//! 4. successor: takes over questions, cells and counters
//! 5. close sources and targets that are no longer used
//! 6. run the successor
//! ```
//!
//! Toggles keep their state if their key, rule and source are the same, and the state at
//! a target is kept if that and the toggle's `spec` are the same. So a reload that
//! changes one toggle queries all, and writes at most that one.

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
    error::EngineError,
    factory::Factory,
    http::{Shared, Snapshot},
    parts::{Parts, Source, Target},
    status::Status,
};
use crate::{
    http::Server,
    optoggles::{config::Config, machine::Machine},
    source::{FileSource, FlagSource as _},
};

/// How often the configuration file is looked at, in case the operating system does not
/// report a change.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long each source and target may take to clean up. They do so at the same time.
const CLOSING: Duration = Duration::from_secs(2);

/// A handle to a running engine, which runs until it is [shut down](Self::shutdown) or
/// the handle is dropped.
///
/// Shutting down is preferable: it waits until writes are finished and callbacks are
/// removed, while after a drop the same happens in the background, for as long as the
/// runtime lives.
///
/// ```no_run
/// use flagstaff::optoggles::Engine;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let running = Engine::from_config("config.yaml")?.start().await?;
/// running.started().await;
/// if let Some(status) = running.status().await {
///     for toggle in status.toggles.iter().filter(|toggle| toggle.failure.is_some()) {
///         eprintln!("{} fails: {:?}", toggle.key, toggle.failure);
///     }
/// }
/// running.shutdown().await;
/// # Ok(()) }
/// ```
pub struct Running {
    shared: Shared,
    servers: Servers,
    /// Stops the task when it becomes true or is dropped.
    stop: watch::Sender<bool>,
    /// Has the configuration read again. Holds one request: more would do the same.
    reload: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

/// The HTTP servers. They stop when they are dropped.
pub(super) struct Servers {
    /// Callbacks and health. `None` for an engine that was built from parts.
    pub(super) public: Option<Server>,
    /// Metrics, details and confirmations.
    pub(super) management: Option<Server>,
}

/// What is needed to read the configuration again.
pub(super) struct Reload {
    pub(super) path: PathBuf,
    /// The configuration in force.
    pub(super) config: Box<Config>,
    /// Makes parts of it.
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
    /// Spawns the task. `commands` and `last` are the other ends of the channels in `shared`;
    /// with `reload`, the configuration is watched.
    pub(super) fn start(
        parts: Parts,
        servers: Servers,
        shared: Shared,
        commands: mpsc::Receiver<Command>,
        last: watch::Sender<Option<Snapshot>>,
        reload: Option<Reload>,
    ) -> Self {
        let stop = watch::Sender::new(false);
        let (sender, receiver) = mpsc::channel(1);
        let task = Task { parts, shared: shared.clone(), stop: stop.subscribe(), last, reload };
        let work = tokio::spawn(task.run(commands, receiver));
        let task = tokio::spawn(async move {
            if let Err(error) = work.await {
                tracing::error!(%error, "the engine has ended unexpectedly");
            }
        });
        Self { shared, servers, stop, reload: sender, task }
    }

    /// Returns the address at which callbacks and health are served, with the actual port
    /// if the configuration names port 0. `None` for an engine that was built from parts,
    /// and for a socket that has no such address.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.servers.public.as_ref()?.addresses().first().copied()
    }

    /// Returns the address at which metrics and details are served, if they are.
    #[must_use]
    pub fn management_address(&self) -> Option<SocketAddr> {
        self.servers.management.as_ref()?.addresses().first().copied()
    }

    /// Returns a snapshot of how everything is doing. `None` once the engine has ended.
    ///
    /// While the configuration is being read again, which takes up to some nine seconds if a
    /// target does not respond, it is the last one before.
    pub async fn status(&self) -> Option<Status> {
        Some(self.shared.inspect().await?.0)
    }

    /// Waits until every source was queried and every toggle was written to its targets,
    /// successfully or not; also returns when the engine has ended.
    ///
    /// Whether all went well is in the [`status`](Self::status).
    pub async fn started(&self) {
        while self.status().await.is_some_and(|status| !status.started) {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Releases the changes of a toggle that are
    /// [held back](crate::optoggles::EngineBuilder::max_removed) for removing too many
    /// users.
    ///
    /// Returns at how many targets there were some, or `None` if there is no toggle with
    /// this key. The confirmation is for the users that the policy authorizes now; if the
    /// policy changes again before they are written, the limit applies anew.
    ///
    /// ```no_run
    /// # async fn example(running: flagstaff::optoggles::Running) {
    /// match running.confirm("us-only").await {
    ///     Some(0) => println!("nothing is held back"),
    ///     Some(targets) => println!("released at {targets} targets"),
    ///     None => println!("there is no such toggle"),
    /// }
    /// # }
    /// ```
    pub async fn confirm(&self, toggle: impl Into<String>) -> Option<usize> {
        let (reply, answer) = oneshot::channel();
        self.shared.commands.send(Command::Confirm(toggle.into(), reply)).await.ok()?;
        answer.await.ok()?
    }

    /// Compares everything afresh, as happens at each
    /// [`resync_interval`](crate::optoggles::EngineBuilder::resync_interval): queries the
    /// sources, and reads the targets that report what they hold. Returns without waiting
    /// for the result.
    pub async fn resync(&self) {
        let _ = self.shared.commands.send(Command::Resync).await;
    }

    /// Has the configuration file read again, if the engine was created from one. Nothing
    /// happens if the file has not changed.
    ///
    /// `flagstaff optoggles` calls it on SIGHUP. A file that is invalid is logged, and the
    /// configuration in force stays.
    pub fn reload(&self) {
        // If the channel is full, a request is waiting that will read the same file.
        let _ = self.reload.try_send(());
    }

    /// Shuts down within ten seconds: finishes the writes that are under way, removes the
    /// callbacks from the OPAL clients, and stops the servers.
    ///
    /// A write that takes more than seven seconds is abandoned; the next start will make
    /// up for it.
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
    /// The parts of the present coordinator.
    parts: Parts,
    shared: Shared,
    stop: watch::Receiver<bool>,
    /// What the last coordinator knew, while there is none.
    last: watch::Sender<Option<Snapshot>>,
    reload: Option<Reload>,
}

impl Task {
    /// Runs until the engine is stopped, and cleans up.
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut asked: mpsc::Receiver<()>) {
        let machine = machine(&self.parts);
        let mut coordinator = Coordinator::new(self.parts.clone(), machine);
        let mut file = self.reload.as_ref().map(|reload| FileSource::new(&reload.path, INTERVAL));
        loop {
            self.route();
            let halt = watch::Sender::new(false);
            let mut halted = halt.subscribe();
            let mut stop = self.stop.clone();
            let work = coordinator.run(&mut commands, &mut halted, &self.last);
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

    /// Has the HTTP endpoint pass callbacks on to the sources that there are now.
    fn route(&self) {
        let sources = self.parts.sources.iter();
        let sources: HashMap<_, _> =
            sources.filter_map(|source| Some((source.id.clone(), source.opal.clone()?))).collect();
        *self.shared.sources.write().unwrap_or_else(PoisonError::into_inner) = sources;
    }
}

/// The state machine of these parts, which knows nothing yet except the lists that were
/// recorded.
fn machine(parts: &Parts) -> Machine {
    let toggles = parts.toggles.iter().map(|entry| (entry.source, entry.targets.clone()));
    let mut machine = Machine::new(parts.settings, toggles);
    if let Some(record) = &parts.record {
        for (toggle, target) in parts.cells() {
            let key = &parts.toggles[toggle].toggle.key;
            if let Some(users) = record.last(&parts.targets[target].id, key) {
                machine.remember(toggle, target, users);
            }
        }
    }
    machine
}

/// Waits until the configuration has changed, and returns the parts made of it. Waits for
/// ever if there is no file.
///
/// A configuration that cannot be used is logged, and the wait goes on. Sources and
/// targets that have not changed are taken over from `former`.
async fn next_parts(
    reload: &mut Option<Reload>,
    former: &Parts,
    file: Option<&mut FileSource>,
    asked: &mut mpsc::Receiver<()>,
) -> Parts {
    let (Some(reload), Some(file)) = (reload, file) else { return std::future::pending().await };
    loop {
        let read = tokio::select! {
            read = file.next() => match read {
                Ok(read) => Config::parse(&read.text),
                Err(error) => {
                    let path = reload.path.display();
                    tracing::error!(%path, %error, "cannot read the configuration: the last valid one stays in force");
                    continue;
                }
            },
            Some(()) = asked.recv() => Config::load(&reload.path),
        };
        let config = match read {
            Ok(config) if config == *reload.config => continue,
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "the configuration cannot be used: the last valid one stays in force");
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
                tracing::error!(error = %crate::excerpt::chain(&error), "the configuration cannot be used: the last valid one stays in force");
                if matches!(error, EngineError::Server { .. }) {
                    tracing::error!(
                        "a flagd target that is changed cannot keep an address at which it serves: give it another, or restart"
                    );
                }
            }
        }
    }
}

/// The keys that have changed and take effect at the next start only.
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

/// Creates the coordinator of the parts `after`, which takes over what the former one
/// knew about toggles that are the same.
///
/// The failures of the sources themselves are not taken over: each reports anew at once
/// whether it notices changes.
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
        // With another spec, the toggle must be prepared and written again.
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

/// Closes the sources and targets of `former` that `next` no longer has.
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
