//! A running server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{task::AbortHandle, time::Instant};

use super::{
    connection::{self, Service},
    core::Core,
    flags::Flags,
};
use crate::http::{self, Bound};

/// How long a shutdown waits for requests to finish, and for clients to read their last event.
const DRAIN: Duration = Duration::from_secs(5);

/// A running server that speaks flagd's protocols, until it is shut down or dropped.
///
/// ```
/// use flagstaff::server::Server;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder().ephemeral().bind().await?;
/// server.flags().set_value("new-checkout", true)?;
/// println!("evaluation at {:?}", server.evaluation_addr());
/// server.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Server {
    core: Arc<Core>,
    flags: Flags,
    /// Those that read sources and certificates.
    tasks: Vec<AbortHandle>,
    addresses: Addresses,
    services: Vec<http::Server>,
    /// Closed last, so that probes see how a shutdown goes.
    management: Option<http::Server>,
}

impl Server {
    pub(crate) fn start(
        core: Arc<Core>,
        flags: Flags,
        tasks: Vec<AbortHandle>,
        ports: Vec<(Service, Bound)>,
    ) -> Self {
        let addresses = Addresses::of(&ports);
        let (mut services, mut management) = (Vec::new(), None);
        for (service, bound) in ports {
            let core = core.clone();
            let server = bound.serve(move |_| connection::serve(service, core.clone()));
            match service {
                Service::Management => management = Some(server),
                _ => services.push(server),
            }
        }
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
        let left = || deadline.saturating_duration_since(Instant::now());
        for server in &self.services {
            server.drain();
        }
        for server in &mut self.services {
            server.closed_within(left()).await;
        }
        if let Some(server) = &mut self.management {
            server.drain();
            server.closed_within(left()).await;
        }
    }
}

impl Drop for Server {
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
    fn of(ports: &[(Service, Bound)]) -> Self {
        let of = |wanted| {
            let (_, bound) = ports.iter().find(|(service, _)| *service == wanted)?;
            bound.addresses().first().copied()
        };
        Self {
            evaluation: of(Service::Evaluation),
            management: of(Service::Management),
            sync: of(Service::Sync),
            ofrep: of(Service::Ofrep),
        }
    }
}
