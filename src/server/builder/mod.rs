//! The options of a server.
//!
//! [`ServerBuilder`] only collects values. Everything is checked in
//! [`bind`](ServerBuilder::bind).

mod bind;
mod listeners;

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use serde_json::Value;

use super::{context::StaticContext, observer::Observer, running::Server};
use crate::{
    bucketing::Bucketing,
    context_source::ContextSource,
    http::{Listen, tls::Pem},
    source::FlagSource,
};

/// The options of a [`Server`], made by [`Server::builder`].
///
/// Setters do not fail; [`bind`](Self::bind) validates all options at once. A
/// setter that takes one value replaces an earlier value, and those of sources
/// and context fields add to the earlier ones.
///
/// ```no_run
/// use std::time::Duration;
///
/// use flagstaff::{server::Server, source::FileSource};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder()
///     .source(FileSource::new("flags.json", Duration::from_secs(5)))
///     .evaluation(([0, 0, 0, 0], 8013)) // every IPv4 interface
///     .without_ofrep()
///     .context_value("region", "eu")
///     .bind()
///     .await?;
/// server.ready().await;
/// # Ok(()) }
/// ```
pub struct ServerBuilder {
    /// The sources, in the order in which they were added: later ones win.
    pub(super) sources: Vec<Box<dyn FlagSource>>,
    /// Where each service listens. Without an address it does not exist.
    pub(super) evaluation: Option<Listen>,
    pub(super) management: Option<Listen>,
    pub(super) sync: Option<Listen>,
    pub(super) ofrep: Option<Listen>,
    pub(super) tls: Option<Tls>,
    /// The authorities that issue clients' certificates; needs `tls`.
    pub(super) client_authorities: Option<Pem>,
    /// The allowed origins, not parsed yet.
    pub(super) cors: Vec<String>,
    /// The constant context fields. Its headers stay empty until `bind`, which
    /// parses their names.
    pub(super) static_context: StaticContext,
    pub(super) context_source: Option<Arc<dyn ContextSource>>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) default_flag_set: Option<String>,
    pub(super) lowercase_flag_sets: bool,
    /// Pairs of a request header and a context field, not parsed yet.
    pub(super) headers: Vec<(String, String)>,
    /// In bytes.
    pub(super) max_body: usize,
    /// In bytes.
    pub(super) max_header: usize,
    /// None for streams without a deadline; never zero.
    pub(super) stream_deadline: Option<Duration>,
    pub(super) sync_metadata: bool,
    pub(super) bucketing: Bucketing,
}

/// How evaluation and sync are encrypted.
pub(super) enum Tls {
    /// A certificate chain and its key.
    Pem(Pem, Pem),
    Config(Box<rustls::ServerConfig>),
}

// Sources are shown by name, and secrets such as private keys not at all.

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sources: Vec<_> = self.sources.iter().map(|source| source.name()).collect();
        f.debug_struct("ServerBuilder")
            .field("sources", &sources)
            .field("evaluation", &self.evaluation)
            .field("management", &self.management)
            .field("sync", &self.sync)
            .field("ofrep", &self.ofrep)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Returns options with the defaults of flagd, except that the server
    /// listens on loopback.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }
}

impl Default for ServerBuilder {
    fn default() -> Self {
        let loopback = |port| Some(Listen::from((Ipv4Addr::LOCALHOST, port)));
        Self {
            sources: Vec::new(),
            evaluation: loopback(8013),
            management: loopback(8014),
            sync: loopback(8015),
            ofrep: loopback(8016),
            tls: None,
            client_authorities: None,
            cors: Vec::new(),
            static_context: StaticContext::default(),
            context_source: None,
            observer: None,
            default_flag_set: None,
            lowercase_flag_sets: false,
            headers: Vec::new(),
            max_body: 1_000_000,
            max_header: 1_000_000,
            stream_deadline: None,
            sync_metadata: true,
            bucketing: Bucketing::default(),
        }
    }
}

impl ServerBuilder {
    /// Adds a source of flags.
    ///
    /// If several sources have a flag with the same key, the later source wins.
    /// If several sources have the same name, the second one is called `name#2`
    /// in selectors, metrics and logs, and so on.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use flagstaff::{server::Server, source::FileSource};
    ///
    /// let builder = Server::builder()
    ///     .source(FileSource::new("defaults.json", Duration::from_secs(5)))
    ///     .source(FileSource::new("overrides.json", Duration::from_secs(5)));
    /// ```
    #[must_use]
    pub fn source(self, source: impl FlagSource) -> Self {
        self.boxed_source(Box::new(source))
    }

    /// Adds a boxed source of flags, for programs that choose the type of the
    /// source at run time. Otherwise the same as [`source`](Self::source).
    #[must_use]
    pub fn boxed_source(mut self, source: Box<dyn FlagSource>) -> Self {
        self.sources.push(source);
        self
    }

    /// Encrypts evaluation and sync with TLS.
    ///
    /// The certificate chain and its private key are PEM files, or are in memory
    /// ([`Pem`]). OFREP and management stay plain, as in flagd: put a proxy in
    /// front of them, or keep them on loopback.
    ///
    /// The files are read every second. Once they have changed, and are the same
    /// in two reads in a row, new connections get the new certificate, and open
    /// connections stay as they are. An invalid pair is logged, and the current
    /// one stays in use.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use flagstaff::server::Server;
    ///
    /// let builder = Server::builder().tls(Path::new("tls.crt"), Path::new("tls.key"));
    /// ```
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        self.tls = Some(Tls::Pem(certificate.into(), key.into()));
        self
    }

    /// Encrypts evaluation and sync with a configuration of rustls, in place of [`tls`](Self::tls) and
    /// [`client_authorities`](Self::client_authorities). It does not change while the server runs; a
    /// certificate resolver in it may. Without `alpn_protocols`, clients can speak HTTP/2 and HTTP/1.1.
    ///
    /// ```no_run
    /// # use flagstaff::server::{Server, ServerError};
    /// use std::sync::Arc;
    ///
    /// use rustls::{ServerConfig, server::ResolvesServerCert};
    ///
    /// # async fn example(resolver: Arc<dyn ResolvesServerCert>) -> Result<(), ServerError> {
    /// let tls = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
    /// let server = Server::builder().tls_config(tls).bind().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn tls_config(mut self, config: rustls::ServerConfig) -> Self {
        self.tls = Some(Tls::Config(Box::new(config)));
        self
    }

    /// Accepts only clients with a certificate issued by one of these
    /// authorities, for evaluation and sync (mutual TLS). Default: clients need
    /// no certificate.
    ///
    /// This needs [`tls`](Self::tls), without which [`bind`](Self::bind) fails.
    /// The file is read again like those of `tls`; connected clients stay.
    #[must_use]
    pub fn client_authorities(mut self, authorities: impl Into<Pem>) -> Self {
        self.client_authorities = Some(authorities.into());
        self
    }

    /// Sets the origins of web pages that may read responses of evaluation and
    /// OFREP. Default: none.
    ///
    /// An origin is what a browser sends: `https://shop.example` or
    /// `http://localhost:3000`, without a path or a slash at the end. One `*`
    /// stands for any characters, as in `https://*.shop.example`, and `*` alone
    /// allows all origins. [`bind`](Self::bind) fails if an origin cannot match
    /// any page. Another call replaces the origins.
    ///
    /// ```
    /// use flagstaff::server::Server;
    ///
    /// let builder = Server::builder()
    ///     .cors_origins(["https://shop.example", "https://*.test.example"]);
    /// ```
    #[must_use]
    pub fn cors_origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.cors = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a field to the context of every evaluation. It overrides the client's
    /// field with the same name. Sync clients receive it too.
    ///
    /// Fields override one another in this order, the strongest first:
    ///
    /// 1. [`context_from_header`](Self::context_from_header)
    /// 2. `context_value`
    /// 3. [`context_source`](Self::context_source)
    /// 4. the client's own fields
    ///
    /// ```
    /// # use flagstaff::server::Server;
    /// let builder = Server::builder()
    ///     .context_value("region", "eu")
    ///     .context_from_header("x-tenant", "tenant");
    /// ```
    #[must_use]
    pub fn context_value(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.static_context.values.insert(name.into(), value.into());
        self
    }

    /// Sets the flag set that a client without a selector sees, in every
    /// protocol. An empty id stands for the flags that belong to no flag set.
    ///
    /// Default: the flags of all flag sets, as in flagd. If several of them have
    /// the same key, the flag of the later source wins.
    ///
    /// This is not access control: any client can send the selector of another
    /// flag set.
    #[must_use]
    pub fn default_flag_set(mut self, id: impl Into<String>) -> Self {
        self.default_flag_set = Some(id.into());
        self
    }

    /// Reads the id of a flag set in a selector in lower case, for a program whose
    /// flag sets are all called so: `flagSetId=Shop` is then `flagSetId=shop`.
    ///
    /// Default: ids are read as they are written, as in flagd.
    #[must_use]
    pub fn lowercase_flag_sets(mut self) -> Self {
        self.lowercase_flag_sets = true;
        self
    }

    /// Takes a field of the context from a header of the request. It overrides
    /// all other fields with the same name.
    ///
    /// The value is a string. A header that is missing, empty or not UTF-8 sets
    /// no field. If several headers set the same field, the one that was added
    /// last wins. [`bind`](Self::bind) fails if `header` is not a valid header
    /// name.
    #[must_use]
    pub fn context_from_header(
        mut self,
        header: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        self.headers.push((header.into(), name.into()));
        self
    }

    /// Adds fields from a source to the context of each evaluation over gRPC,
    /// Connect and OFREP.
    ///
    /// The fields override those of the client, except the targeting key, and
    /// are overridden by [`context_value`](Self::context_value) and
    /// [`context_from_header`](Self::context_from_header). The source sees the
    /// fields of all three. Sync clients evaluate flags themselves and get none of
    /// the source's fields.
    ///
    /// The source is called once for each request, before the flags are
    /// evaluated. If it fails, or takes longer than 5 s, the request fails with
    /// `UNAVAILABLE`, or over OFREP with status 503.
    ///
    /// When it [reports](ContextSource::changed) that fields have changed, event
    /// streams receive a `configuration_change` with the flags whose rules read one
    /// of them: immediately, and then at most once a second for each flag.
    ///
    /// A client can find out a field on which a rule depends, for every targeting
    /// key that it may send. Where that matters, take the targeting key from a
    /// header that a proxy has verified:
    ///
    /// ```
    /// # use flagstaff::{ContextSource, server::{Server, ServerBuilder}};
    /// fn with(source: impl ContextSource) -> ServerBuilder {
    ///     Server::builder().context_source(source).context_from_header("x-user", "targetingKey")
    /// }
    /// ```
    #[must_use]
    pub fn context_source(mut self, source: impl ContextSource) -> Self {
        self.context_source = Some(Arc::new(source));
        self
    }

    /// Sets what is notified of evaluations and of clients that connect. Default: nothing. Another
    /// call replaces the observer.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Sets the largest body of a request, in bytes. Default: 1,000,000.
    ///
    /// A longer request fails with `RESOURCE_EXHAUSTED`, or over OFREP with
    /// status 413.
    #[must_use]
    pub fn max_request_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the largest size of the headers of a request, in bytes. Default:
    /// 1,000,000; at least 8,192.
    #[must_use]
    pub fn max_request_header(mut self, bytes: usize) -> Self {
        self.max_header = bytes;
        self
    }

    /// Sets how long an event stream or sync stream lives. Default: zero, without
    /// a limit.
    ///
    /// A stream that reaches its deadline ends with `DEADLINE_EXCEEDED`, and the
    /// client opens another one. A client may ask for a shorter one with
    /// its own timeout.
    #[must_use]
    pub fn stream_deadline(mut self, deadline: Duration) -> Self {
        self.stream_deadline = Some(deadline).filter(|deadline| !deadline.is_zero());
        self
    }

    /// Sets whether the sync service has the deprecated procedure `GetMetadata`.
    /// Default: `true`.
    ///
    /// With `false`, a call of it fails with `UNIMPLEMENTED`.
    #[must_use]
    pub fn sync_metadata(mut self, enabled: bool) -> Self {
        self.sync_metadata = enabled;
        self
    }

    /// Sets the generation of `fractional`, which decides which user gets which
    /// variant. Default: that of the newest released flagd.
    ///
    /// Use one generation in all programs that share flags.
    #[must_use]
    pub fn bucketing(mut self, bucketing: Bucketing) -> Self {
        self.bucketing = bucketing;
        self
    }
}
