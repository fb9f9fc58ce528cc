//! Completes and checks the options.

use std::ffi::OsString;

use serde_json::{Map, Value};

use super::{
    check,
    enricher::Enricher,
    environment::Environment,
    kind::{CacheType, Resolver},
    read,
    table::{FlagdOptions, FlagdOptionsBuilder, row},
};
use crate::flagd::error::FlagdError;

impl FlagdOptions {
    /// Starts with nothing set.
    pub fn builder() -> FlagdOptionsBuilder {
        FlagdOptionsBuilder::default()
    }

    /// How many results the cache may hold; 0 without a cache.
    pub(crate) fn cache_capacity(&self) -> usize {
        match (self.resolver(), self.cache()) {
            (Resolver::Rpc, CacheType::Lru) => self.max_cache_size(),
            _ => 0,
        }
    }
}

impl FlagdOptionsBuilder {
    /// Adds one header to [`headers`](Self::headers).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.get_or_insert_default().push(name, value);
        self
    }

    /// What evaluation in process adds to each evaluation context: made of the facts that flagd, or
    /// another source, sends along with its flags (`contextEnricher`). By default, these facts.
    ///
    /// It is called for each flag definition that arrives, not for each evaluation.
    ///
    /// ```
    /// use flagstaff::FlagdOptions;
    /// use serde_json::{Map, json};
    ///
    /// let options = FlagdOptions::builder()
    ///     .context_enricher(|facts| Map::from_iter([("flagd".to_owned(), json!(facts))]))
    ///     .without_env().build()?;
    /// # Ok::<(), flagstaff::FlagdError>(())
    /// ```
    pub fn context_enricher(
        mut self,
        enricher: impl Fn(&Map<String, Value>) -> Map<String, Value> + Send + Sync + 'static,
    ) -> Self {
        self.enricher = Enricher::new(enricher);
        self
    }

    /// Turns on `tls`, with a configuration of rustls in place of `certPath`, `clientCertPath` and
    /// `clientKeyPath`, which then have no effect. The name that the server's certificate must have
    /// stays that of the option `defaultAuthority` or of the host, and the protocol is HTTP/2 whatever
    /// `alpn_protocols` says.
    ///
    /// With certificates in memory, [`ClientTls`](crate::http::tls::ClientTls) makes the configuration:
    ///
    /// ```no_run
    /// use flagstaff::{
    ///     FlagdOptions,
    ///     http::tls::{ClientTls, Pem},
    /// };
    ///
    /// # fn example(authorities: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    /// let tls = ClientTls::new().authorities(Pem::Memory(authorities));
    /// let options = FlagdOptions::builder().host("flags.internal").tls_config(tls.config()?).build()?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls_config(mut self, config: rustls::ClientConfig) -> Self {
        self.tls_config = Some(Box::new(config));
        self.tls(true)
    }

    /// Takes nothing from the environment: what is not set has its default.
    ///
    /// ```
    /// use flagstaff::FlagdOptions;
    ///
    /// let options = FlagdOptions::builder().without_env().build()?;
    /// assert_eq!(options.host(), "localhost");
    /// # Ok::<(), flagstaff::FlagdError>(())
    /// ```
    pub fn without_env(mut self) -> Self {
        self.without_env = true;
        self
    }

    /// Completes the options from the process's environment and the defaults, and checks them. No
    /// file and no network is touched.
    ///
    /// A program that sets any of host, port, target URI or socket path takes none of these from
    /// the environment. An empty variable counts as not set.
    ///
    /// # Errors
    ///
    /// [`FlagdError::InvalidOption`] names the option, its variable and the value when that has the
    /// wrong type or is out of range. What only shows later is accepted here, and makes the
    /// provider fatal when it is initialized: a target URI that does not parse, files that cannot
    /// be read, unknown status codes, a resolver that is not part of the build.
    pub fn build(self) -> Result<FlagdOptions, FlagdError> {
        let reads_environment = !self.without_env;
        self.build_with_env(|name| reads_environment.then(|| std::env::var_os(name))?)
    }

    /// As [`build`](Self::build), with `lookup` in place of the process's environment.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with_env(
        self,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<FlagdOptions, FlagdError> {
        let address_set = self.host.is_some()
            || self.port.is_some()
            || self.target_uri.is_some()
            || self.socket_path.is_some();
        let mut environment = Environment::new(&lookup, address_set);
        environment.resolver =
            environment.complete(&row::resolver(), self.resolver, read::resolver)?;
        let mut options = self.complete(&environment)?;
        if options.resolver() == Resolver::InProcess && options.offline_flag_source_path().is_some()
        {
            options = options.with_resolver(Resolver::File);
        }
        check::check(&options)?;
        Ok(options)
    }
}
