//! A server for tests, in one line.

use std::{net::SocketAddr, time::Duration};

use open_feature::{EvaluationContext, provider::FeatureProvider};
use serde_json::Value;

use super::{flags::Flags, running::Server};
use crate::{
    excerpt::chain,
    flagd::{
        options::{
            kind::{CacheType, Resolver},
            table::{FlagdOptions, FlagdOptionsBuilder},
        },
        provider::FlagdProvider,
    },
};

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on free ports of 127.0.0.1, with the flags that a test sets. It ends when it is dropped.
///
/// ```
/// use flagstaff::server::testing::TestServer;
/// use open_feature::{EvaluationContext, provider::FeatureProvider};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let server = TestServer::start().await;
/// server.set("new-checkout", true).set("page-size", 10);
/// let provider = server.provider().await;
///
/// let user = EvaluationContext::default().with_targeting_key("user-1");
/// assert!(provider.resolve_bool_value("new-checkout", &user).await.unwrap().value);
/// server.set("new-checkout", false);
/// assert!(!provider.resolve_bool_value("new-checkout", &user).await.unwrap().value);
/// # }
/// ```
#[derive(Debug)]
pub struct TestServer {
    server: Server,
}

// `remove` is called for what it does.
#[allow(clippy::must_use_candidate)]
impl TestServer {
    /// Starts a server without flags.
    ///
    /// # Panics
    ///
    /// When no port is free, or outside of a tokio runtime.
    pub async fn start() -> Self {
        match Server::builder().ephemeral().bind().await {
            Ok(server) => Self { server },
            Err(error) => panic!("cannot start the test server: {}", chain(&error)),
        }
    }

    /// Sets a flag to one value for all.
    ///
    /// # Panics
    ///
    /// When the value is nested too deeply.
    #[track_caller]
    pub fn set(&self, key: &str, value: impl Into<Value>) -> &Self {
        if let Err(error) = self.flags().set_value(key, value) {
            panic!("{error}");
        }
        self
    }

    /// Sets a flag: an object as in a flag definition, with `variants`, `targeting` and so on.
    ///
    /// # Panics
    ///
    /// When it is not valid.
    #[track_caller]
    pub fn define(&self, key: &str, flag: Value) -> &Self {
        if let Err(error) = self.flags().set(key, flag) {
            panic!("{error}");
        }
        self
    }

    /// Removes a flag.
    pub fn remove(&self, key: &str) -> &Self {
        self.flags().remove(key);
        self
    }

    /// All that can be done with the flags.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.server.flags()
    }

    /// Options for a provider of one's own, which takes nothing from the environment.
    ///
    /// With a cache, which is the default, a change is seen once its event has arrived: wait for
    /// [`ConfigurationChanged`](crate::ProviderEvent::ConfigurationChanged).
    pub fn options(&self) -> FlagdOptionsBuilder {
        of(self.server.evaluation_addr())
    }

    /// The like, for a provider that evaluates in process.
    pub fn in_process_options(&self) -> FlagdOptionsBuilder {
        of(self.server.sync_addr()).resolver(Resolver::InProcess)
    }

    /// A provider of this server that is ready. It has no cache, so that the next evaluation sees a
    /// change.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn provider(&self) -> FlagdProvider {
        let options = match self.options().cache(CacheType::Disabled).build() {
            Ok(options) => options,
            Err(error) => panic!("{}", chain(&error)),
        };
        let mut provider = FlagdProvider::new(options);
        provider.initialize(&EvaluationContext::default()).await;
        if let Err(error) = provider.wait_ready(PATIENCE).await {
            panic!("the provider is not ready: {error}");
        }
        provider
    }

    /// The server itself.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Shuts the server down as a deployment would.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

fn of(address: Option<SocketAddr>) -> FlagdOptionsBuilder {
    let port = address.map_or(0, |address| address.port());
    FlagdOptions::builder().host("127.0.0.1").port(port).deadline(PATIENCE).without_env()
}
