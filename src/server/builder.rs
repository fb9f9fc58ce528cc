//! The options of a server.
//!
//! [`ServerBuilder`] only collects values. Everything is checked in
//! [`bind`](ServerBuilder::bind), which takes the builder apart field by field:
//! an option that nobody handles does not compile. `bind` reads certificates
//! and parses origins and header names before it opens a port, so that an
//! invalid option never leaves a port open.

use std::{
    net::Ipv4Addr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use http::HeaderName;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    connection::Service,
    context::StaticContext,
    core::{Awaited, Core},
    cors::Cors,
    error::ServerError,
    feed::Feed,
    flags::{self, Flags},
    metrics::Metrics,
    running::Server,
    store::{Store, selector::Selector},
};
use crate::{
    bucketing::Bucketing,
    context_source::ContextSource,
    evaluator::FlagSet,
    excerpt::excerpt,
    http::{
        BindError, Bound, Certificates, Listen,
        tls::{Pem, ServerTls},
    },
    source::{FlagSource, warned::Warned},
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
    sources: Vec<Box<dyn FlagSource>>,
    /// Where each service listens. Without an address it does not exist.
    evaluation: Option<Listen>,
    management: Option<Listen>,
    sync: Option<Listen>,
    ofrep: Option<Listen>,
    tls: Option<Tls>,
    /// The authorities that issue clients' certificates; needs `tls`.
    client_authorities: Option<Pem>,
    /// The allowed origins, not parsed yet.
    cors: Vec<String>,
    /// The constant context fields. Its headers stay empty until `bind`, which
    /// parses their names.
    static_context: StaticContext,
    context_source: Option<Arc<dyn ContextSource>>,
    default_flag_set: Option<String>,
    /// Pairs of a request header and a context field, not parsed yet.
    headers: Vec<(String, String)>,
    /// In bytes.
    max_body: usize,
    /// In bytes.
    max_header: usize,
    /// None for streams without a deadline; never zero.
    stream_deadline: Option<Duration>,
    sync_metadata: bool,
    bucketing: Bucketing,
}

/// How evaluation and sync are encrypted.
enum Tls {
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
            default_flag_set: None,
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
    /// afterwards. The addresses are those of [`Server::evaluation_addr`] and
    /// its siblings.
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
    /// [`context_from_header`](Self::context_from_header). Sync clients evaluate
    /// flags themselves and get none of them.
    ///
    /// The source is called once for each request, before the flags are
    /// evaluated. If it fails, the request fails with `UNAVAILABLE`, or over
    /// OFREP with status 503.
    #[must_use]
    pub fn context_source(mut self, source: impl ContextSource) -> Self {
        self.context_source = Some(Arc::new(source));
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

    /// Opens the ports and starts to serve.
    ///
    /// The flags are loaded meanwhile; [`Server::ready`] waits for them.
    ///
    /// # Before the flags are loaded
    ///
    /// - Event streams and sync streams send their first message once every
    ///   source has delivered a definition, valid or not. They wait at most 5 s
    ///   from the start, so that a broken source does not keep the flags of the
    ///   others from clients, and longer only while no source has flags.
    /// - A unary request waits in the same way, but not longer than its own
    ///   deadline. If there are still no flags, it fails with `UNAVAILABLE`, or
    ///   over OFREP with status 503 and `Retry-After`. A result would say that
    ///   the flags do not exist.
    /// - `/readyz` fails until every source has delivered a valid definition.
    ///
    /// # Errors
    ///
    /// Returns an error if a port cannot be opened, a certificate or key cannot
    /// be used, or an option is invalid. Ports that were opened before are
    /// closed again.
    ///
    /// ```
    /// # use flagstaff::server::{Server, ServerError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let invalid = Server::builder().ephemeral().cors_origins(["https://shop.example/"]);
    /// let error = invalid.bind().await.unwrap_err();
    /// assert!(matches!(error, ServerError::Option { .. }));
    /// assert!(error.to_string().contains("write `https://shop.example`"));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn bind(self) -> Result<Server, ServerError> {
        let Self {
            sources,
            evaluation,
            management,
            sync,
            ofrep,
            tls,
            client_authorities,
            cors,
            mut static_context,
            context_source,
            default_flag_set,
            headers,
            max_body,
            max_header,
            stream_deadline,
            sync_metadata,
            bucketing,
        } = self;
        let tls = match (tls, client_authorities) {
            (Some(Tls::Config(config)), None) => Some(Certificates::from(*config)),
            (Some(Tls::Pem(certificate, key)), clients) => {
                let tls = ServerTls::new(certificate, key);
                Some(Certificates::load(match clients {
                    Some(clients) => tls.client_authorities(clients),
                    None => tls,
                })?)
            }
            (None, None) => None,
            (None | Some(Tls::Config(_)), Some(_)) => {
                let reason = "they need TLS: set the server's certificate and key with `tls`";
                return Err(ServerError::option("client authorities", reason));
            }
        };
        for (header, name) in headers {
            static_context.headers.push((header_name(&header)?, name));
        }
        let origins = Cors::new(&cors)?;
        let mut ports = Vec::new();
        for (service, listen) in [
            (Service::Evaluation, evaluation),
            (Service::Sync, sync),
            (Service::Ofrep, ofrep),
            (Service::Management, management),
        ] {
            let encrypted = matches!(service, Service::Evaluation | Service::Sync);
            let tls = tls.clone().filter(|_| encrypted);
            if let Some(listen) = listen {
                ports.push((service, bind(service, listen, tls, max_header).await?));
            }
        }

        let names = distinct(sources.iter().map(|source| source.name()));
        let store = Store::new(names.iter().cloned().chain([flags::NAME.into()]));
        let core = Arc::new(Core {
            store,
            awaited: Awaited::new(sources.len()),
            opened: AtomicBool::new(false),
            metrics: Metrics::new(sources.len() + 1, tls.is_some()),
            static_context,
            context_source,
            default_selector: default_flag_set
                .map_or(Selector::All, |id| Selector::FlagSet((!id.is_empty()).then_some(id))),
            cors: origins,
            max_body,
            stream_deadline,
            sync_metadata,
            stopping: watch::Sender::new(false),
        });
        let memory = Flags::new(core.clone(), sources.len(), bucketing);
        // The program's flags count as loaded from the start, even if there are none.
        let nothing = FlagSet::default().with_bucketing(bucketing);
        memory.change(|_| nothing);

        let tasks = sources
            .into_iter()
            .zip(names)
            .enumerate()
            .map(|(index, (source, name))| {
                let feed = Feed { name, index, source, bucketing, warned: Warned::default() };
                tokio::spawn(feed.run(core.clone())).abort_handle()
            })
            .collect();
        Ok(Server::start(core.clone(), memory, tasks, ports))
    }
}

/// How long a client may take to send the body of a request, as docs/server.md
/// says under "Limits".
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a port.
///
/// No limit on bodies is set here: the handlers limit what they read, because
/// each protocol rejects a body that is too long in its own way.
async fn bind(
    service: Service,
    listen: Listen,
    tls: Option<Certificates>,
    max_head: usize,
) -> Result<Bound, ServerError> {
    let mut builder = crate::http::Server::builder()
        .name(service.name())
        .listen(listen)
        // flagd has no limit either: when the system has no more files, clients wait.
        .max_connections(usize::MAX)
        .max_head(max_head)
        .body_timeout(BODY_TIMEOUT)
        // The service of a connection already knows what it needs.
        .extensions(false);
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    builder.bind().await.map_err(|error| match error {
        BindError::Listen { address, source } => {
            ServerError::Listen { service: service.name(), address, source }
        }
    })
}

/// Makes the names of sources unique: the second of one name ends in `#2`, and
/// so on.
///
/// Names are not unique by themselves, because the name of a URL leaves out user,
/// password, query and fragment, and two URLs may differ only in these. The name
/// `memory` is reserved for the program's own flags:
///
/// ```text
/// ["a", "a", "memory", "a"]  ->  ["a", "a#2", "memory#2", "a#3"]
/// ```
fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Arc<str>> {
    let mut taken = vec![Arc::from(flags::NAME)];
    for name in names {
        let numbered = (2..).map(|number| Arc::from(format!("{name}#{number}")));
        let mut candidates = std::iter::once(Arc::from(name)).chain(numbered);
        taken.extend(candidates.find(|candidate| !taken.contains(candidate)));
    }
    taken.split_off(1)
}

/// Parses the name of a header that [`ServerBuilder::context_from_header`] reads.
fn header_name(text: &str) -> Result<HeaderName, ServerError> {
    let reason = |_| format!("`{}` is not a valid header name", excerpt(text));
    text.parse().map_err(|error: http::header::InvalidHeaderName| {
        ServerError::option("context from header", reason(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_one_name_are_numbered() {
        for (names, expected) in [
            (&["a", "b"][..], &["a", "b"][..]),
            (&["a", "a", "b", "a"], &["a", "a#2", "b", "a#3"]),
            (&["a", "a#2", "a"], &["a", "a#2", "a#3"]),
            (&["memory"], &["memory#2"]),
        ] {
            let found = distinct(names.iter().copied());
            assert_eq!(found.iter().map(|name| &**name).collect::<Vec<_>>(), expected);
        }
    }
}
