//! Completes the options from the environment and the defaults, and checks them.
//!
//! The resolver comes first: it decides on the variable and the default of the
//! port.

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
    /// Creates a builder in which no option is set.
    ///
    /// ```
    /// use flagstaff::{FlagdOptions, flagd::Resolver};
    ///
    /// let options = FlagdOptions::builder()
    ///     .resolver(Resolver::InProcess)
    ///     .without_env()
    ///     .build()?;
    /// assert_eq!(options.port(), 8015, "the default port depends on the resolver");
    /// # Ok::<(), flagstaff::FlagdError>(())
    /// ```
    pub fn builder() -> FlagdOptionsBuilder {
        FlagdOptionsBuilder::default()
    }

    /// How many results the cache may hold; 0 means that there is no cache.
    ///
    /// Only the resolver `rpc` has one: evaluation in this process needs none.
    pub(crate) fn cache_capacity(&self) -> usize {
        match (self.resolver(), self.cache()) {
            (Resolver::Rpc, CacheType::Lru) => self.max_cache_size(),
            _ => 0,
        }
    }
}

impl FlagdOptionsBuilder {
    /// Adds one header to those that are set, in addition to
    /// [`headers`](Self::headers).
    ///
    /// Headers set in the program replace those of `FLAGD_HEADERS`; they are not
    /// merged.
    ///
    /// ```
    /// use flagstaff::FlagdOptions;
    ///
    /// let options = FlagdOptions::builder()
    ///     .header("authorization", "Bearer secret")
    ///     .header("x-tenant", "acme")
    ///     .without_env()
    ///     .build()?;
    /// assert!(options.headers().names().eq(["authorization", "x-tenant"]));
    /// # Ok::<(), flagstaff::FlagdError>(())
    /// ```
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.get_or_insert_default().push(name, value);
        self
    }

    /// Sets the function that makes, from the sync context, the fields that are
    /// added to each evaluation context (`contextEnricher`).
    ///
    /// The [sync context] is what flagd, or another source, sends with its flags.
    /// By default it is added unchanged. The function is called once for each
    /// definition that arrives, not once for each evaluation, and on a thread
    /// where it may block. It has no effect with the resolver `rpc`, with which
    /// flagd itself adds these fields.
    ///
    /// [sync context]: https://flagd.dev/reference/specifications/providers/#sync-metadata-properties-in-the-evaluation-context
    ///
    /// ```
    /// use flagstaff::FlagdOptions;
    /// use serde_json::{Map, json};
    ///
    /// let options = FlagdOptions::builder()
    ///     .context_enricher(|sync_context| {
    ///         Map::from_iter([("flagd".to_owned(), json!(sync_context))])
    ///     })
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

    /// Ignores the environment: an option that is not set has its default. Use
    /// it in tests.
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

    /// Completes the options from the process's environment and the defaults, and
    /// checks them. It reads no file and does not use the network.
    ///
    /// A value set in the program comes before the environment, and the
    /// environment before the default. If the program sets any of host, port,
    /// target URI or socket path, none of these is taken from the environment. An
    /// empty variable counts as not set.
    ///
    /// # Errors
    ///
    /// [`FlagdError::InvalidOption`] names the option, its variable and, if it is
    /// not a secret, the value that has the wrong type or is out of range. Some
    /// problems are only found later and make the provider fatal when it is
    /// initialized: a target URI that does not parse, files that cannot be read,
    /// unknown status codes, and a resolver that is not part of the build.
    ///
    /// ```
    /// use flagstaff::{FlagdOptions, flagd::Resolver};
    ///
    /// let without_file = FlagdOptions::builder().resolver(Resolver::File).without_env().build();
    /// assert_eq!(
    ///     without_file.unwrap_err().to_string(),
    ///     "option `offlineFlagSourcePath` (FLAGD_OFFLINE_FLAG_SOURCE_PATH): \
    ///      it is not set, but the resolver `file` requires it",
    /// );
    /// ```
    pub fn build(self) -> Result<FlagdOptions, FlagdError> {
        let reads_environment = !self.without_env;
        self.build_with_env(|name| reads_environment.then(|| std::env::var_os(name))?)
    }

    /// Like [`build`](Self::build), but reads variables with `lookup` instead of
    /// from the process's environment.
    ///
    /// `lookup` is called even after [`without_env`](Self::without_env).
    ///
    /// ```
    /// use flagstaff::FlagdOptions;
    ///
    /// let options = FlagdOptions::builder()
    ///     .build_with_env(|variable| (variable == "FLAGD_HOST").then(|| "flags.internal".into()))?;
    /// assert_eq!(options.host(), "flags.internal");
    /// # Ok::<(), flagstaff::FlagdError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build).
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
