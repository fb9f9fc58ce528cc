//! A server that runs.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use super::{
    connection::{Connections, Phase, Service},
    core::Core,
    flags::Flags,
    listen::Listener,
};

/// How long a shutdown waits for requests to finish, and for clients to read their last event.
const DRAIN: Duration = Duration::from_secs(5);

/// A server that runs, until it is shut down or dropped.
#[derive(Debug)]
pub struct RunningServer {
    core: Arc<Core>,
    flags: Flags,
    /// Those that read sources and certificates.
    tasks: Vec<AbortHandle>,
    addresses: Addresses,
    services: Part,
    /// Closed last, so that probes see how a shutdown goes.
    management: Part,
}

/// Listeners that are closed together.
#[derive(Debug)]
struct Part {
    phase: watch::Sender<Phase>,
    closed: mpsc::Receiver<()>,
}

impl Part {
    fn start(core: &Arc<Core>, listeners: Vec<Listener>, max_header: usize) -> Self {
        let phase = watch::Sender::new(Phase::Serve);
        let closed = listen(core, listeners, &phase, max_header);
        Self { phase, closed }
    }

    async fn close(&mut self, deadline: Instant) {
        self.phase.send_replace(Phase::Drain);
        if timeout_at(deadline, self.closed.recv()).await.is_err() {
            self.phase.send_replace(Phase::Abort);
            self.closed.recv().await;
        }
    }
}

impl RunningServer {
    pub(crate) fn start(
        core: Arc<Core>,
        flags: Flags,
        tasks: Vec<AbortHandle>,
        listeners: Vec<Listener>,
        max_header: usize,
    ) -> Self {
        let addresses = Addresses::of(&listeners);
        let (management, services) =
            listeners.into_iter().partition(|listener| listener.service == Service::Management);
        let services = Part::start(&core, services, max_header);
        let management = Part::start(&core, management, max_header);
        Self { core, flags, tasks, addresses, services, management }
    }

    /// The address of the evaluation service, if it listens on TCP.
    #[must_use]
    pub fn evaluation_addr(&self) -> Option<SocketAddr> {
        self.addresses.evaluation
    }

    /// The address of probes and metrics, if there are any on TCP.
    #[must_use]
    pub fn management_addr(&self) -> Option<SocketAddr> {
        self.addresses.management
    }

    /// The address of the sync service, if it listens on TCP.
    #[must_use]
    pub fn sync_addr(&self) -> Option<SocketAddr> {
        self.addresses.sync
    }

    /// The address of OFREP, if it listens on TCP.
    #[must_use]
    pub fn ofrep_addr(&self) -> Option<SocketAddr> {
        self.addresses.ofrep
    }

    /// The flags that the program itself sets.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.flags.clone()
    }

    /// Whether every source has given a flag definition.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.core.is_ready()
    }

    /// Waits until every source has given a flag definition, however long that takes.
    pub async fn ready(&self) {
        let mut versions = self.core.store.watch();
        // The store lives as long as this server.
        let _ = versions.wait_for(|_| self.core.store.snapshot().is_loaded()).await;
    }

    /// Shuts down: `/readyz` fails, every event stream is told `provider_shutdown` and ends, no more
    /// connections are accepted, and requests that were begun are finished. What is left after 5 s
    /// is cut. Probes and metrics answer until all else is closed.
    pub async fn shutdown(mut self) {
        self.core.stopping.send_replace(true);
        let deadline = Instant::now() + DRAIN;
        self.services.close(deadline).await;
        self.management.close(deadline).await;
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.core.stopping.send_replace(true);
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The addresses of the listeners.
#[derive(Clone, Copy, Debug, Default)]
struct Addresses {
    evaluation: Option<SocketAddr>,
    management: Option<SocketAddr>,
    sync: Option<SocketAddr>,
    ofrep: Option<SocketAddr>,
}

impl Addresses {
    fn of(listeners: &[Listener]) -> Self {
        let of = |service| {
            listeners
                .iter()
                .find(|listener| listener.service == service)
                .and_then(Listener::address)
        };
        Self {
            evaluation: of(Service::Evaluation),
            management: of(Service::Management),
            sync: of(Service::Sync),
            ofrep: of(Service::Ofrep),
        }
    }
}

/// Starts the listeners; the receiver ends when all connections are closed.
fn listen(
    core: &Arc<Core>,
    listeners: Vec<Listener>,
    phase: &watch::Sender<Phase>,
    max_header: usize,
) -> mpsc::Receiver<()> {
    let (open, closed) = mpsc::channel(1);
    for listener in listeners {
        let connections = Connections {
            core: core.clone(),
            phase: phase.subscribe(),
            max_header,
            open: open.clone(),
        };
        tokio::spawn(listener.run(connections));
    }
    closed
}
