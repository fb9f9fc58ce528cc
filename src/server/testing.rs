//! A server for tests, in one line.
//!
//! [`TestServer`] is a whole [`Server`] on free ports, so a test exercises the
//! same protocols, events and rules as production does. docs/testing.md has
//! advice on reliable tests with it.
//!
//! Its methods panic instead of returning errors, and name the line of the test
//! where they can.

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

/// How long a provider may take to become ready, and a call to complete. It is
/// long enough for a loaded machine, and ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on free ports of 127.0.0.1, with the flags that a test sets.
///
/// It closes when it is dropped. Servers do not influence one another, so tests
/// can run concurrently, each with its own.
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

// `remove` is called for its effect.
#[allow(clippy::must_use_candidate)]
impl TestServer {
    /// Starts a server without flags.
    ///
    /// # Panics
    ///
    /// Panics if no port is free, and outside of a tokio runtime.
    pub async fn start() -> Self {
        match Server::builder().ephemeral().bind().await {
            Ok(server) => Self { server },
            Err(error) => panic!("cannot start the test server: {}", chain(&error)),
        }
    }

    /// Sets a flag to one value for everybody.
    ///
    /// Calls can be chained. A provider of [`provider`](Self::provider) sees the
    /// change in its next evaluation.
    ///
    /// # Panics
    ///
    /// Panics if the value is nested too deeply.
    #[track_caller]
    pub fn set(&self, key: &str, value: impl Into<Value>) -> &Self {
        if let Err(error) = self.flags().set_value(key, value) {
            panic!("{error}");
        }
        self
    }

    /// Sets a flag: an object as in a flag definition, with `variants`,
    /// `targeting` and so on.
    ///
    /// ```
    /// # use flagstaff::server::testing::TestServer;
    /// # use open_feature::{EvaluationContext, provider::FeatureProvider};
    /// # use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let server = TestServer::start().await;
    /// server.define("beta", json!({
    ///     "variants": {"on": true, "off": false},
    ///     "defaultVariant": "off",
    ///     "targeting": {"if": [{"ends_with": [{"var": "email"}, "@corp.example"]}, "on"]},
    /// }));
    ///
    /// let provider = server.provider().await;
    /// let ann = EvaluationContext::default().with_custom_field("email", "ann@corp.example");
    /// assert!(provider.resolve_bool_value("beta", &ann).await.unwrap().value);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the flag is invalid.
    #[track_caller]
    pub fn define(&self, key: &str, flag: Value) -> &Self {
        if let Err(error) = self.flags().set(key, flag) {
            panic!("{error}");
        }
        self
    }

    /// Removes a flag. Evaluations then fail with
    /// `FLAG_NOT_FOUND`.
    pub fn remove(&self, key: &str) -> &Self {
        self.flags().remove(key);
        self
    }

    /// Returns the handle to the flags, for several changes at once, whole
    /// definitions and flag sets.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.server.flags()
    }

    /// Returns options for a provider of your own, which takes nothing from the
    /// environment.
    ///
    /// With a cache, which is the default, the provider sees a change once its
    /// event has arrived: wait for
    /// [`ConfigurationChanged`](crate::ProviderEvent::ConfigurationChanged).
    pub fn options(&self) -> FlagdOptionsBuilder {
        of(self.server.evaluation_addr())
    }

    /// Returns options like [`options`](Self::options) for a provider that
    /// evaluates flags in the program. It too sees a change once its event has
    /// arrived.
    pub fn in_process_options(&self) -> FlagdOptionsBuilder {
        of(self.server.sync_addr()).resolver(Resolver::InProcess)
    }

    /// Returns a provider of this server that is ready.
    ///
    /// It has no cache, so the next evaluation sees a change.
    ///
    /// # Panics
    ///
    /// Panics if the provider is not ready within 20 s.
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

    /// Returns the server itself, for its addresses.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Shuts the server down gracefully, as a deployment would: providers receive
    /// `provider_shutdown`. Drop the server to lose the connections instead.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

/// Options for the server at this address.
fn of(address: Option<SocketAddr>) -> FlagdOptionsBuilder {
    let port = address.map_or(0, |address| address.port());
    FlagdOptions::builder().host("127.0.0.1").port(port).deadline(PATIENCE).without_env()
}
