//! The options of a server.

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
    context::Additions,
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

/// The options of a server.
pub struct ServerBuilder {
    sources: Vec<Box<dyn FlagSource>>,
    evaluation: Option<Listen>,
    management: Option<Listen>,
    sync: Option<Listen>,
    ofrep: Option<Listen>,
    tls: Option<Tls>,
    client_authorities: Option<Pem>,
    cors: Vec<String>,
    additions: Additions,
    context_source: Option<Arc<dyn ContextSource>>,
    default_flag_set: Option<String>,
    headers: Vec<(String, String)>,
    max_body: usize,
    max_header: usize,
    stream_deadline: Option<Duration>,
    sync_metadata: bool,
    bucketing: Bucketing,
}

enum Tls {
    /// A certificate chain and its key.
    Pem(Pem, Pem),
    Config(Box<rustls::ServerConfig>),
}

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
    /// Options with the defaults of flagd, except that the server listens on loopback.
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
            additions: Additions::default(),
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
    /// Adds a source of flags. Of flags with one key, that of a later source wins. Of sources with
    /// one name, a second is called `name#2`, and so on: by selectors, in metrics and logs.
    #[must_use]
    pub fn source(self, source: impl FlagSource) -> Self {
        self.boxed_source(Box::new(source))
    }

    /// Adds a source of flags, in a box.
    #[must_use]
    pub fn boxed_source(mut self, source: Box<dyn FlagSource>) -> Self {
        self.sources.push(source);
        self
    }

    /// Where the evaluation service listens: over gRPC, and over Connect, which web pages speak (see
    /// [`cors_origins`](Self::cors_origins)). Default: 127.0.0.1:8013.
    #[must_use]
    pub fn evaluation(mut self, listen: impl Into<Listen>) -> Self {
        self.evaluation = Some(listen.into());
        self
    }

    /// Where probes, metrics and the health service are. Default: 127.0.0.1:8014.
    #[must_use]
    pub fn management(mut self, listen: impl Into<Listen>) -> Self {
        self.management = Some(listen.into());
        self
    }

    /// Where the sync service listens, for those who evaluate flags themselves. Default:
    /// 127.0.0.1:8015.
    #[must_use]
    pub fn sync(mut self, listen: impl Into<Listen>) -> Self {
        self.sync = Some(listen.into());
        self
    }

    /// Where evaluation over HTTP (OFREP) listens. Default: 127.0.0.1:8016.
    #[must_use]
    pub fn ofrep(mut self, listen: impl Into<Listen>) -> Self {
        self.ofrep = Some(listen.into());
        self
    }

    /// No evaluation service.
    #[must_use]
    pub fn without_evaluation(mut self) -> Self {
        self.evaluation = None;
        self
    }

    /// No probes and metrics.
    #[must_use]
    pub fn without_management(mut self) -> Self {
        self.management = None;
        self
    }

    /// No sync service.
    #[must_use]
    pub fn without_sync(mut self) -> Self {
        self.sync = None;
        self
    }

    /// No evaluation over HTTP.
    #[must_use]
    pub fn without_ofrep(mut self) -> Self {
        self.ofrep = None;
        self
    }

    /// Every service on a free port of 127.0.0.1.
    #[must_use]
    pub fn ephemeral(self) -> Self {
        let free = (Ipv4Addr::LOCALHOST, 0);
        self.evaluation(free).management(free).sync(free).ofrep(free)
    }

    /// Encrypts evaluation and sync, with a certificate chain and its key in PEM files or in memory
    /// ([`Pem`]). OFREP and management stay plain, as in flagd.
    ///
    /// The files are read again every second. Once they have changed, and are the same twice, new
    /// connections get the new certificate, while those that are open live on. A pair that is not valid
    /// leaves the one in use, and is logged.
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

    /// Accepts only clients with a certificate of these authorities, for evaluation and sync (mutual TLS). It needs [`tls`](Self::tls), and is read again like its files; clients that are
    /// connected stay. Default: no certificate is asked of clients.
    #[must_use]
    pub fn client_authorities(mut self, authorities: impl Into<Pem>) -> Self {
        self.client_authorities = Some(authorities.into());
        self
    }

    /// The origins of web pages that may read responses of evaluation and OFREP. Default: none.
    ///
    /// An origin is what a browser sends: `https://shop.example` or `http://localhost:3000`, without
    /// a path or a slash at the end. One `*` can stand for any text: `https://*.shop.example`, or `*`
    /// for all origins. [`bind`](Self::bind) fails if an origin matches no page.
    #[must_use]
    pub fn cors_origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.cors = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a field to the context of every evaluation, over what the caller says. Sync clients
    /// receive it too.
    #[must_use]
    pub fn context_value(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.additions.values.insert(name.into(), value.into());
        self
    }

    /// The flag set that a client without a selector sees, in every protocol; an empty id is the flags
    /// without a flag set. Default: the flags of all flag sets, as flagd has it; of flags of one key, that of a later source wins.
    #[must_use]
    pub fn default_flag_set(mut self, id: impl Into<String>) -> Self {
        self.default_flag_set = Some(id.into());
        self
    }

    /// Takes a field of the context from a header of the request, over all others.
    #[must_use]
    pub fn context_from_header(
        mut self,
        header: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        self.headers.push((header.into(), name.into()));
        self
    }

    /// Adds fields from a source to the context of each evaluation over gRPC, Connect and OFREP: over
    /// what the caller says, and under [`context_value`](Self::context_value) and
    /// [`context_from_header`](Self::context_from_header). Sync clients evaluate themselves and get
    /// none. A request for which the source fails is answered with `UNAVAILABLE`, over OFREP with
    /// status 503.
    #[must_use]
    pub fn context_source(mut self, source: impl ContextSource) -> Self {
        self.context_source = Some(Arc::new(source));
        self
    }

    /// The longest body of a request, in bytes. Default: 1,000,000.
    #[must_use]
    pub fn max_request_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The longest head of a request, in bytes. Default: 1,000,000; at least 8,192.
    #[must_use]
    pub fn max_request_header(mut self, bytes: usize) -> Self {
        self.max_header = bytes;
        self
    }

    /// How long a stream lives, before it ends with `DEADLINE_EXCEEDED` and the client opens
    /// another. Default: 0, without end.
    #[must_use]
    pub fn stream_deadline(mut self, deadline: Duration) -> Self {
        self.stream_deadline = Some(deadline).filter(|deadline| !deadline.is_zero());
        self
    }

    /// Whether the deprecated procedure `GetMetadata` of the sync service answers. Default: yes.
    #[must_use]
    pub fn sync_metadata(mut self, answers: bool) -> Self {
        self.sync_metadata = answers;
        self
    }

    /// The generation of `fractional`. Default: that of the newest flagd.
    #[must_use]
    pub fn bucketing(mut self, bucketing: Bucketing) -> Self {
        self.bucketing = bucketing;
        self
    }

    /// Opens the listeners and starts to serve. The flags are loaded meanwhile:
    /// [`Server::ready`] waits for them.
    ///
    /// Event streams and the sync service tell nothing before each source has given a definition,
    /// be it one that is refused, but wait no longer than 5 s: a source that is broken does not keep
    /// the flags of others from anybody. While none has flags, they wait. `/readyz` fails until every
    /// source has given a valid one.
    ///
    /// A unary request waits in the same way, and no longer than its own deadline. Where there are no
    /// flags even then, it fails with `UNAVAILABLE` (over OFREP with status 503 and `Retry-After`),
    /// since an answer would say that the flags do not exist.
    ///
    /// # Errors
    ///
    /// When a listener cannot be opened, or an option is not valid.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
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
            mut additions,
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
            additions.headers.push((header_name(&header)?, name));
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
            additions,
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
        // What the program sets is there from the beginning, be it nothing.
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

/// How long a client may take to send the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a port. Its handlers bound the bodies that they read, each protocol in its own way.
async fn bind(
    service: Service,
    listen: Listen,
    tls: Option<Certificates>,
    max_head: usize,
) -> Result<Bound, ServerError> {
    let mut builder = crate::http::Server::builder()
        .name(service.name())
        .listen(listen)
        // flagd has no bound either: beyond the files that the system grants, clients wait.
        .max_connections(usize::MAX)
        .max_head(max_head)
        .body_timeout(BODY_TIMEOUT)
        // The service of a connection knows what it needs.
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

/// Tells sources of one name apart: the second ends in `#2`, and so on. Two URLs may differ in what
/// their names leave out.
fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Arc<str>> {
    let mut taken = vec![Arc::from(flags::NAME)];
    for name in names {
        let numbered = (2..).map(|number| Arc::from(format!("{name}#{number}")));
        let mut candidates = std::iter::once(Arc::from(name)).chain(numbered);
        taken.extend(candidates.find(|candidate| !taken.contains(candidate)));
    }
    taken.split_off(1)
}

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
