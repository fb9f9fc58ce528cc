//! The options of a client.

use std::{sync::Arc, time::Duration};

use super::{
    api::FactsClient,
    send::{Inner, Limits},
};
use crate::{
    flagops::error::FactsError,
    http::{Client, ClientError, Secret, endpoint::Endpoint, tls::ClientTls},
};

/// The options of a [`FactsClient`], from [`FactsClient::builder`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use flagstaff::flagops::{FactsClient, Secret};
///
/// # fn main() -> Result<(), flagstaff::flagops::FactsError> {
/// let client = FactsClient::builder("https://facts.internal")
///     .token(Secret::file("/run/secrets/facts-token"))
///     .timeout(Duration::from_secs(2))
///     .retries(1)
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FactsClientBuilder {
    url: String,
    token: Option<Secret>,
    tls: ClientTls,
    proxy: bool,
    limits: Limits,
}

impl FactsClient {
    /// The options of a client of the store at this URL, with or without `/api` at its
    /// end.
    #[must_use]
    pub fn builder(url: impl Into<String>) -> FactsClientBuilder {
        FactsClientBuilder::new(url.into())
    }
}

impl FactsClientBuilder {
    fn new(url: String) -> Self {
        let limits = Limits {
            timeout: Duration::from_secs(10),
            idle: Duration::from_secs(45),
            retries: 2,
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
        };
        Self { url, token: None, tls: ClientTls::new(), proxy: true, limits }
    }

    /// Sets the token of the requests. One from a [file](Secret::file) is read again for
    /// each request, so that a renewed token takes effect without a restart. Default:
    /// none.
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets which servers to trust and which certificate to present. Default: the
    /// system's certificate authorities, and no certificate.
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = tls;
        self
    }

    /// Sends no request through a proxy. Default: the environment decides
    /// (`HTTPS_PROXY`, `NO_PROXY` and so on).
    #[must_use]
    pub fn without_proxy(mut self) -> Self {
        self.proxy = false;
        self
    }

    /// Limits how long one attempt of a request may take, with its response. Default:
    /// 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// Sets how often a request that is safe to repeat is repeated: reading, and writing
    /// or removing one value without a condition. Default: 2.
    ///
    /// It is repeated if the store is unreachable or overloaded, after 0.1 s, then 0.2 s
    /// and so on, or after the time that the store names with `Retry-After`, unless that
    /// is longer than [`timeout`](Self::timeout).
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.limits.retries = retries;
        self
    }

    /// Sets after how long without any data a change stream counts as lost. The store
    /// sends a comment every 15 s. Default: 45 s.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle = timeout;
        self
    }

    /// Sets the delays between attempts to open a change stream, which double from
    /// `first` to `max`. Default: 1 s and 30 s.
    #[must_use]
    pub fn backoff(mut self, first: Duration, max: Duration) -> Self {
        self.limits.first_delay = first;
        self.limits.max_delay = max;
        self
    }

    /// Builds the client. It connects to nothing, and does not read the file of a token.
    ///
    /// # Errors
    ///
    /// If the URL or the TLS configuration is invalid.
    pub fn build(self) -> Result<FactsClient, FactsError> {
        let setup = |error: ClientError| FactsError::Setup(Box::new(error));
        let base = self.url.trim_end_matches('/');
        // The original's clients have to add it themselves, and its users are used to that.
        let base = base.strip_suffix("/api").unwrap_or(base);
        let endpoint = Endpoint::new(base)?.token("Bearer", self.token);
        let client = Client::builder().tls(self.tls).timeout(self.limits.timeout);
        let client = if self.proxy { client } else { client.without_proxy() };
        let client = client.build().map_err(setup)?;
        Ok(FactsClient(Arc::new(Inner::new(endpoint, client, self.limits))))
    }
}
