//! A running server: its addresses, its readiness and its shutdown.
//!
//! [`Server`] owns everything that runs: the listeners of the ports, and one
//! task for each source. Requests and streams hold the shared state
//! ([`Core`]) alone, never the `Server`, so that dropping it ends them.
//!
//! A shutdown goes through these steps, with one deadline for all:
//!
//! ```text
//! stopping = true      /readyz is 412, streams send their last message and end
//! drain                evaluation, sync and OFREP accept no more connections
//! closed, or 5 s       requests in progress are finished, or cut off
//! drain management     last, so that probes can watch all of this
//! ```

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{task::AbortHandle, time::Instant};

use super::{
    connection::{self, Service},
    core::Core,
    flags::Flags,
};
use crate::http::{self, Bound};

/// How long a shutdown waits for requests to finish, and for clients to read
/// their last event.
const DRAIN: Duration = Duration::from_secs(5);

/// A running server that speaks flagd's protocols.
///
/// It is made by [`ServerBuilder::bind`](super::ServerBuilder::bind) and serves
/// until it is [shut down](Self::shutdown) or dropped. Dropping it closes the
/// ports and stops the sources without waiting for requests.
///
/// The server runs on the tokio runtime on which it was bound. All methods can
/// be called from any thread.
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
    /// The tasks that read the sources and follow the context source.
    tasks: Vec<AbortHandle>,
    addresses: Addresses,
    /// The listeners of evaluation, sync and OFREP.
    services: Vec<http::Server>,
    /// Closed last, so that probes can follow the shutdown.
    management: Option<http::Server>,
}

impl Server {
    /// Serves the ports that `bind` has opened.
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

    /// Returns the address of the evaluation service, if it listens on TCP.
    ///
    /// With port 0 in the options, this is the port that the system has chosen.
    /// A unix socket, or a service that was left out, has no address here.
    #[must_use]
    pub fn evaluation_addr(&self) -> Option<SocketAddr> {
        self.addresses.evaluation
    }

    /// Returns the address of probes and metrics, if they are served over TCP.
    #[must_use]
    pub fn management_addr(&self) -> Option<SocketAddr> {
        self.addresses.management
    }

    /// Returns the address of the sync service, if it listens on TCP.
    #[must_use]
    pub fn sync_addr(&self) -> Option<SocketAddr> {
        self.addresses.sync
    }

    /// Returns the address of OFREP, if it listens on TCP.
    #[must_use]
    pub fn ofrep_addr(&self) -> Option<SocketAddr> {
        self.addresses.ofrep
    }

    /// Returns a handle to the flags that the program itself sets.
    ///
    /// All handles share the same flags. A handle may outlive the server; what it
    /// sets then reaches nobody.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.flags.clone()
    }

    /// Whether every source has delivered a valid definition, and the server is
    /// not shutting down. `/readyz` says the same.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.core.is_ready()
    }

    /// Waits until every source has delivered a valid definition, however long
    /// that takes.
    ///
    /// A server without sources is ready immediately. Put a timeout around this
    /// method to continue without a source that is broken; it is cancel-safe.
    ///
    /// ```
    /// # use flagstaff::server::Server;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder().ephemeral().bind().await?;
    /// server.ready().await;
    /// assert!(server.is_ready());
    /// # Ok(()) }
    /// ```
    pub async fn ready(&self) {
        let mut versions = self.core.store.watch();
        // The store lives as long as this server.
        let _ = versions.wait_for(|_| self.core.store.snapshot().is_loaded()).await;
    }

    /// Shuts the server down gracefully.
    ///
    /// `/readyz` fails, every event stream receives `provider_shutdown` and ends,
    /// no more connections are accepted, and requests in progress are finished.
    /// Whatever is left after 5 s is closed. The management port closes last.
    ///
    /// If this future is dropped before it is ready, the server is dropped too,
    /// and closes without waiting further.
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

/// The TCP addresses of the listeners, taken once: the listeners themselves are
/// consumed when they start to serve.
#[derive(Clone, Copy, Debug, Default)]
struct Addresses {
    evaluation: Option<SocketAddr>,
    management: Option<SocketAddr>,
    sync: Option<SocketAddr>,
    ofrep: Option<SocketAddr>,
}

impl Addresses {
    /// The first TCP address of each port; none for a unix socket.
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
