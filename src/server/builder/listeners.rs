//! Where each service listens, if at all.

use std::net::Ipv4Addr;

use super::ServerBuilder;
use crate::http::Listen;

impl ServerBuilder {
    /// Sets where the evaluation service listens. Default: 127.0.0.1:8013.
    ///
    /// It serves gRPC, and Connect, which web pages use (see
    /// [`cors_origins`](Self::cors_origins)).
    ///
    /// ```
    /// use std::path::PathBuf;
    ///
    /// use flagstaff::server::Server;
    ///
    /// let every_interface = Server::builder().evaluation(([0, 0, 0, 0], 8013));
    /// let unix_socket = Server::builder().evaluation(PathBuf::from("/run/flagd.sock"));
    /// ```
    #[must_use]
    pub fn evaluation(mut self, listen: impl Into<Listen>) -> Self {
        self.evaluation = Some(listen.into());
        self
    }

    /// Sets where probes, metrics and the gRPC health service listen. Default:
    /// 127.0.0.1:8014.
    ///
    /// | Path | Response |
    /// |---|---|
    /// | `/healthz` | 200 |
    /// | `/readyz` | 200 once every source has delivered a valid definition, else 412 |
    /// | `/metrics` | Prometheus' text format |
    #[must_use]
    pub fn management(mut self, listen: impl Into<Listen>) -> Self {
        self.management = Some(listen.into());
        self
    }

    /// Sets where the sync service listens, for clients that evaluate flags
    /// themselves. Default: 127.0.0.1:8015.
    ///
    /// Sync clients receive whole definitions, including the rules and whatever
    /// they contain. Leave the port out if nobody needs it
    /// ([`without_sync`](Self::without_sync)).
    #[must_use]
    pub fn sync(mut self, listen: impl Into<Listen>) -> Self {
        self.sync = Some(listen.into());
        self
    }

    /// Sets where evaluation over HTTP listens
    /// ([OFREP](https://openfeature.dev/specification/appendix-c)). Default:
    /// 127.0.0.1:8016.
    ///
    /// This port is never encrypted; see [`tls`](Self::tls).
    #[must_use]
    pub fn ofrep(mut self, listen: impl Into<Listen>) -> Self {
        self.ofrep = Some(listen.into());
        self
    }

    /// Leaves out the evaluation service.
    #[must_use]
    pub fn without_evaluation(mut self) -> Self {
        self.evaluation = None;
        self
    }

    /// Leaves out probes, metrics and the health service.
    #[must_use]
    pub fn without_management(mut self) -> Self {
        self.management = None;
        self
    }

    /// Leaves out the sync service.
    #[must_use]
    pub fn without_sync(mut self) -> Self {
        self.sync = None;
        self
    }

    /// Leaves out evaluation over HTTP (OFREP).
    #[must_use]
    pub fn without_ofrep(mut self) -> Self {
        self.ofrep = None;
        self
    }

    /// Puts every service on a free port of 127.0.0.1, for tests.
    ///
    /// This also brings back a service that was left out; leave it out
    /// afterwards. The addresses are those of
    /// [`Server::evaluation_addr`](crate::server::Server::evaluation_addr) and its
    /// siblings.
    ///
    /// ```
    /// # use flagstaff::server::Server;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder().ephemeral().without_sync().bind().await?;
    /// assert_ne!(server.evaluation_addr().map(|address| address.port()), Some(0));
    /// assert_eq!(server.sync_addr(), None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn ephemeral(self) -> Self {
        let free = (Ipv4Addr::LOCALHOST, 0);
        self.evaluation(free).management(free).sync(free).ofrep(free)
    }
}
